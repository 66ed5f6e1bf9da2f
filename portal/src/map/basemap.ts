/** The base map (底图), made from the catalogue's own layers, so that it needs no outside server and no key. */
import type { Catalogue, LayerInfo, VectorStyle } from "../api/types";
import type { Base } from "../share";

export interface BasePart {
  info: LayerInfo;
  /** Style in place of the layer's own. */
  style?: VectorStyle;
  opacity: number;
}

const label = (info: LayerInfo): string | null => {
  const own = (info.style as { label?: { field?: string } }).label?.field;
  if (own) return own;
  return ["name", "name_zh"].find((name) => info.fields.some((f) => f.name === name)) ?? null;
};

const isArea = (info: LayerInfo): boolean => (info.geometry_type ?? "").includes("Polygon");

/** Administrative layer of a level, recognised by its id. */
const administrative = (layers: LayerInfo[], pattern: RegExp): LayerInfo | undefined =>
  layers.find((l) => l.theme.includes("administrative") && pattern.test(l.id) && l.kind === "vector");

/** Layers of a base map from the bottom up; empty if the catalogue has none of them. */
export function baseParts(catalogue: Catalogue, base: Base): BasePart[] {
  if (base === "none") return [];
  const { layers } = catalogue;
  const parts: BasePart[] = [];
  const hillshade = layers.find((l) => l.style.type === "hillshade");
  if (base === "relief" && hillshade) parts.push({ info: hillshade, opacity: 0.9 });
  for (const info of layers) {
    if (!info.theme.includes("hydrography") || info.kind !== "vector" || info.synthetic) continue;
    const line: VectorStyle = { type: "single", stroke: "#7fb3d8", width: 1 };
    const area: VectorStyle = { type: "single", fill: "#a9cfe8", stroke: "#6ea8cf", width: 0.6 };
    parts.push({ info, opacity: 1, style: isArea(info) ? area : line });
  }
  const prefectures = administrative(layers, /prefect|city|cities|municipal/);
  if (prefectures) {
    const field = label(prefectures);
    parts.push({
      info: prefectures,
      opacity: 1,
      style: {
        type: "single",
        stroke: "#7a6a8c",
        width: 1,
        ...(field ? { label: { field, min_zoom: 5 } } : {}),
      },
    });
  }
  const province = administrative(layers, /province|provincial/);
  if (province) parts.push({ info: province, opacity: 1, style: { type: "single", stroke: "#5b2a86", width: 2.2 } });
  return parts;
}
