import { describe, expect, it } from "vitest";
import { decode, encode, type ShareState } from "../src/share";
import { draftOf, emptyDraft, moved, paramsOf, spanOf, stepOf } from "../src/ui/limits";
import type { Station } from "../src/api/types";

const station = (id: string, edges: number[], more: Partial<Station> = {}): Station => ({
  id,
  title: { zh: id, en: id },
  kind: "start",
  unit: null,
  range: [0, 60],
  edges,
  matrix: null,
  left_out: false,
  change: { edges: true, matrix: false, shift: false, weights: true, off: true },
  source: "-",
  tag: "own",
  ...more,
});
const IDENTITY = [1, 2, 3, 4, 5].map((r) => [1, 2, 3, 4, 5].map((c) => Math.max(r, c)));
const STATIONS = [station("slope", [3, 8, 15, 25]), station("water", [10, 20], { matrix: IDENTITY })];

describe("sliders", () => {
  it.each([
    [0, 60, 0.5],
    [0, 90000, 500],
    [0, 1, 0.005],
    [5, 5, 1],
  ])("step of %d to %d is %d", (low, high, step) => expect(stepOf(low, high)).toBe(step));

  it("reach over the limits and the values, but not far beyond the limits", () => {
    expect(spanOf(STATIONS[0]!)).toMatchObject({ low: 0, high: 60 });
    const far = spanOf(station("minutes", [60, 120], { range: [0, 100_000] }));
    expect(far.high).toBe(240);
    const { low, high } = spanOf(station("warm", [-10, 4], { range: [-30, 20] }));
    expect(low).toBeLessThan(-10);
    expect(high).toBeGreaterThanOrEqual(20);
  });

  it("keep the limits rising: neighbours give way", () => {
    expect(moved([3, 8, 15, 25], 1, 20, 0.5)).toEqual([3, 20, 20.5, 25]);
    expect(moved([3, 8, 15, 25], 2, 1, 0.5)).toEqual([0, 0.5, 1, 25]);
    expect(moved([3, 8, 15, 25], 0, 4, 0.5)).toEqual([4, 8, 15, 25]);
    expect(moved([0.1, 0.2], 0, 0.3, 0.1)).toEqual([0.3, 0.4]);
  });
});

describe("scenario", () => {
  it("sends only what differs", () => {
    expect(paramsOf(emptyDraft(), STATIONS)).toEqual({});
    const draft = { ...emptyDraft(), edges: { slope: [2, 8, 15, 25], water: [10, 20] }, matrix: { water: IDENTITY } };
    expect(paramsOf(draft, STATIONS)).toEqual({ "edges.slope": "2,8,15,25" });
  });

  it("goes through parameters and back", () => {
    const flat = IDENTITY.map((row) => row.map(() => 3));
    const draft = { edges: { slope: [1, 2, 3, 4] }, matrix: { water: flat }, off: ["water"], shown: "reason" as const };
    expect(draftOf(paramsOf(draft, STATIONS), STATIONS)).toEqual(draft);
    expect(draftOf({ "edges.slope": "1,2", "edges.none": "1", off: "none", band: "x" }, STATIONS)).toEqual(emptyDraft());
  });

  it("goes through a link and back", () => {
    const state: ShareState = {
      lon: 114, lat: 30, zoom: 9, tileSet: "CGCS2000Quad", base: "none", layers: [{ id: "urban-1", opacity: 1, visible: true }],
      lang: "zh", tool: "compare", swipe: null,
      scenario: { layer: "urban-1", params: { "edges.slope": "2,8,15.5,25", off: "water-surface,relief", band: "reason" } },
    };
    expect({ swipe: null, ...decode(encode(state)) }).toEqual(state);
    expect(encode(state)).not.toContain(" ");
  });

  it("takes only parameters from a link", () => {
    const link = (text: string): unknown => decode(`#v=1&w=${encodeURIComponent(text)}`).scenario;
    expect(link("urban:edges.slope=1,2;x=1;version=2;off=<b>")).toEqual({ layer: "urban", params: { "edges.slope": "1,2" } });
    for (const bad of ["", "urban", "urban:", "Bad Id:off=a", "urban:tms=1"]) expect(link(bad)).toBeUndefined();
  });
});
