/** What a page of the OGC API tells its map, and the texts beside the map; no map library here. */
import type { Catalogue, LayerInfo } from "../api/types";

export type Box = [number, number, number, number];

export interface Spec {
  /** Layer whose tiles are drawn. */
  layer?: string;
  version?: string;
  /** West, south, east, north in degrees. */
  bbox?: Box;
  /** Address of the features of the page as GeoJSON in longitude, latitude. */
  features?: string;
  geojson?: unknown;
  synthetic?: boolean;
}

/** The `data-map` of a page; anything that is not ours gives an empty map rather than an error. */
export function readSpec(text: string | undefined): Spec {
  let raw: unknown;
  try {
    raw = JSON.parse(text ?? "{}");
  } catch {
    return {};
  }
  if (typeof raw !== "object" || raw === null || Array.isArray(raw)) return {};
  const { bbox, ...rest } = raw as Record<string, unknown>;
  return isBox(bbox) ? { ...rest, bbox } : rest;
}

const isBox = (value: unknown): value is Box =>
  Array.isArray(value) && value.length === 4 && value.every((v) => typeof v === "number" && Number.isFinite(v));

/** The box, widened to at least `least` degrees a side: a single point has no width to fit a view to. */
export function widened([west, south, east, north]: Box, least = 0.02): Box {
  const dx = Math.max(0, (least - (east - west)) / 2);
  const dy = Math.max(0, (least - (north - south)) / 2);
  return [west - dx, south - dy, east + dx, north + dy];
}

/** Tile addresses relative to the root of the server, of one version where the page is of an older one. */
export function rooted(info: LayerInfo, root: string, version?: string): LayerInfo {
  const tiles = Object.fromEntries(
    Object.entries(info.tiles).map(([set, path]) => {
      const pinned = version && version !== info.version ? path.replace(/version=[^&]*/, `version=${encodeURIComponent(version)}`) : path;
      return [set, root + pinned.replace(/^\//, "")];
    }),
  );
  return { ...info, tiles };
}

/** The catalogue with all tile addresses relative to the root. */
export const rootedCatalogue = (catalogue: Catalogue, root: string): Catalogue => ({
  ...catalogue,
  layers: catalogue.layers.map((info) => rooted(info, root)),
});

/** A place in words: both axis orders, because the wrong one is the commonest mistake with EPSG:4490. */
export function place(lon: number, lat: number, zh: boolean): string {
  const [x, y] = [lon.toFixed(5), lat.toFixed(5)];
  return zh
    ? `经度 ${x}，纬度 ${y}（CRS84 写作 ${x},${y}；EPSG:4490、4326 写作 ${y},${x}）`
    : `longitude ${x}, latitude ${y} (CRS84: ${x},${y}; EPSG:4490 and 4326: ${y},${x})`;
}

/** Text of a `bbox` parameter, west, south, east, north; five decimals are about a metre. */
export const boxText = (box: number[]): string => box.map((v) => String(Number(v.toFixed(5)))).join(",");

const area = ([west, south, east, north]: Box): number => (east - west) * (north - south);

/** True if boxes lie over each other so much that filling them would hide the map below. */
export function overlap(boxes: Box[]): boolean {
  const whole: Box = [Infinity, Infinity, -Infinity, -Infinity];
  for (const [west, south, east, north] of boxes) {
    whole[0] = Math.min(whole[0], west);
    whole[1] = Math.min(whole[1], south);
    whole[2] = Math.max(whole[2], east);
    whole[3] = Math.max(whole[3], north);
  }
  return boxes.length > 1 && boxes.reduce((sum, box) => sum + area(box), 0) > 1.5 * area(whole);
}
