/** Cards of lakes (一湖一档) as the water watch publishes them: reading, comparing and writing their figures. */
import { lang, t, type Key } from "../i18n";
import type { Row } from "./table";
import type { Item } from "./waterapi";
import type { LineSeries } from "./waterchart";

export interface LakeCard {
  lake: string;
  body: string;
  year: number;
  verdict: Verdict;
  reason: { zh: string; en: string };
  figures: Record<Figure, number | null>;
  row: Row;
}

export type Verdict = "kept" | "doubtful" | "reduced" | "unknown";

const FIGURES = [
  "protection_km2", "protection_level_m", "at_level_km2", "at_level_half_km2", "compared_dates", "mean_km2", "least_km2", "most_km2",
  "observations", "observed", "reclaimed", "reclaimed_ha", "restored_ha", "surface_ratio", "natural_shore", "storage_change_m3",
  "shrinkage_percent", "shrinkage_points", "natural_shore_points", "ecological_level_percent", "assessed",
] as const;
export type Figure = (typeof FIGURES)[number];

/** Indicators of SL/T 793 a card counts. */
export const ALL_INDICATORS = 20;

export const VERDICTS: Record<Verdict, { sign: string; color: string; text: Key; short: Key }> = {
  kept: { sign: "✓", color: "#1a7a3c", text: "cardKept", short: "cardKept" },
  doubtful: { sign: "!", color: "#9a5b00", text: "cardDoubtful", short: "cardDoubtfulShort" },
  reduced: { sign: "✕", color: "#b3261e", text: "cardReduced", short: "cardReduced" },
  unknown: { sign: "?", color: "#5b6670", text: "cardUnknown", short: "cardUnknown" },
};

const figure = (value: unknown): number | null => (typeof value === "number" && Number.isFinite(value) ? value : null);

/** Cards of the features of a layer, by lake and year; a verdict that is not known counts as none. */
export function cardsOf(items: readonly Item[]): LakeCard[] {
  const cards = items
    .filter(({ properties: p }) => p["name"] && Number.isInteger(p["year"]))
    .map(({ properties: p }): LakeCard => {
      const verdict = String(p["verdict"]);
      return {
        lake: String(p["name"]),
        body: String(p["body"] ?? ""),
        year: Number(p["year"]),
        verdict: Object.hasOwn(VERDICTS, verdict) ? (verdict as Verdict) : "unknown",
        reason: { zh: String(p["not_reduced_reason_zh"] ?? ""), en: String(p["not_reduced_reason_en"] ?? "") },
        figures: Object.fromEntries(FIGURES.map((name) => [name, figure(p[name])])) as Record<Figure, number | null>,
        row: p,
      };
    });
  return cards.sort((a, b) => (a.lake < b.lake ? -1 : a.lake > b.lake ? 1 : a.year - b.year));
}

/** Difference of the area at the level of the line from the line's area, percent; null where one of them is missing. */
export function differenceOf({ figures: f }: LakeCard): number | null {
  const [area, line] = [f.at_level_km2, f.protection_km2];
  return area === null || line === null || line <= 0 ? null : 100 * (area / line - 1);
}

/** Start of a year where the reader is: the axis puts its years there. */
export const startOf = (year: number): string => `${year}-01-01T00:00:00`;

/** What the chart draws: areas at the level of the line with their interval, mean areas, the line itself. */
export function seriesOf(cards: readonly LakeCard[]): LineSeries[] {
    const line = (name: Key, color: string, of: Figure, half?: Figure): LineSeries => ({
    name: t(name),
    unit: "km²",
    color,
    points: cards.map((card) => {
      const [value, wide] = [card.figures[of], half ? card.figures[half] : null];
      return { time: startOf(card.year), value, ...(value !== null && wide !== null ? { low: value - wide, high: value + wide } : {}) };
    }),
  });
  return [
    line("cardAtLevelShort", "#08519c", "at_level_km2", "at_level_half_km2"),
    line("cardMeanShort", "#7aa6c2", "mean_km2"),
    line("cardLineShort", "#2e7d32", "protection_km2"),
  ].filter((one) => one.points.some((point) => point.value !== null));
}

export const show = (value: number | null, digits: number, unit = ""): string | null =>
  value === null ? null : `${value.toLocaleString(lang() === "zh" ? "zh-CN" : "en-GB", { minimumFractionDigits: digits, maximumFractionDigits: digits })}${unit}`;

export const signed = (text: string | null, value: number | null): string | null => (text !== null && value !== null && value > 0 ? `+${text}` : text);

/** A change of storage in 万 m³, in English in millions of m³, with its sign. */
export function storageText(value: number | null): string | null {
  if (value === null) return null;
  return signed(lang() === "zh" ? show(value / 1e4, 1, " 万 m³") : show(value / 1e6, 2, " million m³"), value);
}
