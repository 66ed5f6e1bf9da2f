import { describe, expect, it } from "vitest";
import { sectorCorners } from "../src/map/sectors";
import { openable } from "../src/ui/observationapi";
import { flagCounts } from "../src/ui/observationsensor";
import { chinaTime } from "../src/ui/observationtime";

describe("sector of a camera", () => {
  const east = { id: "a", at: [114, 30] as [number, number], azimuth: 90, fov: 60, radius: 1000, color: "#000000" };

  it("begins and ends at the camera and reaches as far as it says", () => {
    const corners = sectorCorners(east)!;
    expect(corners[0]).toEqual([114, 30]);
    expect(corners.at(-1)).toEqual([114, 30]);
    const [lon, lat] = corners[1 + Math.floor((corners.length - 2) / 2)]!;
    expect((lon - 114) * 111195 * Math.cos((30 * Math.PI) / 180)).toBeCloseTo(1000, -1);
    expect(Math.abs(lat - 30) * 111195).toBeLessThan(60);
    for (const [x] of corners.slice(1, -1)) expect(x).toBeGreaterThan(114);
  });

  it("needs a direction", () => {
    expect(sectorCorners({ ...east, azimuth: null })).toBeNull();
    expect(sectorCorners({ ...east, fov: null })).toBeNull();
  });

  it("is a ring all around", () => {
    const ring = sectorCorners({ ...east, fov: 360 })!;
    expect(ring[0]![0]).toBeCloseTo(ring.at(-1)![0], 9);
    expect(ring).not.toContainEqual([114, 30]);
  });
});

describe("view links", () => {
  it("opens https only", () => {
    expect(openable("https://video.example.cn/1")).toBe(true);
    for (const link of ["rtsp://10.0.0.14/1", "javascript:alert(1)", "http://x.example.cn", "", null, "no address"]) expect(openable(link)).toBe(false);
  });
});

describe("readings", () => {
  it("counts flags and tells China time", () => {
    const at = { station: "a", field: "b", time: "2026-09-18T23:30:00Z", value: 1 };
    expect([...flagCounts([{ ...at, flag: "" }, { ...at, flag: "spike" }, { ...at, flag: "spike" }])]).toEqual([["spike", 2]]);
    expect(chinaTime(at.time)).toBe("2026-09-19 07:30");
    expect(chinaTime("soon")).toBe("soon");
  });
});
