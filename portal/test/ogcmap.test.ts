import { describe, expect, it } from "vitest";
import type { LayerInfo } from "../src/api/types";
import { holds } from "../src/ogcmap/page";
import { boxText, overlap, place, readSpec, rooted, widened } from "../src/ogcmap/spec";

describe("what a page tells its map", () => {
  it("is read, and nonsense is an empty map", () => {
    expect(readSpec('{"layer":"dem","bbox":[108,29,116,33]}')).toEqual({ layer: "dem", bbox: [108, 29, 116, 33] });
    expect(readSpec('{"bbox":[108,29,null,33]}')).toEqual({});
    for (const text of ["", "[1]", "null", "7", "{", undefined]) expect(readSpec(text)).toEqual({});
  });
  it("widens a point to something to look at", () => {
    expect(widened([114, 30, 114, 30], 0.02).map((v) => Number(v.toFixed(6)))).toEqual([113.99, 29.99, 114.01, 30.01]);
    expect(widened([108, 29, 116, 33])).toEqual([108, 29, 116, 33]);
  });
  it("asks the tiles of the version of the page, below the root", () => {
    const info = { version: "2", tiles: { w: "/tiles/a/w/{z}/{x}/{y}.mvt?version=2" } } as unknown as LayerInfo;
    expect(rooted(info, "../../").tiles).toEqual({ w: "../../tiles/a/w/{z}/{x}/{y}.mvt?version=2" });
    expect(rooted(info, "../../", "1").tiles).toEqual({ w: "../../tiles/a/w/{z}/{x}/{y}.mvt?version=1" });
  });
});

describe("fills", () => {
  it("are left out where features cover each other", () => {
    expect(overlap([[0, 0, 2, 2], [0, 0, 2, 2]])).toBe(true);
    expect(overlap([[0, 0, 1, 1], [1, 1, 2, 2]])).toBe(false);
    expect(overlap([[0, 0, 1, 1]])).toBe(false);
    expect(overlap([[1, 1, 1, 1], [2, 2, 2, 2]])).toBe(false);
  });
});

describe("texts beside the map", () => {
  it("say the axis order of both kinds of CRS", () => {
    expect(place(114.305, 30.593, true)).toBe("经度 114.30500，纬度 30.59300（CRS84 写作 114.30500,30.59300；EPSG:4490、4326 写作 30.59300,114.30500）");
    expect(place(114.305, 30.593, false)).toContain("EPSG:4490 and 4326: 30.59300,114.30500");
  });
  it("write a box as the parameter wants it", () => expect(boxText([113.1234567, 30, 114.5, -0.000001])).toBe("113.12346,30,114.5,0"));
  it("filter by all words, capitals aside", () => {
    expect(holds("GET /collections/Dem 高程", "dem 高程")).toBe(true);
    expect(holds("GET /collections/dem", "dem items")).toBe(false);
  });
});
