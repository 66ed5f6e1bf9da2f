/** The satellite beside a station (星地同图): which published series tells of its water, its points, and the pairs in time. */
import type { Field, LayerInfo } from "../api/types";
import type { Item } from "./waterapi";
import { dayOf } from "./waterdates";

const RUN = /^water-quality(-scenes)?-[0-9a-f]{8}-(series|stations)$/;
/** The sample that stands for a run where there is none. */
const SAMPLE = "lake-optical-series";

/** Longest time between a sample and a pass that are held against each other, hours. */
export const PAIR_HOURS = 48;
/** A series without a name in common may stand in up to this distance, km. */
const NEAR_KM = 5;

const number = (value: unknown): number | null => (typeof value === "number" && Number.isFinite(value) ? value : null);
const text = (value: unknown): string => (value === null || value === undefined ? "" : String(value));

/** Layers that may hold a satellite series: those of runs over scenes first, of each kind the newest; the sample last. */
export function satelliteLayers(layers: readonly LayerInfo[]): LayerInfo[] {
  const best = new Map<string, LayerInfo>();
  for (const layer of layers) {
    const found = RUN.exec(layer.id);
    if (!found) continue;
    const kind = `${found[1] ? 0 : 1}${found[2] === "stations" ? 0 : 1}`;
    const kept = best.get(kind);
    if (!kept || kept.published < layer.published) best.set(kind, layer);
  }
  const sample = layers.filter((l) => l.id === SAMPLE);
  return [...[...best].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, layer]) => layer), ...sample];
}

/** Quantities of a layer that a chart can show, indices and shares; no quartiles, counts or areas. */
export const quantitiesOf = (layer: LayerInfo): Field[] =>
  (layer.fields ?? []).filter(
    (f) => (f.type === "number" || f.type === "integer") && !/_q[13]$|^(pixels|clear_percent|water_km2|bloom_km2)$/.test(f.name),
  );

export interface SatellitePoint {
  time: string;
  values: Readonly<Record<string, unknown>>;
  clear: number | null;
  /** Why the point is to be taken with care; empty of a good one. */
  flags: string;
}

export interface Satellite {
  layer: LayerInfo;
  /** Name of the lake, or of the station itself. */
  place: string;
  /** Whether the series is of the cells at the station. */
  atStation: boolean;
  /** Distance of a place that only lies near, km; 0 where the names agree. */
  km: number;
  points: SatellitePoint[];
}

/** Distance of two points, km, on a sphere: to tell near from far. */
function apart(a: Item["geometry"], b: Item["geometry"]): number {
  const [p, q] = [a?.coordinates, b?.coordinates] as [number[] | undefined, number[] | undefined];
  if (!p || !q || typeof p[0] !== "number" || typeof q[0] !== "number") return Infinity;
  const rad = Math.PI / 180;
  const x = (q[0] - p[0]) * rad * Math.cos(((p[1]! + q[1]!) / 2) * rad);
  return 6371 * Math.hypot(x, (q[1]! - p[1]!) * rad);
}

const point = ({ properties: p }: Item): SatellitePoint => ({ time: text(p["time"]), values: p, clear: number(p["clear_percent"]), flags: text(p["flags"]) });

/**
 * The series that tells most of a station: that of the cells at the station, else that of its lake, else one that lies within
 * 5 km; null where no layer has any.
 */
export function satelliteOf(
  found: readonly { layer: LayerInfo; items: readonly Item[] }[],
  station: string,
  body: string,
  where: Item["geometry"],
): Satellite | null {
  const made = (layer: LayerInfo, items: readonly Item[], place: string, atStation: boolean, km = 0): Satellite => ({
    layer,
    place,
    atStation,
    km,
    points: items.map(point).sort((a, b) => (a.time < b.time ? -1 : 1)),
  });
  for (const { layer, items } of found) {
    const own = items.filter((i) => text(i.properties["station"]) === station);
    if (own.length) return made(layer, own, station, true);
    const lake = body ? items.filter((i) => !("station" in i.properties) && text(i.properties["lake"] ?? i.properties["body"]) === body) : [];
    if (lake.length) return made(layer, lake, body, false);
  }
  for (const { layer, items } of found) {
    const near = items.reduce<[number, Item | null]>((best, i) => (apart(i.geometry, where) < best[0] ? [apart(i.geometry, where), i] : best), [Infinity, null]);
    if (near[1] && near[0] <= NEAR_KM) {
      const key = "station" in near[1].properties ? "station" : "lake";
      const place = text(near[1].properties[key]);
      return made(layer, items.filter((i) => text(i.properties[key]) === place), place, key === "station", near[0]);
    }
  }
  return null;
}

export interface Pair {
  day: string;
  station: number;
  satellite: number;
  /** Hours between the two. */
  hours: number;
  /** Time of the pass. */
  time: string;
}

/** Each sample with the nearest good pass within `PAIR_HOURS`; flagged points and days without a value make no pair. */
export function pairsOf(samples: readonly { time: string; value: number | null }[], points: readonly SatellitePoint[], quantity: string): Pair[] {
  const good = points.filter((p) => !p.flags && number(p.values[quantity]) !== null);
  const found: Pair[] = [];
  for (const { time, value } of samples) {
    if (value === null) continue;
    const at = new Date(time).getTime();
    const near = good.reduce<[number, SatellitePoint | null]>((best, p) => {
      const hours = Math.abs(new Date(p.time).getTime() - at) / 3_600_000;
      return hours < best[0] ? [hours, p] : best;
    }, [Infinity, null]);
    if (near[1] && near[0] <= PAIR_HOURS) found.push({ day: dayOf(time), station: value, satellite: number(near[1].values[quantity])!, hours: near[0], time: near[1].time });
  }
  return found;
}
