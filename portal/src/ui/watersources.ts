/** 排污口与水源地: how many outfalls act on a section, and the protection of drinking-water sources. */
import type { LayerInfo } from "../api/types";
import { pick, t } from "../i18n";
import { h } from "./dom";
import { csvButton } from "./table";
import type { Item } from "./waterapi";

const number = (value: unknown): number | null => (typeof value === "number" && Number.isFinite(value) ? value : null);

/** Outfalls above a section (or in its lake), of the layer of sections; empty where the run knew none. */
export function outfallText(sections: readonly Item[], station: string): string {
  const found = sections.find(({ properties: p }) => p["station"] === station)?.properties;
  const count = number(found?.["outfalls"]);
  if (!found || !("outfalls" in found)) return "";
  return count === null ? t("waterOutfallsUnknown") : t("waterOutfalls", { n: count, open: number(found["outfalls_open"]) ?? 0 });
}

export interface SourceCount {
  all: number;
  delimited: number;
  risk: number;
  judged: number;
  reached: number;
}

/** Sources by their state. */
export function countSources(items: readonly Item[]): SourceCount {
  const has = (name: string, value: unknown): number => items.filter(({ properties: p }) => p[name] === value).length;
  return {
    all: items.length,
    delimited: has("protection", "delimited"),
    risk: has("state", "risk"),
    judged: has("quality", true) + has("quality", false),
    reached: has("quality", true),
  };
}

/** Summary with a table of the sources that need a look: an outfall suspected inside, no zone, or a target missed. */
export function sourcesBox(layer: LayerInfo, items: readonly Item[], onMap: () => void): HTMLElement {
  const count = countSources(items);
  const domain = layer.fields?.find((f) => f.name === "state")?.domain ?? {};
  const state = (value: unknown): string => (domain[String(value)] ? pick(domain[String(value)]!) : String(value ?? ""));
  const wanted = items.filter(({ properties: p }) => p["state"] !== "fine" || p["quality"] === false);
  return h(
    "details",
    { id: "water-sources" },
    h("summary", {}, t("waterSources", { n: count.all })),
    h("p", {}, t("waterSourcesText", { delimited: count.delimited, n: count.all, risk: count.risk, reached: count.reached, judged: count.judged })),
    wanted.length
      ? h(
          "table",
          { class: "grid" },
          h("thead", {}, h("tr", {}, [t("waterSource"), t("waterProtection"), t("waterReached")].map((head) => h("th", { scope: "col" }, head)))),
          h(
            "tbody",
            {},
            wanted.map(({ properties: p }) =>
              h(
                "tr",
                {},
                h("th", { scope: "row" }, String(p["source"]), p["outfalls"] ? h("small", { class: "hint" }, ` ${String(p["outfalls"])}`) : null),
                h("td", {}, state(p["state"])),
                h("td", { class: p["quality"] === false ? "bad" : "" }, p["quality"] === true ? t("waterYes") : p["quality"] === false ? t("waterNo") : t("waterUnassessed")),
              ),
            ),
          ),
        )
      : null,
    h("p", { class: "hint" }, t("waterSourcesHint")),
    csvButton("water-sources.csv", () => items.map(({ properties }) => properties)),
    h("button", { type: "button", class: "button small", onclick: onMap }, t("waterOnMap")),
  );
}
