/** Legend of a layer, read from the server's legend document, which is made from the same style as the tiles. */
import { address, getWhatIf, problemOf } from "../api/client";
import type { Lang, LayerInfo, Shown, Text, WhatIf } from "../api/types";
import { lang, pick, t } from "../i18n";
import type { Scenario } from "../share";
import { h } from "./dom";

interface Stop {
  value: number;
  color: string;
}

export interface LegendEntry {
  label: Text;
  shape: "polygon" | "line" | "point" | "pixel" | "ramp";
  color: string | null;
  fill?: string;
  stroke?: string;
  width?: number;
  radius?: number;
  unit?: string;
  stops?: Stop[];
}

export interface Legend {
  layer: string;
  version: string;
  type: string;
  entries: LegendEntry[];
}

const cache = new Map<string, Promise<Legend>>();

/** The legend document of an address, fetched once a version. */
export function legendOf(path: string, version: string): Promise<Legend> {
  const key = `${path}@${version}`;
  let found = cache.get(key);
  if (!found) {
    found = fetch(address(path)).then(async (response) => {
      if (!response.ok) throw await problemOf(response);
      return response.json() as Promise<Legend>;
    });
    found.catch(() => cache.delete(key));
    cache.set(key, found);
  }
  return found;
}

/** Legend of what is drawn of a result: its classes, or the grades or reasons of a what-if scenario. */
export const whatIfLegend = (document: WhatIf, shown: Shown): Legend => ({
  layer: document.layer,
  version: "",
  type: "classes",
  entries: document.legends[shown].map(({ label, color }) => ({ label, shape: "pixel", color })),
});

/** Legend of a layer as the map shows it now. */
export async function shownLegend(info: LayerInfo, scenario: Scenario | null): Promise<Legend> {
  const shown = scenario?.layer === info.id ? scenario.params["band"] : undefined;
  if (info.whatif && (shown === "grade" || shown === "reason")) return whatIfLegend(await getWhatIf(info.whatif), shown);
  return legendOf(info.legend, info.version);
}

const withUnit = (text: string, unit: string | undefined): string => (unit ? `${text} (${unit})` : text);

export function legendElement(legend: Legend): HTMLElement {
  const box = h("div", { class: "legend" });
  for (const entry of legend.entries) {
    const text = withUnit(pick(entry.label), entry.unit);
    if (entry.stops?.length) box.append(h("p", { class: "legend-title" }, text), ramp(entry.stops));
    else box.append(h("div", { class: "legend-row" }, swatch(entry), h("span", {}, text)));
  }
  if (!legend.entries.length) box.append(h("p", { class: "hint" }, t("noLegend")));
  return box;
}

function ramp(stops: Stop[]): HTMLElement {
  const low = stops[0]?.value ?? 0;
  const high = stops.at(-1)?.value ?? 1;
  const share = (value: number): string => `${high > low ? ((value - low) / (high - low)) * 100 : 0}%`;
  const gradient = stops.map((s) => `${s.color} ${share(s.value)}`).join(", ");
  const number = (value: number): string => value.toLocaleString(lang() === "zh" ? "zh-CN" : "en-GB");
  return h(
    "div",
    {},
    h("div", { class: "ramp", style: { background: `linear-gradient(to right, ${gradient})` } }),
    h("div", { class: "ramp-ends" }, h("span", {}, number(low)), h("span", {}, number(high))),
  );
}

function swatch(entry: LegendEntry): HTMLElement {
  const { shape } = entry;
  const fillColour = entry.fill ?? (entry.stroke ? "transparent" : (entry.color ?? "transparent"));
  const width = Math.min(Math.max(entry.width ?? 1, 1), 4);
  const style =
    shape === "line"
      ? { borderTop: `${width}px solid ${entry.color ?? entry.stroke ?? "#666"}` }
      : { background: fillColour, border: `${width}px solid ${entry.stroke ?? "transparent"}` };
  return h("span", { class: `swatch ${shape}`, style, "aria-hidden": "true" });
}

/** Legend rows for a drawn map (canvas): colours and text in a language. */
export function legendRows(legend: Legend, language: Lang): { fill: string; stroke: string; text: string }[] {
  return legend.entries.flatMap((entry) =>
    entry.stops?.length
      ? entry.stops.map((s) => ({
          fill: s.color,
          stroke: "transparent",
          text: entry.unit ? `${s.value} ${entry.unit}` : String(s.value),
        }))
      : [
          {
            fill: entry.fill ?? (entry.stroke ? "transparent" : (entry.color ?? "transparent")),
            stroke: entry.stroke ?? "transparent",
            text: entry.label[language],
          },
        ],
  );
}
