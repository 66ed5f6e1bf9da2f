import { describe, expect, it } from "vitest";
import { parseCoordinates } from "../src/geo/parse";

const WINDOW: [number, number, number, number] = [70, 0, 140, 58];
const parse = (text: string, zone: number | null = null) => parseCoordinates(text, zone, WINDOW);

describe("one place, many spellings", () => {
  it.each([
    ["114.305, 30.593", "decimal", false],
    ["114.305 30.593", "decimal", false],
    ["114.305，30.593", "decimal", false],
    ["30.593, 114.305", "decimal", true],
    ["114.305E 30.593N", "decimal", false],
    ["N30.593 E114.305", "decimal", true],
    ["东经114.305° 北纬30.593°", "decimal", false],
    ["北纬30.593°，东经114.305°", "decimal", true],
    ["经度:114.305 纬度:30.593", "decimal", false],
    ["114°18′18″E 30°35′34.8″N", "dms", false],
    ["114°18'18\" 30°35'34.8\"", "dms", false],
    ["东经114度18分18秒 北纬30度35分34.8秒", "dms", false],
    ["38529251.8461, 3385891.4960", "gk", false],
    ["3385891.4960, 38529251.8461", "gk", true],
    ["X=3385891.4960 Y=38529251.8461", "gk", true],
    ["38529251.8461m 3385891.4960m", "gk", false],
  ])("%s", (text, how, swapped) => {
    const found = parse(text);
    expect(found).toMatchObject({ ok: true, how, swapped });
    if (!found.ok) return;
    expect(found.lon).toBeCloseTo(114.305, 7);
    expect(found.lat).toBeCloseTo(30.593, 7);
  });

  it("reads metres without zone number only with a zone", () => {
    expect(parse("529251.8461, 3385891.4960")).toEqual({ ok: false, reason: "needZone" });
    const found = parse("529251.8461, 3385891.4960", 38);
    expect(found).toMatchObject({ ok: true, epsg: 4547 });
    if (found.ok) expect([found.lon, found.lat].map((v) => v.toFixed(7))).toEqual(["114.3050000", "30.5930000"]);
  });

  it("names the CRS that it read", () => {
    expect(parse("37527785.4833 3396641.5034")).toMatchObject({ epsg: 4525 });
    expect(parse("114.305, 30.593")).toMatchObject({ epsg: 4490 });
  });
});

describe("nothing is guessed", () => {
  it.each([
    ["", "empty"],
    ["   ", "empty"],
    ["武汉", "form"],
    ["114.305", "form"],
    ["114.305, 30.593, 12", "form"],
    ["114°75′00″E 30°35′00″N", "form"],
    ["114.305E 30.593E", "form"],
    ["200, 30", "range"],
    ["114.3, 95", "range"],
    ["20529251, 3385891", "badZone"],
    ["529251, 385891", "range"],
    ["-114.305, 30.593", "outside"],
    ["2.35, 48.85", "outside"],
  ])("%s → %s", (text, reason) => {
    expect(parse(text)).toEqual({ ok: false, reason });
  });
});
