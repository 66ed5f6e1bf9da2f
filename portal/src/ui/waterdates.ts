/** Days and runs of the water watch: pure functions on lists. */
import type { LayerInfo } from "../api/types";
import type { Item, Scene } from "./waterapi";

const CHINA = new Intl.DateTimeFormat("en-CA", { timeZone: "Asia/Shanghai", year: "numeric", month: "2-digit", day: "2-digit" });

/** Day of an instant in China, `2024-07-01`; a bare day stays as it is; empty if there is none. */
export function dayOf(time: unknown): string {
  if (typeof time !== "string" || !time) return "";
  if (/^\d{4}-\d{2}-\d{2}$/.test(time)) return time;
  // Days that went through a date-time column are midnights.
  const instant = new Date(time);
  return Number.isNaN(instant.getTime()) ? "" : CHINA.format(instant);
}

/** Scenes that an event names, else those that its days suggest; -1 where there is none. */
export function pairOf(scenes: readonly Scene[], event: WaterEvent): [number, number] {
  const [before, after] = around(scenes, event.first, event.confirmed, event.lastWet);
  const named = (id: string, other: number): number => {
    const found = id ? scenes.findIndex((s) => s.id === id) : -1;
    return found >= 0 ? found : other;
  };
  return [named(event.sceneBefore, before), named(event.sceneAfter, after)];
}

/** Band of a day in a result of dated maps. */
export const bandOf = (day: string): string => `d${day.replaceAll("-", "")}`;

/** Index of the scene whose time is nearest; -1 of none. */
export function nearest(scenes: readonly Pick<Scene, "time">[], time: string): number {
  const at = new Date(time).getTime();
  let best = -1;
  let least = Infinity;
  scenes.forEach((scene, index) => {
    const apart = Math.abs(new Date(scene.time).getTime() - at);
    if (apart < least) [best, least] = [index, apart];
  });
  return best;
}

/** Share of cloud up to which a day counts as clear, percent; another one is preferred where there is a choice. */
export const CLEAR = 20;

const clear = (scene: Scene): boolean => (scene.cloud_cover ?? 0) <= CLEAR;

/**
 * Scenes to compare for an event: the last before its first day (of a loss: up to the last day with water), and the first on
 * or after the day that confirmed it. Clear ones are preferred; -1 where there is none.
 */
export function around(scenes: readonly Scene[], first: string, confirmed: string, lastWet = ""): [number, number] {
  const before = (fits: (scene: Scene) => boolean): number =>
    scenes.findLastIndex((s) => dayOf(s.time) < first && (!lastWet || dayOf(s.time) <= lastWet) && fits(s));
  const after = (fits: (scene: Scene) => boolean): number => scenes.findIndex((s) => dayOf(s.time) >= (confirmed || first) && fits(s));
  const best = (find: (fits: (scene: Scene) => boolean) => number): number => {
    const found = find(clear);
    return found >= 0 ? found : find(() => true);
  };
  return [best(before), best(after)];
}

const RUN = /^water-watch-([0-9a-f]{8})(?:-([a-z]+))?$/;
const PARTS = ["extent", "frequency", "transition", "bodies", "series", "events", "cards"] as const;
type Part = (typeof PARTS)[number];

/** The layers of one run of the water watch. */
export type WatchRun = { id: string; published: string } & Partial<Record<Part, LayerInfo>>;

/** Runs of the water watch in the catalogue, the newest first. */
export function watchRuns(layers: readonly LayerInfo[]): WatchRun[] {
  const runs = new Map<string, WatchRun>();
  for (const layer of layers) {
    const [, id = "", part = "extent"] = RUN.exec(layer.id) ?? [];
    if (!id || !(PARTS as readonly string[]).includes(part)) continue;
    const run = runs.get(id) ?? { id, published: "" };
    run[part as Part] = layer;
    if (layer.published > run.published) run.published = layer.published;
    runs.set(id, run);
  }
  return [...runs.values()].sort((a, b) => (a.published < b.published ? 1 : -1));
}

/** The newest run over a collection. */
export const runOf = (layers: readonly LayerInfo[], collection: string): WatchRun | undefined =>
  watchRuns(layers).find((run) =>
    Object.values(run).some((part) => typeof part === "object" && part.derived_from?.some((name) => name.split("@")[0] === collection)),
  );

export interface AreaPoint {
  time: string;
  day: string;
  area: number | null;
  low: number | null;
  high: number | null;
  seen: number | null;
  flag: string;
  level: number | null;
}

