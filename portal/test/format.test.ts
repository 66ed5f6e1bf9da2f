import { describe, expect, it } from "vitest";
import { areaText, dmsText, gaussKrugerText, lonLatText, unitText, valueText } from "../src/geo/format";
import { metresPerDegree, scaleBar } from "../src/geo/scale";

describe("coordinates", () => {
  it("writes degrees, minutes, seconds and carries over", () => {
    expect(dmsText(114.305, "lon")).toBe("114°18′18.00″E");
    expect(dmsText(30.9999999, "lat")).toBe("31°00′00.00″N");
    expect(dmsText(-0.5, "lat")).toBe("0°30′00.00″S");
  });
  it("writes longitude first", () => expect(lonLatText(114.305, 30.593, 3)).toBe("114.305°E  30.593°N"));
  it("names the zone", () => {
    expect(gaussKrugerText(114.305, 30.593)).toMatchObject({ x: "38529251.8", y: "3385891.5", zone: { withNumber: 4526 } });
    expect(gaussKrugerText(2, 48)).toBeNull();
  });
});

describe("areas", () => {
  it("1 km² = 100 hm² = 1500 亩", () => {
    expect(areaText(1, "km2", "zh")).toBe("1.00");
    expect(areaText(1, "hm2", "zh")).toBe("100.0");
    expect(areaText(1, "mu", "zh")).toBe("1,500");
  });
});

describe("values", () => {
  it("does not show nothing as zero", () => {
    expect(valueText(null, "zh")).toBe("—");
    expect(valueText(0, "zh")).toBe("0");
    expect(valueText(Number.NaN, "zh")).toBe("—");
    expect(valueText(true, "zh")).toBe("是");
    expect(valueText(0.1 + 0.2, "en")).toBe("0.3");
  });
});

describe("scale bar", () => {
  it("is the ellipsoidal west–east distance (oracle: GeographicLib)", () => {
    expect(metresPerDegree(31)).toBeCloseTo(95504.262, 2);
    expect(metresPerDegree(0)).toBeCloseTo(111319.491, 2);
  });
  it("takes the longest round length that fits", () => {
    const bar = scaleBar(0.001, 31, 110);
    expect(bar.text).toBe("10 km");
    expect(bar.pixels).toBeCloseTo(10000 / 95.504262, 3);
    expect(scaleBar(0.000001, 31, 110).text).toBe("10 m");
  });
});

describe("units", () => {
  it.each([
    ["degree", "°"],
    ["m3/km2", "m³/km²"],
    ["mm", "mm"],
    ["grade 1-5", ""],
    [null, ""],
  ])("%s is shown as «%s»", (unit, text) => expect(unitText(unit)).toBe(text));
});
