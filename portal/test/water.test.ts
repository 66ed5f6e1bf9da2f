import { describe, expect, it } from "vitest";
import type { LayerInfo } from "../src/api/types";
import { decode, encode, type ShareState } from "../src/share";
import { around, bandOf, bodiesOf, boxOf, dayOf, eventsOf, nearest, pairOf, runOf, watchRuns } from "../src/ui/waterdates";
import type { Item, Scene } from "../src/ui/waterapi";
import { exposureOf } from "../src/ui/waterflood";
import { monthRows, monthsOf, newest, yearRows } from "../src/ui/watersections";
import { pairsOf, satelliteLayers, satelliteOf } from "../src/ui/watersatellite";

const layer = (id: string, published: string, from: string[] = []): LayerInfo =>
  ({ id, published, derived_from: from, title: { zh: id, en: id } }) as unknown as LayerInfo;
const item = (id: number, properties: Record<string, unknown>, geometry: Item["geometry"] = null): Item => ({ id, properties, geometry });
const scene = (day: string, cloud: number | null): Scene => ({ id: `s-${day}`, time: `${day}T03:00:00Z`, cloud_cover: cloud, bands: [] });

describe("days", () => {
  it.each([
    ["2024-07-01T03:00:00Z", "2024-07-01"],
    ["2024-06-30T16:00:00Z", "2024-07-01"], // midnight in China
    ["2024-06-30T15:59:59Z", "2024-06-30"],
    ["2024-07-01", "2024-07-01"],
    ["", ""],
    ["nonsense", ""],
    [null, ""],
  ])("day of %s is %s", (time, day) => expect(dayOf(time)).toBe(day));
  it("names the band of a day", () => expect(bandOf("2024-07-01")).toBe("d20240701"));
  it("finds the nearest scene", () => {
    const scenes = [scene("2020-01-01", 0), scene("2020-03-01", 0), scene("2020-12-01", 0)];
    expect(nearest(scenes, "2020-02-20T00:00:00Z")).toBe(1);
    expect(nearest(scenes, "1999-01-01")).toBe(0);
    expect(nearest([], "2020-01-01")).toBe(-1);
  });
});

describe("scenes before and after an event", () => {
  const scenes = [scene("2018-01-01", 5), scene("2018-04-01", 60), scene("2018-07-01", 5), scene("2018-10-01", 80), scene("2019-01-01", 10)];
  it("prefers clear ones", () => expect(around(scenes, "2018-07-01", "2018-10-01")).toEqual([0, 4]));
  it("takes the first day where nothing confirmed it", () => expect(around(scenes, "2018-07-01", "")).toEqual([0, 2]));
  it("takes a cloudy one where there is no other", () => expect(around(scenes.slice(1, 4), "2018-07-01", "2018-10-01")).toEqual([0, 2]));
  it("goes back to the last day with water", () => expect(around(scenes, "2018-10-01", "2019-01-01", "2018-04-10")).toEqual([0, 4]));
  it("says where there is none", () => expect(around(scenes, "2018-01-01", "2030-01-01")).toEqual([-1, -1]));
});

describe("runs of the water watch", () => {
  const layers = [
    layer("water-watch-aaaaaaaa-extent", "2026-01-01T00:00:00Z", ["honghu-scenes", "lakes"]),
    layer("water-watch-aaaaaaaa-series", "2026-01-01T00:00:01Z", ["honghu-scenes", "lakes"]),
    layer("water-watch-bbbbbbbb", "2026-02-01T00:00:00Z", ["liangzi-scenes"]),
    layer("water-watch-cccccccc-extent", "2026-03-01T00:00:00Z", ["honghu-scenes"]),
    layer("water-watch-cccccccc-unknown", "2026-03-01T00:00:00Z", ["honghu-scenes"]),
    layer("lakes", "2026-04-01T00:00:00Z"),
  ];
  it("are grouped, the newest first", () => expect(watchRuns(layers).map((r) => r.id)).toEqual(["cccccccc", "bbbbbbbb", "aaaaaaaa"]));
  it("are those of the collection", () => {
    expect(runOf(layers, "honghu-scenes")?.extent?.id).toBe("water-watch-cccccccc-extent");
    expect(runOf(layers, "liangzi-scenes")?.extent?.id).toBe("water-watch-bbbbbbbb");
    expect(runOf(layers, "other-scenes")).toBeUndefined();
  });
});

