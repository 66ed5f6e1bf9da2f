import { get as getProjection, transform } from "ol/proj";
import { describe, expect, it } from "vitest";
import { CGCS2000, fromGaussKruger, MERCATOR, tileGrid, toGaussKruger, zoneByNumber, zoneOf, type Zone } from "../src/geo/crs";

const zone = (n: number): Zone => {
  const found = zoneByNumber(n);
  if (!found) throw new Error(`zone ${n}`);
  return found;
};

describe("EPSG:4490 in OpenLayers", () => {
  it("has the axis order of the authority, an extent and is global", () => {
    const projection = getProjection(CGCS2000);
    expect(projection?.getAxisOrientation()).toBe("neu");
    expect(projection?.getExtent()).toEqual([-180, -90, 180, 90]);
    expect(projection?.isGlobal()).toBe(true);
  });
  it("keeps longitude first inside", () => {
    const [x, y] = transform([114.305, 30.593], CGCS2000, MERCATOR);
    expect(x).toBeCloseTo(12724374.36, 0);
    expect(y).toBeGreaterThan(3.5e6);
    const back = transform([x!, y!], MERCATOR, CGCS2000);
    expect(back[0]).toBeCloseTo(114.305, 9);
    expect(back[1]).toBeCloseTo(30.593, 9);
  });
});

describe("Gauss–Krüger zones (oracle: PROJ)", () => {
  it.each([
    [114.305, 30.593, 38, 38529251.8461, 3385891.496],
    [109.47, 30.295, 36, 36641421.1299, 3353730.8939],
    [111.29, 30.69, 37, 37527785.4833, 3396641.5034],
    [116.0, 29.9, 39, 39403414.6446, 3309448.4233],
  ])("%f, %f in zone %i", (lon, lat, n, easting, northing) => {
    const [e, nn] = toGaussKruger(lon, lat, zone(n));
    expect(e).toBeCloseTo(easting, 3);
    expect(nn).toBeCloseTo(northing, 3);
    const [x, y] = fromGaussKruger(e - n * 1e6, nn, zone(n), false);
    expect(x).toBeCloseTo(lon, 9);
    expect(y).toBeCloseTo(lat, 9);
  });
  it("finds the zone of a longitude, and none outside Hubei's zones", () => {
    expect(zoneOf(114.3)?.number).toBe(38);
    expect(zoneOf(112.4)?.number).toBe(37);
    expect(zoneOf(121)).toBeUndefined();
  });
});

describe("tile grids", () => {
  it.each([
    ["CGCS2000Quad", 0, 114.3, 30.6, [0, 1, 0]],
    ["CGCS2000Quad", 8, 114.3, 30.6, [8, 418, 84]],
  ] as const)("%s level %i", (set, z, lon, lat, expected) => {
    expect(tileGrid(set, 16).getTileCoordForCoordAndZ([lon, lat], z)).toEqual(expected);
  });
  it("has the same tiles over 512 pixels, one level later", () => {
    const [small, large] = [tileGrid("CGCS2000Quad", 16), tileGrid("CGCS2000Quad", 16, 512)];
    expect(large.getTileCoordExtent([8, 418, 84])).toEqual(small.getTileCoordExtent([8, 418, 84]));
    expect(large.getResolution(8)).toBe(small.getResolution(9));
  });
  it("puts Wuhan into the usual Mercator tile", () => {
    const at = transform([114.3, 30.6], CGCS2000, MERCATOR);
    expect(tileGrid("WebMercatorQuad", 16).getTileCoordForCoordAndZ(at, 8)).toEqual([8, 209, 105]);
  });
});
