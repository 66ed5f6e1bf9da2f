/** What a station's chart shows of the satellite: its choices, its line, where it comes from, the pairs in time. */
import type { Field } from "../api/types";
import { unitText } from "../geo/format";
import { pick, t, type Key } from "../i18n";
import { h } from "./dom";
import { PAIR_HOURS, quantitiesOf, type Pair, type Satellite } from "./watersatellite";
import type { LineSeries } from "./waterchart";

const number = (value: unknown): number | null => (typeof value === "number" && Number.isFinite(value) ? value : null);

/** A time some days away, in UTC. */
export const shift = (time: string, days: number): string => new Date(new Date(time).getTime() + days * 86_400_000).toISOString();

const FLAGS: Record<string, Key> = {
  "low-clear": "waterFlagLowClear",
  "surface-reflectance": "waterFlagSurface",
  "missing-band": "waterFlagBand",
  "no-cloud-mask": "waterFlagUnmasked",
  "out-of-range": "waterFlagRange",
};

/** Names of the flags of a point. */
const flagText = (flags: string): string => flags.split(",").map((f) => (FLAGS[f] ? t(FLAGS[f]) : f)).join(", ");

const fieldsOf = (satellite: Satellite): Field[] =>
  quantitiesOf(satellite.layer).filter((f) => satellite.points.some(({ values }) => number(values[f.name]) !== null));

/** The quantity that is shown: the wanted one if the series has it. */
export function chosenField(satellite: Satellite, wanted: string): Field | undefined {
  const fields = fieldsOf(satellite);
  return fields.find((f) => f.name === wanted) ?? fields[0];
}

/** Quantity and period. */
export function satelliteChoice(
  satellite: Satellite,
  shown: Field | undefined,
  narrow: boolean,
  on: { quantity: (name: string) => void; narrow: (on: boolean) => void },
): HTMLElement {
  const select = h(
    "select",
    { id: "water-satellite-quantity", onchange: () => on.quantity(select.value) },
    fieldsOf(satellite).map((f) => h("option", { value: f.name, selected: f.name === shown?.name }, pick(f.title))),
  );
  const box = h("input", { type: "checkbox", id: "water-narrow", checked: narrow, onchange: () => on.narrow(box.checked) });
  return h("div", {}, h("label", { class: "field" }, h("span", {}, t("waterSatellite")), select), h("label", { class: "check" }, box, t("waterNarrow")));
}

/** The line on the second axis: quartiles as a band, flagged points hollow, matchups as diamonds. */
export function satelliteLine(satellite: Satellite, shown: Field, paired: ReadonlySet<string>): LineSeries {
  return {
    // The title's own parenthesis (median …) would not fit beside the axis of the station.
    name: `${t("waterSatellite")} ${pick(shown.title).replace(/\s*[（(].*$/, "")}`,
    unit: unitText(shown.unit ?? null),
    color: "#6a1b9a",
    second: true,
    dots: true,
    points: satellite.points.map(({ time, values, flags, clear }) => {
      const value = number(values[shown.name]);
      const seen = clear === null ? "" : ` · ${t("waterClearShare")} ${Math.round(clear)}%`;
      return {
        time,
        value,
        low: number(values[`${shown.name}_q1`]),
        high: number(values[`${shown.name}_q3`]),
        hollow: Boolean(flags),
        large: paired.has(time),
        text: `${value?.toFixed(3) ?? ""}${seen}${flags ? ` · ${flagText(flags)}` : ""}`,
      };
    }),
  };
}

/** Where the series comes from, how to read it, and the table of pairs. */
export function satelliteNote(satellite: Satellite, pairs: readonly Pair[], quantity: string, sampled: (value: number) => string): HTMLElement {
  const { place, atStation, km, layer, points } = satellite;
  const where = atStation ? t("waterSatelliteCells", { place }) : km ? t("waterSatelliteNear", { place, km: km.toFixed(1) }) : t("waterSatelliteLake", { place });
  const valued = points.filter((p) => number(p.values[quantity]) !== null);
  const heads = [t("waterSampled"), t("waterAtStation"), t("waterSatellite"), t("waterHours")];
  return h(
    "div",
    { class: "stack", id: "water-satellite" },
    h("p", { class: "hint" }, where, " ", pick(layer.title), layer.synthetic ? h("span", { class: "tag synthetic" }, t("synthetic")) : null),
    h(
      "p",
      { class: "hint" },
      t("waterSatelliteKey", { hours: PAIR_HOURS, pairs: pairs.length, flagged: valued.filter((p) => p.flags).length, unseen: points.length - valued.length }),
    ),
    pairs.length
      ? h(
          "details",
          { id: "water-pairs" },
          h("summary", {}, t("waterPairs", { n: pairs.length })),
          h(
            "table",
            { class: "grid" },
            h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))),
            h(
              "tbody",
              {},
              pairs.map((p) => h("tr", {}, h("th", { scope: "row" }, p.day), h("td", {}, sampled(p.station)), h("td", {}, p.satellite.toFixed(3)), h("td", {}, p.hours.toFixed(0)))),
            ),
          ),
        )
      : null,
  );
}