describe("series", () => {
  const rows = [
    item(1, { body: "b", name: null, kind: "pond", time: "2020-02-01T00:00:00Z", area_km2: 2, flag: "observed" }),
    item(2, { body: "a", name: "洪湖", kind: "lake", time: "2020-02-01T00:00:00Z", area_km2: 1, area_low_km2: 0.9, area_high_km2: 1.1, seen_share: 0.5, flag: "filled", level_m: 24.5 }),
    item(3, { body: "a", name: "洪湖", kind: "lake", time: "2020-01-01T00:00:00Z", area_km2: null, flag: "none" }),
    item(4, { body: "", time: "2020-01-01T00:00:00Z" }),
  ];
  it("gives bodies with points by time, named first", () => {
    const bodies = bodiesOf(rows);
    expect(bodies.map((b) => b.id)).toEqual(["a", "b"]);
    expect(bodies[0]?.points.map((p) => p.day)).toEqual(["2020-01-01", "2020-02-01"]);
    expect(bodies[0]?.points[0]?.area).toBeNull();
    expect(bodies[0]?.points[1]).toMatchObject({ area: 1, low: 0.9, high: 1.1, flag: "filled", level: 24.5 });
    expect(bodies[0]?.largest).toBe(1);
  });
});

describe("events", () => {
  it("puts reclamation first, then the newest; hectares are square kilometres × 100", () => {
    const events = eventsOf([
      item(1, { kind: "new", body: "x", time: "2017-07-05T00:00:00Z", area_ha: 10 }),
      item(2, { kind: "reclaimed", body: "x", time: "2018-07-12T00:00:00Z", confirmed: "2019-04-10", ended: null, area_ha: 35.9, last_wet: "2017-04-16", scene_collection: "c", scene_before: "s1", scene_after: "s4", evidence_zh: "甲", evidence_en: "wet until 2011-01-01" }),
      item(3, { kind: "new", body: "x", time: "2019-07-05T00:00:00Z", area_m2: 5e4 }),
    ]);
    expect(events.map((e) => e.feature)).toEqual([2, 3, 1]);
    expect(events[0]).toMatchObject({ first: "2018-07-12", confirmed: "2019-04-10", ended: "", lastWet: "2017-04-16", collection: "c", sceneBefore: "s1", sceneAfter: "s4", evidence: { zh: "甲" } });
    // What is not recorded stays empty: it is not read out of a sentence.
    expect(events[1]).toMatchObject({ lastWet: "", collection: "", sceneBefore: "", sceneAfter: "" });
    expect(events[0]?.areaKm2).toBeCloseTo(0.359, 12);
    expect(events[1]?.areaKm2).toBeCloseTo(0.05, 12);
  });
  it("are compared on the scenes that they name, else on those that their days suggest", () => {
    const scenes = ["2017-01-10", "2017-04-16", "2018-07-12", "2019-04-10"].map((day, n) => ({ id: `s${n + 1}`, time: `${day}T03:00:00Z`, cloud_cover: 0, bands: [] }));
    const [named] = eventsOf([item(1, { kind: "reclaimed", time: "2018-07-12T00:00:00Z", confirmed: "2019-04-10", scene_collection: "c", scene_before: "s1", scene_after: "s3" })]);
    expect(pairOf(scenes, named!)).toEqual([0, 2]);
    const [told] = eventsOf([item(1, { kind: "reclaimed", time: "2018-07-12T00:00:00Z", confirmed: "2019-04-10" })]);
    expect(pairOf(scenes, told!)).toEqual([1, 3]);
    expect(pairOf(scenes, { ...named!, sceneBefore: "gone" })).toEqual([1, 2]);
  });
  it("have the box of their geometry", () => {
    expect(boxOf({ type: "MultiPolygon", coordinates: [[[[1, 2], [3, 4], [0, 5]]]] })).toEqual([0, 2, 3, 5]);
    expect(boxOf(null)).toBeNull();
    expect(boxOf({ type: "Polygon", coordinates: [] })).toBeNull();
  });
});

