/**
 * The state of the portal as a link (hash of the address) and back.
 *
 * `#v=1&c=114.30000,30.60000&z=8.20&t=c&b=relief&l=dem:70:1,counties:100:0&lang=en&p=query&s=dem:0.50`:
 * `l` lists layers from the top down as `id:opacity %:visible`; `s` is the swiped layer and its position; `w` is a what-if
 * scenario as `layer:name=value;…`, encoded; `d` is the picture of a day as `collection:scene:picture:water map:earlier scene`.
 */
import type { Lang } from "./api/types";
import type { TileSet } from "./geo/crs";

export const TOOLS = ["browse", "query", "compare", "water", "chief", "carto", "share"] as const;
export type Tool = (typeof TOOLS)[number];

export const BASES = ["relief", "plain", "none"] as const;
export type Base = (typeof BASES)[number];

export interface ActiveLayer {
  id: string;
  /** 0–1 */
  opacity: number;
  visible: boolean;
}

export interface Swipe {
  layer: string;
  /** Share of the map's width, 0–1. */
  at: number;
}

/** A what-if scenario of a layer: query parameters of its what-if tiles. */
export interface Scenario {
  layer: string;
  params: Record<string, string>;
}

/** The picture of a day, and the one of an earlier day beside it. */
export interface Dated {
  collection: string;
  scene: string;
  /** Index or composite of the scene, or "none". */
  picture: string;
  /** Whether the water map of the day is drawn. */
  water: boolean;
  /** Scene left of the divider, or empty. */
  before: string;
}

export interface ShareState {
  lon: number;
  lat: number;
  /** Zoom in levels of the tile set. */
  zoom: number;
  tileSet: TileSet;
  base: Base;
  /** Top first. */
  layers: ActiveLayer[];
  lang: Lang;
  tool: Tool;
  swipe: Swipe | null;
  scenario?: Scenario;
  dated?: Dated;
}

const SETS: Record<string, TileSet> = { c: "CGCS2000Quad", w: "WebMercatorQuad" };
const SCENE_ID = /^[A-Za-z0-9][\w.-]{0,120}$/;
const LAYER_ID = /^[a-z][a-z0-9-]{0,80}$/;

export function encode(state: ShareState): string {
  const parts = [
    "v=1",
    `c=${state.lon.toFixed(5)},${state.lat.toFixed(5)}`,
    `z=${state.zoom.toFixed(2)}`,
    `t=${state.tileSet === "CGCS2000Quad" ? "c" : "w"}`,
    `b=${state.base}`,
    `l=${state.layers.map((l) => `${l.id}:${Math.round(l.opacity * 100)}:${l.visible ? 1 : 0}`).join(",")}`,
    `lang=${state.lang}`,
    `p=${state.tool}`,
  ];
  if (state.swipe) parts.push(`s=${state.swipe.layer}:${state.swipe.at.toFixed(2)}`);
  if (state.scenario) {
    const { layer, params } = state.scenario;
    const list = Object.entries(params).map(([name, value]) => `${name}=${value.replaceAll(";", ",")}`);
    parts.push(`w=${encodeURIComponent(`${layer}:${list.join(";")}`)}`);
  }
  if (state.dated) {
    const { collection, scene, picture, water, before } = state.dated;
    parts.push(`d=${[collection, scene, picture, water ? 1 : 0, before].join(":")}`);
  }
  return `#${parts.join("&")}`;
}

const finite = (text: string | undefined): number | null => {
  if (text === undefined || text.trim() === "") return null;
  const value = Number(text);
  return Number.isFinite(value) ? value : null;
};

const clamp = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, value));

/** What a hash says; parts that are missing or malformed are left out. A later format (`v` ≠ 1) gives nothing. */
export function decode(hash: string): Partial<ShareState> {
  const query = new URLSearchParams(hash.replace(/^#/, ""));
  if (query.get("v") !== "1") return {};
  const state: Partial<ShareState> = {};
  const [lon, lat] = (query.get("c") ?? "").split(",").map((v) => finite(v));
  if (typeof lon === "number" && typeof lat === "number" && Math.abs(lon) <= 180 && Math.abs(lat) <= 90) {
    state.lon = lon;
    state.lat = lat;
  }
  const zoom = finite(query.get("z") ?? undefined);
  if (zoom !== null) state.zoom = clamp(zoom, 0, 22);
  const set = SETS[query.get("t") ?? ""];
  if (set) state.tileSet = set;
  const base = BASES.find((b) => b === query.get("b"));
  if (base) state.base = base;
  const list = query.get("l");
  if (list !== null) {
    const seen = new Set<string>();
    state.layers = [];
    for (const part of list.split(",")) {
      const [id = "", opacity, visible] = part.split(":");
      if (!LAYER_ID.test(id) || seen.has(id)) continue;
      seen.add(id);
      state.layers.push({ id, opacity: clamp(finite(opacity) ?? 100, 0, 100) / 100, visible: visible !== "0" });
    }
  }
  const language = query.get("lang");
  if (language === "zh" || language === "en") state.lang = language;
  const tool = TOOLS.find((name) => name === query.get("p"));
  if (tool) state.tool = tool;
  const [swiped = "", at] = (query.get("s") ?? "").split(":");
  if (LAYER_ID.test(swiped)) state.swipe = { layer: swiped, at: clamp(finite(at) ?? 0.5, 0, 1) };
  const scenario = decodeScenario(query.get("w") ?? "");
  if (scenario) state.scenario = scenario;
  const [collection = "", scene = "", picture = "", water, before = ""] = (query.get("d") ?? "").split(":");
  if (LAYER_ID.test(collection) && SCENE_ID.test(scene) && LAYER_ID.test(picture))
    state.dated = { collection, scene, picture, water: water === "1", before: SCENE_ID.test(before) ? before : "" };
  return state;
}

const CHANGE = /^(band|off|(edges|matrix|shift|weights)\.[a-z0-9][a-z0-9_-]{0,60})$/;
const VALUE = /^[\w.,:+-]{1,400}$/;

/** A scenario of a link; null if it names no layer or nothing that is a parameter. */
function decodeScenario(text: string): Scenario | null {
  const colon = text.indexOf(":");
  const layer = text.slice(0, colon);
  if (colon < 0 || !LAYER_ID.test(layer)) return null;
  const params: Record<string, string> = {};
  for (const part of text.slice(colon + 1).split(";")) {
    const [name = "", value = ""] = part.split("=");
    if (CHANGE.test(name) && VALUE.test(value)) params[name] = value;
  }
  return Object.keys(params).length ? { layer, params } : null;
}
