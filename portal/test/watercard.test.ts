import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { setLang } from "../src/i18n";
import type { Item } from "../src/ui/waterapi";
import { cardsOf, differenceOf, seriesOf, storageText } from "../src/ui/lakecards";
import { eventsOf, watchRuns } from "../src/ui/waterdates";
import { eventColor, eventName } from "../src/ui/waterevents";
import type { LayerInfo } from "../src/api/types";

const item = (properties: Record<string, unknown>): Item => ({ id: 1, geometry: null, properties });
const year = (n: number, more: Record<string, unknown> = {}): Item => item({ name: "洪湖", body: "b", year: n, verdict: "kept", protection_km2: 200, at_level_km2: 199, at_level_half_km2: 1.5, mean_km2: 190, ...more });

describe("lake cards", () => {
  it("come by lake and year; what is missing stays missing", () => {
    const cards = cardsOf([year(2017), year(2015, { natural_shore: null, mean_km2: "12" }), item({ name: null, year: 2015 }), item({ name: "无年", year: null })]);
    expect(cards.map((c) => c.year)).toEqual([2015, 2017]);
    expect(cards[0]?.figures).toMatchObject({ natural_shore: null, mean_km2: null, storage_change_m3: null, protection_km2: 200 });
  });
  it("never take an unknown verdict for kept", () => {
    const verdicts = ["kept", "doubtful", "reduced", "unknown", "strange", null, "toString"].map((verdict) => cardsOf([year(2015, { verdict })])[0]?.verdict);
    expect(verdicts).toEqual(["kept", "doubtful", "reduced", "unknown", "unknown", "unknown", "unknown"]);
  });
  it("say how far the area lies from the line", () => {
    const of = (more: Record<string, unknown>): number | null => differenceOf(cardsOf([year(2015, more)])[0]!);
    expect(of({})).toBeCloseTo(-0.5, 12);
    expect(of({ at_level_km2: null })).toBeNull();
    expect(of({ protection_km2: null })).toBeNull();
    expect(of({ protection_km2: 0 })).toBeNull();
  });
  it("draw the area with its interval, the mean, the line, and leave out what no year has", () => {
    const series = seriesOf(cardsOf([year(2015), year(2016, { at_level_km2: null, at_level_half_km2: null, verdict: "unknown" })]));
    expect(series.map((s) => s.points.map((p) => p.value))).toEqual([[199, null], [190, 190], [200, 200]]);
    expect(series[0]?.points[0]).toMatchObject({ low: 197.5, high: 200.5 });
    expect(series[0]?.points[1]?.low).toBeUndefined();
    expect(seriesOf(cardsOf([year(2015, { at_level_km2: null, protection_km2: null })]))).toHaveLength(1);
    // Each point stands at the start of its year wherever the reader is.
    expect(series.flatMap((s) => s.points.map((p) => new Date(p.time).getFullYear()))).toEqual([2015, 2016, 2015, 2016, 2015, 2016]);
  });
});

describe("in both languages", () => {
  beforeEach(() => {
    vi.stubGlobal("document", { documentElement: {} });
    setLang("zh");
  });
  afterEach(() => {
    setLang("zh");
    vi.unstubAllGlobals();
  });
  it("gives a change of storage its sign and unit", () => {
    expect([storageText(256366), storageText(-1.5e6), storageText(0), storageText(null)]).toEqual(["+25.6 万 m³", "-150.0 万 m³", "0.0 万 m³", null]);
    setLang("en");
    expect(storageText(-1.5e6)).toBe("-1.50 million m³");
  });
  it("names every kind of event that the watch knows, each with its own colour", () => {
    const kinds = ["new", "lost", "dried", "shrunk", "reclaimed", "restored"];
    const events = eventsOf(kinds.map((kind) => item({ kind, time: "2017-01-01T00:00:00Z", zone: "control", body_kind: "lake", last_wet: "2016-07-18" })));
    expect(new Set(events.map(eventColor)).size).toBe(kinds.length);
    for (const event of events) expect(eventName(event)).not.toBe(event.kind);
    expect(eventName(events.find((e) => e.kind === "restored")!)).toBe("水面恢复候选");
    // The first day is that of the finding, not that of the scene shown after it.
    expect(eventsOf([item({ kind: "new", time: "2017-01-07T00:00:00Z", after_date: "2017-04-16" })])[0]?.first).toBe("2017-01-07");
    expect(events[0]).toMatchObject({ zone: "control", bodyKind: "lake", lastWet: "2016-07-18" });
    expect(eventsOf([item({ kind: "new", time: "2017-01-01T00:00:00Z" })])[0]).toMatchObject({ zone: "", bodyKind: "" });
  });
});

it("the cards are a part of a run", () => {
  const layer = { id: "water-watch-aaaaaaaa-cards", published: "2026-01-01T00:00:00Z" } as unknown as LayerInfo;
  expect(watchRuns([layer])[0]?.cards?.id).toBe(layer.id);
});
