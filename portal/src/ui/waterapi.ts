/** Documents of the scenes and of the published results of the water analyses, as far as the portal reads them. */
import { address, json } from "../api/client";
import type { LayerInfo, Text } from "../api/types";

export interface SceneCollection {
  id: string;
  title: Text;
  description: Text;
  synthetic: boolean;
  licence: string;
  attribution: Text;
  bbox: [number, number, number, number];
  count: number;
  first: string;
  last: string;
}

export interface Scene {
  id: string;
  time: string;
  cloud_cover: number | null;
  bands: string[];
}

export interface ScenesDocument extends SceneCollection {
  tiles: string;
  scenes: Scene[];
  refused: Text[];
}

/** What can be shown of a scene. */
export interface SceneIndex {
  id: string;
  title: Text;
  bands: string[];
  kind: string;
  stops: { value: number; color: string }[];
}

export interface Item {
  id: number | string;
  geometry: { type: string; coordinates: unknown } | null;
  properties: Record<string, unknown>;
}

interface Page {
  features: Item[];
  links?: { rel: string; href: string }[];
}

export const getCollections = async (): Promise<SceneCollection[]> =>
  (await json<{ collections: SceneCollection[] }>("/api/v1/scenes", { cache: "no-cache" })).collections;

export const getScenes = (collection: string): Promise<ScenesDocument> => json(`/api/v1/scenes/${collection}`, { cache: "no-cache" });

/** Picture of a scene around a feature, with its outline, day and mark drawn in. */
export const chipAddress = (collection: string, scene: string, layer: string, feature: number | string): string =>
  address(`/tiles/scenes/${encodeURIComponent(collection)}/${encodeURIComponent(scene)}/chip.webp?${new URLSearchParams({ layer, feature: String(feature) })}`);

export const getIndices = async (): Promise<SceneIndex[]> =>
  (await json<{ indices: SceneIndex[] }>("/tiles/scenes/indices.json")).indices;

/** Most features that a panel reads of one layer. */
const MOST = 20_000;

/** All features of a layer, of the version that the first page began with. */
export async function getItems(layer: LayerInfo): Promise<Item[]> {
  const found: Item[] = [];
  let path: string | undefined = `/ogc/collections/${layer.id}/items?f=json&limit=10000&version=${encodeURIComponent(layer.version)}`;
  while (path && found.length < MOST) {
    const page: Page = await json<Page>(path);
    found.push(...page.features);
    const next = page.links?.find((link) => link.rel === "next")?.href;
    // The server may name itself by another host than the one that the browser asked.
    path = next ? new URL(next).pathname.replace(/^.*(?=\/ogc\/)/, "") + new URL(next).search : undefined;
  }
  return found;
}