describe("sections", () => {
  const year = yearRows([
    item(1, { station: "乙", water_body: "长江", class: "2", worst: "总磷", target: 2, reached: true }),
    item(2, { station: "丙", water_body: "洪湖", class: null, worst: null, target: null, reached: null }),
  ]);
  it("keeps what was not assessed apart from what failed", () => {
    const none = year.find((r) => r.station === "丙");
    expect(none).toMatchObject({ class: null, target: null, reached: null });
    expect(year.find((r) => r.station === "乙")).toMatchObject({ class: 2, reached: true });
  });
  it("judges a month by the target of the section", () => {
    const series = [
      item(1, { station: "乙", time: "2024-07-03T02:00:00Z", water_class: 3 }),
      item(2, { station: "乙", time: "2024-06-30T17:00:00Z", water_class: null }),
      item(3, { station: "丁", time: "2024-07-03T02:00:00Z", water_class: 1 }),
      item(4, { station: "乙", time: "2024-06-03T02:00:00Z", water_class: 1 }),
    ];
    expect(monthsOf(series)).toEqual(["2024-07", "2024-06"]);
    const rows = monthRows(series, "2024-07", new Map(year.map((r) => [r.station, r.target])));
    expect(rows.filter((r) => r.station === "乙").map((r) => r.reached)).toEqual([false, null]);
    expect(rows.find((r) => r.station === "丁")?.reached).toBeNull();
  });
  it("come from the newest result", () => {
    const layers = [layer("station-quality-aaaaaaaa-series", "2026-01-01"), layer("station-quality-bbbbbbbb-series", "2026-02-01"), layer("station-quality-bbbbbbbb-sections", "2026-03-01")];
    expect(newest(layers, "station-quality", "series")?.id).toBe("station-quality-bbbbbbbb-series");
    expect(newest(layers, "station-quality", "nothing")).toBeUndefined();
  });
});

describe("exposure", () => {
  const rows = [
    { level_m: 27.3, where: "flooded", depth_m: "0–0.5", area_km2: 1, built_km2: 0.5, cropland_km2: 0.25, people: 10 },
    { level_m: 27.3, where: "released", depth_m: "0–0.5", area_km2: 2, built_km2: 0.5, cropland_km2: 0, people: 5 },
    { level_m: 27.3, where: "flooded", depth_m: "all", area_km2: 1, built_km2: 0.5, cropland_km2: 0.25, people: 10 },
    { level_m: 27.3, where: "released", depth_m: "all", area_km2: 2, built_km2: 0.5, cropland_km2: 0, people: 5 },
    { level_m: 29.73, where: "flooded", depth_m: "all", area_km2: 9 },
  ];
  it("adds up over where the water came from", () => {
    expect(exposureOf(rows, 27.3)).toEqual([
      { depth: "0–0.5", area: 3, built: 1, cropland: 0.25, people: 15 },
      { depth: "all", area: 3, built: 1, cropland: 0.25, people: 15 },
    ]);
  });
  it("keeps what was not counted empty", () => expect(exposureOf(rows, 29.73)).toEqual([{ depth: "all", area: 9, built: null, cropland: null, people: null }]));
});

