/** Areas by class of a result: totals of all assessments, one assessment by unit, potential and conflicts. */
import type { LayerInfo } from "../api/types";
import { areaText, type AreaUnit } from "../geo/format";
import { lang, pick, t, type Key } from "../i18n";
import { drawBars } from "./chart";
import { fill, h, type Child } from "./dom";
import { csvButton, rowName, type Row } from "./table";

/** Classes in drawing order, with the colours of their maps. */
const CLASSES: readonly { name: string; key: Key; color: string }[] = [
  { name: "extremely_important", key: "classExtremelyImportant", color: "#00441b" },
  { name: "important", key: "classImportant", color: "#41ab5d" },
  { name: "ordinary", key: "classOrdinary", color: "#e5f5e0" },
  { name: "suitable", key: "classSuitable", color: "#1a9850" },
  { name: "moderate", key: "classModerate", color: "#fee08b" },
  { name: "unsuitable", key: "classUnsuitable", color: "#d73027" },
  { name: "masked", key: "classMasked", color: "#00441b" },
];
type ClassOf = (typeof CLASSES)[number];

const UNITS: readonly { unit: AreaUnit; key: Key }[] = [
  { unit: "km2", key: "unitKm2" },
  { unit: "hm2", key: "unitHm2" },
  { unit: "mu", key: "unitMu" },
];

export interface Assessment {
  /** Name of the raster, with `_2020` where the rules of 2020 have been laid over it. */
  id: string;
  units: Row[];
  classes: ClassOf[];
  /** km² by name of the class. */
  total: Record<string, number>;
}

const km2 = (row: Row, name: string): number => Number(row[`${name}_km2`] ?? 0);

/** Tables of areas by unit and class of a result, however the analysis calls them; units without any area are left out. */
export function assessmentsOf(tables: Record<string, Row[]>): Assessment[] {
  const found: Assessment[] = [];
  for (const [name, all] of Object.entries(tables)) {
    const id = name === "by_county" ? "class" : /^(.+)_by_unit$/.exec(name)?.[1];
    if (!id || !Array.isArray(all)) continue;
    const classes = CLASSES.filter((c) => all.some((row) => typeof row[`${c.name}_km2`] === "number"));
    if (classes.length < 2) continue;
    const units = all.filter((row) => classes.some((c) => km2(row, c.name) > 0));
    const whole = tables[`${id}_totals`]?.[0];
    // The province's own row also holds cells outside every unit.
    const total = Object.fromEntries(
      classes.map((c) => [c.name, whole ? km2(whole, c.name) : units.reduce((sum, row) => sum + km2(row, c.name), 0)]),
    );
    found.push({ id, units, classes, total });
  }
  return found;
}

/** Name of an assessment from the names of the rasters; both profiles are named where there are two. */
export function assessmentName(id: string, all: readonly Assessment[], titleOf: (raster: string) => string): string {
  const base = id.replace(/_2020$/, "");
  const two = all.some((a) => a.id === `${base}_2020`);
  const title = titleOf(base);
  if (!two) return title;
  return t("profiled", { title, year: id === base ? "2019" : "2020" });
}

const swatch = (color: string): HTMLElement => h("span", { class: "swatch", style: { background: color }, "aria-hidden": "true" });

export class AreaTables {
  readonly element = h("div", { class: "stack", id: "areas" });
  private unit: AreaUnit = "km2";
  private chosen: string;
  private charts: (() => void)[] = [];
  private round = 0;

  constructor(
    private readonly assessments: Assessment[],
    private readonly conflicts: Row[],
    private readonly titleOf: (raster: string) => string,
    private readonly conflictLayer: () => LayerInfo | undefined,
    private readonly fileStem: string,
  ) {
    this.chosen = assessments[0]?.id ?? "";
  }

  dispose(): void {
    this.round += 1;
    for (const dispose of this.charts) dispose();
    this.charts = [];
  }

  render(): void {
    this.dispose();
    const { assessments } = this;
    if (!assessments.length) return fill(this.element);
    fill(
      this.element,
      this.units(),
      this.totals(),
      this.conflictTable(),
      this.byUnit(assessments.find((a) => a.id === this.chosen) ?? (assessments[0] as Assessment)),
    );
  }

  private name(id: string): string {
    return assessmentName(id, this.assessments, this.titleOf);
  }

  private get unitName(): string {
    return t(UNITS.find((u) => u.unit === this.unit)?.key ?? "unitKm2");
  }

  private area(value: number): string {
    return areaText(value, this.unit, lang());
  }

  private units(): HTMLElement {
    return h(
      "div",
      { class: "segmented", role: "group", "aria-label": t("areaUnit") },
      UNITS.map(({ unit, key }) =>
        h(
          "button",
          {
            type: "button",
            "aria-pressed": String(unit === this.unit),
            "data-unit": unit,
            onclick: () => {
              this.unit = unit;
              this.render();
              this.element.querySelector<HTMLElement>(`[data-unit="${unit}"]`)?.focus();
            },
          },
          t(key),
        ),
      ),
    );
  }