export interface Body {
  id: string;
  name: string;
  kind: string;
  largest: number;
  points: AreaPoint[];
}

const number = (value: unknown): number | null => (typeof value === "number" && Number.isFinite(value) ? value : null);

/** Bodies of the features of a series layer, named ones first, then the largest; points by time. */
export function bodiesOf(items: readonly Item[]): Body[] {
  const bodies = new Map<string, Body>();
  for (const { properties: p } of items) {
    const id = String(p["body"] ?? "");
    const time = String(p["time"] ?? "");
    if (!id || !time) continue;
    const body = bodies.get(id) ?? { id, name: "", kind: String(p["kind"] ?? ""), largest: 0, points: [] };
    if (p["name"]) body.name = String(p["name"]);
    const area = number(p["area_km2"]);
    body.largest = Math.max(body.largest, area ?? 0);
    body.points.push({
      time,
      day: dayOf(time),
      area,
      low: number(p["area_low_km2"]),
      high: number(p["area_high_km2"]),
      seen: number(p["seen_share"]),
      flag: String(p["flag"] ?? ""),
      level: number(p["level_m"]),
    });
    bodies.set(id, body);
  }
  for (const { points } of bodies.values()) points.sort((a, b) => (a.time < b.time ? -1 : 1));
  return [...bodies.values()].sort((a, b) => Number(!a.name) - Number(!b.name) || b.largest - a.largest);
}

export interface WaterEvent {
  feature: number | string;
  kind: string;
  body: string;
  name: string;
  first: string;
  confirmed: string;
  ended: string;
  /** The last day on which there was water; empty if it is not recorded. */
  lastWet: string;
  /** Scenes that show the place before and after; empty if they are not recorded. */
  collection: string;
  sceneBefore: string;
  sceneAfter: string;
  /** Zone of the lake's protection in which it lies (保护区、控制区、之外); empty without a protection line. */
  zone: string;
  /** Kind of the body; empty if it is not recorded. */
  bodyKind: string;
  areaKm2: number | null;
  evidence: { zh: string; en: string };
  geometry: Item["geometry"];
}

const text = (value: unknown): string => (value === null || value === undefined ? "" : String(value));

/** Events of the features of an event layer, reclamation first, then the newest. */
export function eventsOf(items: readonly Item[]): WaterEvent[] {
  const events = items.map(({ id, geometry, properties: p }): WaterEvent => {
    const km2 = number(p["area_km2"]) ?? (number(p["area_ha"]) === null ? null : number(p["area_ha"])! / 100);
    const m2 = number(p["area_m2"]);
    return {
      feature: id,
      kind: text(p["kind"]),
      body: text(p["body"] ?? p["body_id"]),
      name: text(p["name"]),
      first: dayOf(p["first"] ?? p["first_date"] ?? p["time"] ?? p["after_date"]),
      confirmed: dayOf(p["confirmed"] ?? p["confirmed_date"]),
      ended: dayOf(p["ended"] ?? p["ended_date"]),
      lastWet: dayOf(p["last_wet"]),
      collection: text(p["scene_collection"]),
      sceneBefore: text(p["scene_before"]),
      sceneAfter: text(p["scene_after"]),
      zone: text(p["zone"]),
      bodyKind: text(p["body_kind"]),
      areaKm2: km2 ?? (m2 === null ? null : m2 / 1e6),
      evidence: { zh: text(p["evidence_zh"] ?? p["evidence"]), en: text(p["evidence_en"] ?? p["evidence"]) },
      geometry,
    };
  });
  const rank = (event: WaterEvent): number => (event.kind.startsWith("recla") ? 0 : 1);
  return events.sort((a, b) => rank(a) - rank(b) || (a.first < b.first ? 1 : a.first > b.first ? -1 : 0));
}

/** Box of the coordinates of a geometry, however deep they stand; null of none. */
export function boxOf(geometry: Item["geometry"]): [number, number, number, number] | null {
  const box: [number, number, number, number] = [Infinity, Infinity, -Infinity, -Infinity];
  const visit = (node: unknown): void => {
    if (!Array.isArray(node)) return;
    const [x, y] = node as unknown[];
    if (typeof x === "number" && typeof y === "number") {
      box[0] = Math.min(box[0], x);
      box[1] = Math.min(box[1], y);
      box[2] = Math.max(box[2], x);
      box[3] = Math.max(box[3], y);
    } else for (const part of node as unknown[]) visit(part);
  };
  visit(geometry?.coordinates);
  return Number.isFinite(box[0]) ? box : null;
}
