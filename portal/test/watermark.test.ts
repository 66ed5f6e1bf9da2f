import { describe, expect, it } from "vitest";
import { CLOSE, markPlaces, markStep, WIDE } from "../src/map/watermark";

const real = { synthetic: false, marked: true, opacity: 1 };
const picture = { synthetic: true, marked: true, opacity: 1 };
const vector = { synthetic: true, marked: false, opacity: 1 };

describe("the mark of synthetic data", () => {
  it("is absent only where nothing is synthetic", () => {
    expect(markStep([])).toBeNull();
    expect(markStep([real, real])).toBeNull();
    for (const synthetic of [picture, vector])
      for (const opacity of [0, 0.1, 0.5, 1])
        for (const others of [[], [real], [picture], [vector]])
          expect(markStep([...others, { ...synthetic, opacity }])).not.toBeNull();
  });

  it("is wide only where each synthetic picture shows a mark of its own", () => {
    expect(markStep([picture])).toBe(WIDE);
    expect(markStep([real, picture, { ...picture, opacity: 0.5 }])).toBe(WIDE);
    expect(markStep([picture, { ...picture, opacity: 0.49 }])).toBe(CLOSE);
    expect(markStep([picture, vector])).toBe(CLOSE);
    expect(markStep([vector])).toBe(CLOSE);
  });

  it.each([
    [1600, 900],
    [360, 200],
    [40, 30],
    [200, 2000],
  ])("stands in a map of %i by %i, whole in the middle and as far as the corners", (width, height) => {
    for (const step of [CLOSE, WIDE]) {
      const places = markPlaces(width, height, step);
      expect(places).toContainEqual([0, 0]);
      const reach = Math.hypot(width, height) / 2;
      for (let turn = 0; turn < 2 * Math.PI; turn += 0.1) {
        const [x, y] = [reach * Math.cos(turn), reach * Math.sin(turn)];
        const nearest = Math.min(...places.map(([px, py]) => Math.hypot(px - x, py - y)));
        expect(nearest).toBeLessThanOrEqual(Math.hypot(step[0] / 2, step[1] / 2));
      }
    }
  });
});