  /** Every assessment with the area and the share of each class. */
  private totals(): HTMLElement {
    const { assessments } = this;
    const rows = assessments.flatMap((a) => {
      const sum = a.classes.reduce((total, c) => total + (a.total[c.name] ?? 0), 0);
      return a.classes.map((c, k) =>
        h(
          "tr",
          { "data-assessment": a.id, "data-class": c.name },
          k === 0 ? h("th", { scope: "rowgroup", rowSpan: a.classes.length }, this.name(a.id)) : null,
          h("td", { class: "class-name" }, swatch(c.color), t(c.key)),
          h("td", {}, this.area(a.total[c.name] ?? 0)),
          h("td", {}, sum > 0 ? `${((100 * (a.total[c.name] ?? 0)) / sum).toFixed(1)}%` : "—"),
        ),
      );
    });
    const chart = assessments.length > 1 ? h("div", { class: "chart" }) : null;
    const box = h(
      "div",
      { class: "stack", id: "totals" },
      chart,
      h(
        "div",
        { class: "scroll" },
        h(
          "table",
          { class: "grid numbers" },
          h("caption", {}, `${t("totals")} (${this.unitName}, ${t("ellipsoidal")})`),
          h(
            "thead",
            {},
            h("tr", {}, [t("assessment"), t("class"), t("area"), "%"].map((text) => h("th", { scope: "col" }, text))),
          ),
          h("tbody", {}, rows),
        ),
      ),
    );
    if (chart) {
      const present = CLASSES.filter((c) => assessments.some((a) => a.classes.includes(c)));
      this.draw(
        chart,
        assessments.map((a) => this.name(a.id)),
        present.map((c) => ({ name: t(c.key), color: c.color, values: assessments.map((a) => a.total[c.name] ?? 0) })),
        t("totals"),
      );
    }
    return box;
  }

  private byUnit(a: Assessment): HTMLElement {
    const chart = h("div", { class: "chart" });
    const sum = (row: Row): number => a.classes.reduce((total, c) => total + km2(row, c.name), 0);
    const many = this.assessments.length > 1;
    const choose = h(
      "select",
      {
        id: "assessment",
        onchange: () => {
          this.chosen = choose.value;
          this.render();
          this.element.querySelector<HTMLElement>("#assessment")?.focus();
        },
      },
      this.assessments.map((x) => h("option", { value: x.id, selected: x.id === a.id }, this.name(x.id))),
    );
    const table = h(
      "table",
      { class: "grid numbers" },
      h("caption", {}, `${t("byCounty")} (${this.unitName}, ${t("ellipsoidal")})`),
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("county")), a.classes.map((c) => h("th", { scope: "col" }, t(c.key))))),
      h(
        "tbody",
        {},
        a.units.map((row) =>
          h("tr", {}, h("th", { scope: "row" }, rowName(row, lang())), a.classes.map((c) => h("td", {}, this.area(km2(row, c.name))))),
        ),
      ),
      h(
        "tfoot",
        {},
        h("tr", {}, h("th", { scope: "row" }, t("total")), a.classes.map((c) => h("td", {}, this.area(a.units.reduce((s, row) => s + km2(row, c.name), 0))))),
      ),
    );
    // A bar needs room: the largest units of the view, the table has all.
    const largest = [...a.units].sort((x, y) => sum(y) - sum(x)).slice(0, 16);
    this.draw(
      chart,
      largest.map((row) => rowName(row, lang())),
      a.classes.map((c) => ({ name: t(c.key), color: c.color, values: largest.map((row) => km2(row, c.name)) })),
      t("byCounty"),
    );
    return h(
      "div",
      { class: "stack", id: "by-county" },
      h("h4", {}, t("byCounty")),
      many ? h("label", { class: "field" }, h("span", {}, t("assessment")), choose) : null,
      a.units.length ? [chart, h("div", { class: "scroll", tabindex: "0" }, table)] : h("p", { class: "hint" }, t("noCountyRows")),
      a.units.length ? csvButton(`${this.fileStem}-${a.id}-by-unit.csv`, () => a.units) : null,
    );
  }

  /** Sums of the questions of the conflict map, over the units. */
  private conflictTable(): Child {
    const bands = this.conflictLayer()?.bands ?? [];
    const present = bands.filter((band) => this.conflicts.some((row) => `${band.name}_km2` in row));
    if (!present.length) return null;
    const total = (name: string): Child => {
      const values = this.conflicts.map((row) => row[`${name}_km2`]).filter((v) => typeof v === "number");
      return values.length ? this.area(values.reduce((sum, v) => sum + v, 0)) : t("notAssessedHere");
    };
    return h(
      "div",
      { class: "stack", id: "conflicts" },
      h(
        "table",
        { class: "grid numbers" },
        h("caption", {}, `${t("conflicts")} (${this.unitName})`),
        h("tbody", {}, present.map((band) => h("tr", {}, h("th", { scope: "row" }, pick(band.title)), h("td", {}, total(band.name))))),
      ),
      csvButton(`${this.fileStem}-conflicts-by-unit.csv`, () => this.conflicts),
    );
  }

  private draw(host: HTMLElement, categories: string[], series: Parameters<typeof drawBars>[2], description: string): void {
    const { round } = this;
    drawBars(host, categories, series, this.unit, this.unitName, description)
      .then((dispose) => {
        // Drawn anew in the meantime: this chart is no longer in the page.
        if (round === this.round) this.charts.push(dispose);
        else dispose();
      })
      .catch(() => host.replaceChildren(t("chartFailed")));
  }
}