describe("link", () => {
  const state: ShareState = { lon: 113.3, lat: 29.8, zoom: 11, tileSet: "CGCS2000Quad", base: "plain", layers: [], lang: "zh", tool: "water", swipe: { layer: "water-before", at: 0.5 } };
  it("holds the day, the picture and the earlier day", () => {
    const dated = { collection: "honghu-scenes", scene: "honghu-20241023", picture: "mndwi", water: true, before: "honghu-20150422" };
    expect(decode(encode({ ...state, dated })).dated).toEqual(dated);
    expect(decode(encode({ ...state, dated: { ...dated, before: "" } })).dated?.before).toBe("");
    expect(decode(encode(state)).dated).toBeUndefined();
  });
  it("refuses names that are none", () => {
    expect(decode("#v=1&d=../x:y:z:1:").dated).toBeUndefined();
    expect(decode("#v=1&d=honghu-scenes:a/b:z:1:").dated).toBeUndefined();
    expect(decode("#v=1&d=honghu-scenes:a:z:1:b/c").dated?.before).toBe("");
  });
});

describe("satellite beside a station", () => {
  const at = (x: number, y: number): Item["geometry"] => ({ type: "Point", coordinates: [x, y] });
  const pass = (day: string, more: Record<string, unknown>, where = at(113.3, 29.85)): Item => item(1, { time: `${day}T03:00:00Z`, clear_percent: 90, flags: "", ...more }, where);
  const scenes = layer("water-quality-scenes-0a1b2c3d-series", "2026-02-01");
  const cells = layer("water-quality-scenes-0a1b2c3d-stations", "2026-02-01");
  const sample = layer("lake-optical-series", "2026-01-01");
  it("takes the newest run, cells before lakes, the sample last", () => {
    const old = layer("water-quality-scenes-00000000-series", "2025-01-01");
    const single = layer("water-quality-11111111-series", "2026-03-01");
    expect(satelliteLayers([sample, old, single, scenes, cells, layer("lakes", "")]).map((l) => l.id)).toEqual([cells.id, scenes.id, single.id, sample.id]);
  });
  const lake = { layer: scenes, items: [pass("2024-08-23", { lake: "洪湖", ndci: 0.12 }), pass("2024-08-08", { lake: "洪湖", ndci: 0.1 })] };
  const own = { layer: cells, items: [pass("2024-08-08", { station: "洪湖·湖心", lake: "洪湖", ndci: 0.2 })] };
  it("finds the cells of the station, else its lake in the order of time, else what lies near, else none", () => {
    expect(satelliteOf([own, lake], "洪湖·湖心", "洪湖", at(0, 0))).toMatchObject({ atStation: true, place: "洪湖·湖心", km: 0 });
    const found = satelliteOf([own, lake], "洪湖·北", "洪湖", at(0, 0));
    expect(found).toMatchObject({ atStation: false, place: "洪湖" });
    expect(found?.points.map((p) => p.time.slice(0, 10))).toEqual(["2024-08-08", "2024-08-23"]);
    expect(satelliteOf([lake], "新断面", "", at(113.32, 29.85))?.km).toBeCloseTo(1.93, 1);
    expect(satelliteOf([lake], "长江·汉口", "长江", at(114.3, 30.58))).toBeNull();
    expect(satelliteOf([], "x", "y", null)).toBeNull();
  });
  it("pairs a sample with the nearest good pass within two days", () => {
    const points = satelliteOf([lake], "s", "洪湖", null)!.points;
    const flagged = points.map((p) => ({ ...p, flags: "low-clear" }));
    const samples = [
      { time: "2024-08-08T00:00:00Z", value: 22 },
      { time: "2024-08-15T00:00:00Z", value: 23 },
      { time: "2024-08-22T03:00:00Z", value: null },
    ];
    expect(pairsOf(samples, points, "ndci")).toEqual([{ day: "2024-08-08", station: 22, satellite: 0.1, hours: 3, time: "2024-08-08T03:00:00Z" }]);
    expect(pairsOf(samples, flagged, "ndci")).toEqual([]);
    expect(pairsOf(samples, points, "fai")).toEqual([]);
  });
});
