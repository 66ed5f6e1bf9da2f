/** OpenLayers styles from the `style:` of a layer: the same text that draws the legend and the server's maps. */
import type { FeatureLike } from "ol/Feature";
import CircleStyle from "ol/style/Circle";
import Fill from "ol/style/Fill";
import Stroke from "ol/style/Stroke";
import Style, { type StyleFunction } from "ol/style/Style";
import Text from "ol/style/Text";
import type { Symbol, VectorStyle } from "../api/types";
import { lang } from "../i18n";
import type { LabelPlaces } from "./labels";

export const FONT = '"Microsoft YaHei", "PingFang SC", "Noto Sans CJK SC", "Source Han Sans SC", sans-serif';

const GREY: Symbol = { fill: "#88888866", stroke: "#666666", width: 1 };

/** The symbol that the style gives to a feature's properties; undefined = not drawn. */
export function symbolFor(style: VectorStyle, get: (name: string) => unknown): Symbol | undefined {
  switch (style.type) {
    case "single":
      return style;
    case "categories": {
      const value = get(style.field);
      return style.classes.find((c) => c.value === value || String(c.value) === String(value)) ?? style.default;
    }
    case "graduated": {
      const raw = get(style.field);
      const value = typeof raw === "number" ? raw : typeof raw === "string" && raw.trim() !== "" ? Number(raw) : NaN;
      if (Number.isNaN(value)) return style.default;
      return (
        style.classes.find((c) => value >= (c.min ?? -Infinity) && value < (c.max ?? Infinity)) ?? style.default
      );
    }
    default:
      return GREY;
  }
}

function drawn(symbol: Symbol): Style {
  const options: ConstructorParameters<typeof Style>[0] = {};
  const fill = symbol.fill ? new Fill({ color: symbol.fill }) : undefined;
  const stroke = symbol.stroke ? new Stroke({ color: symbol.stroke, width: symbol.width ?? 1 }) : undefined;
  if (fill) options.fill = fill;
  if (stroke) options.stroke = stroke;
  options.image = new CircleStyle({
    radius: symbol.radius ?? 5,
    ...(fill ? { fill } : {}),
    stroke: stroke ?? new Stroke({ color: "#ffffff", width: 1 }),
  });
  return new Style(options);
}

/** Style function of a vector layer; `zoomOf` turns a resolution into a level of the tile set. */
export function styleFunction(
  style: VectorStyle,
  zoomOf: (resolution: number) => number,
  places: LabelPlaces | null,
): StyleFunction {
  const cache = new Map<Symbol, Style>();
  const label = style.label;
  return (feature: FeatureLike, resolution: number) => {
    const symbol = symbolFor(style, (name) => feature.get(name) as unknown);
    if (!symbol) return [];
    let base = cache.get(symbol);
    if (!base) cache.set(symbol, (base = drawn(symbol)));
    if (!label || !places || zoomOf(resolution) < (label.min_zoom ?? 0)) return base;
    const text = labelText(label.field, (name) => feature.get(name) as unknown);
    if (text === null || text === undefined || text === "") return base;
    const point = feature.getGeometry()?.getType().endsWith("Point") ?? false;
    if (!point && !places.holds(feature, resolution)) return base;
    return [base, labelStyle(String(text), point ? -(symbol.radius ?? 5) - 8 : 0)];
  };
}

/** What a label says: in English the English name beside the Chinese one, where the data have it. */
export function labelText(field: string, get: (name: string) => unknown): unknown {
  const english = lang() === "en" && (field === "name" || field === "name_zh") ? get("name_en") : null;
  return english || get(field);
}

const labels = new Map<string, Style>();

function labelStyle(text: string, offsetY: number): Style {
  const key = `${offsetY} ${text}`;
  let style = labels.get(key);
  if (!style) {
    style = new Style({
      text: new Text({
        text,
        font: `12px ${FONT}`,
        offsetY,
        fill: new Fill({ color: "#1f2a37" }),
        stroke: new Stroke({ color: "rgba(255,255,255,0.9)", width: 3 }),
        overflow: true,
      }),
    });
    labels.set(key, style);
  }
  return style;
}
