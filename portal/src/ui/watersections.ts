/** 断面水质: class of every section by GB 3838 for a year or a month, its worst indicator and target, the series of one. */
import type { App } from "../app";
import type { Field, LayerInfo } from "../api/types";
import { pick, t, type Key } from "../i18n";
import type { MapView } from "../map/mapview";
import { unitText } from "../geo/format";
import { fill, h, type Child } from "./dom";
import { errorBox, loadingBox } from "./notice";
import { csvButton } from "./table";
import type { WaterPage } from "./water";
import { getItems, type Item } from "./waterapi";
import { drawLines, type DrawnChart } from "./waterchart";
import { dayOf } from "./waterdates";
import { RunBox } from "./waterrun";
import { outfallText, sourcesBox } from "./watersources";
import { pairsOf, satelliteLayers, satelliteOf, type Satellite } from "./watersatellite";
import { chosenField, satelliteChoice, satelliteLine, satelliteNote, shift } from "./watersatelliteview";

const WORST = 6;

/** Name of a class, 1–6. */
export const className = (code: number): string => (code === WORST ? t("waterWorseThanV") : (["", "Ⅰ", "Ⅱ", "Ⅲ", "Ⅳ", "Ⅴ"][code] ?? String(code)));

/** A row of the table: one section in one period. */
export interface SectionRow {
  station: string;
  body: string;
  /** 1–5, 6 is worse than Ⅴ; null where it was not assessed. */
  class: number | null;
  worst: string;
  target: number | null;
  reached: boolean | null;
  trophic: string;
  tli: number | null;
}

const number = (value: unknown): number | null => {
  const found = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
  return typeof found === "number" && Number.isFinite(found) ? found : null;
};
const text = (value: unknown): string => (value === null || value === undefined ? "" : String(value));

/** Newest result of an analysis by the ending of its layers. */
export function newest(layers: readonly LayerInfo[], analysis: string, part: string): LayerInfo | undefined {
  const wanted = new RegExp(`^${analysis}-[0-9a-f]{8}-${part}$`);
  return layers.filter((l) => wanted.test(l.id)).sort((a, b) => (a.published < b.published ? 1 : -1))[0];
}

/** Rows of the year, from the layer of sections. */
export const yearRows = (items: readonly Item[]): SectionRow[] =>
  items
    .map(({ properties: p }) => ({
      station: text(p["station"]),
      body: text(p["water_body"]),
      class: number(p["class"]),
      worst: text(p["worst"]),
      target: number(p["target"]),
      reached: typeof p["reached"] === "boolean" ? p["reached"] : null,
      trophic: text(p["trophic"]),
      tli: number(p["tli"]),
    }))
    .sort((a, b) => a.station.localeCompare(b.station, "zh"));

/** Rows of a month (`2024-07`, by the day in China), from the series; the target is that of the section. */
export function monthRows(items: readonly Item[], month: string, targets: ReadonlyMap<string, number | null>): SectionRow[] {
  return items
    .filter(({ properties: p }) => dayOf(p["time"]).startsWith(month))
    .map(({ properties: p }) => {
      const found = number(p["water_class"]);
      const target = targets.get(text(p["station"])) ?? null;
      return {
        station: text(p["station"]),
        body: text(p["water_body"]),
        class: found,
        worst: text(p["worst"]),
        target,
        reached: found === null || target === null ? null : found <= target,
        trophic: "",
        tli: number(p["tli"]),
      };
    })
    .sort((a, b) => a.station.localeCompare(b.station, "zh"));
}

/** Months of the series, the newest first. */
export const monthsOf = (items: readonly Item[]): string[] =>
  [...new Set(items.map(({ properties: p }) => dayOf(p["time"]).slice(0, 7)).filter(Boolean))].sort().reverse();

export class SectionPage implements WaterPage {
  readonly element = h("div", { class: "stack", id: "water-quality" });
  private sections: LayerInfo | undefined;
  private series: LayerInfo | undefined;
  private yearItems: Item[] = [];
  private items: Item[] = [];
  private period = "";
  private station = "";
  private quantity = "water_class";
  private satelliteQuantity = "ndci";
  private sources: { layer: LayerInfo; items: Item[] } | null = null;
  private satellite: { layer: LayerInfo; items: Item[] }[] = [];
  /** Only the time of which there is a satellite series. */
  private narrow = true;
  private chart: DrawnChart | null = null;
  private opened = false;
  private readonly box: RunBox;
  private readonly satelliteBox: RunBox;
  private readonly chartPlace = h("div", { class: "stack", id: "water-station" });

  constructor(
    private readonly app: App,
    private readonly view: MapView,
  ) {
    this.box = new RunBox("station-quality", () => app.loadCatalogue(), () => this.render());
    this.satelliteBox = new RunBox("water-quality-scenes", () => app.loadCatalogue(), () => this.drawStation());
  }

  async open(): Promise<void> {
    this.opened = true;
    await this.read();
  }

  refresh(): void {
    if (this.opened) void this.read();
  }

  private async read(): Promise<void> {
    const layers = this.app.catalogue?.layers ?? [];
    const sections = newest(layers, "station-quality", "sections");
    const series = newest(layers, "station-quality", "series");
    const passes = satelliteLayers(layers);
    if (sections?.id !== this.sections?.id || series?.id !== this.series?.id) {
      fill(this.element, loadingBox(t("loading")));
      try {
        [this.yearItems, this.items] = await Promise.all([sections ? getItems(sections) : [], series ? getItems(series) : []]);
        const sources = newest(layers, "station-quality", "sources");
        // Of the same run as the sections, not of an older one.
        this.sources = sources && sections && sources.id.slice(0, -"-sources".length) === sections.id.slice(0, -"-sections".length) ? { layer: sources, items: await getItems(sources) } : null;
        this.sections = sections;
        this.series = series;
        this.period = "";
        this.station = "";
      } catch (error) {
        return fill(this.element, errorBox(error, () => void this.read()));
      }
    }
    if (sections && passes.map((l) => l.id).join() !== this.satellite.map(({ layer }) => layer.id).join()) {
      try {
        this.satellite = await Promise.all(passes.map(async (layer) => ({ layer, items: await getItems(layer) })));
      } catch {
        // The stations stand without it; the chart says that there is no series.
        this.satellite = [];
      }
    }
    this.render();
  }

  private get colours(): Record<string, string> {
    const classes = (this.sections?.style as { classes?: { value: unknown; fill?: string }[] } | undefined)?.classes ?? [];
    return Object.fromEntries(classes.map((c) => [String(c.value), c.fill ?? ""]));
  }

  private rows(): SectionRow[] {
    const year = yearRows(this.yearItems);
    if (!this.period) return year;
    return monthRows(this.items, this.period, new Map(year.map((r) => [r.station, r.target])));
  }

  private render(): void {
    const { sections } = this;
    const layer = this.app.info("water-quality-sections");
    const run = h(
      "button",
      { type: "button", class: sections ? "button small" : "button primary", id: "water-assess", disabled: this.box.running, onclick: () => void this.box.start({}) },
      t("waterAssess"),
    );
    if (!sections)
      return fill(this.element, h("h3", {}, t("waterStations")), h("p", { class: "hint" }, t(layer ? "waterNotAssessed" : "waterNoStations")), layer ? run : null, this.box.element);
    const rows = this.rows();
    const year = String(this.yearItems[0]?.properties["year"] ?? "");
    const months = monthsOf(this.items);
    const select = h(
      "select",
      {
        id: "water-period",
        onchange: () => {
          this.period = select.value;
          this.render();
          document.getElementById("water-period")?.focus();
        },
      },
      h("option", { value: "", selected: !this.period }, t("waterYear", { year })),
      months.map((m) => h("option", { value: m, selected: m === this.period }, m)),
    );
    const judged = rows.filter((r) => r.reached !== null);
    const reached = judged.filter((r) => r.reached).length;
    fill(
      this.element,
      h("h3", {}, t("waterStations")),
      sections.synthetic ? h("p", {}, h("span", { class: "tag synthetic wide" }, t("syntheticLong"))) : null,
      h("label", { class: "field" }, h("span", {}, t("waterPeriod")), select),
      h("p", { role: "status" }, judged.length ? t("waterReachedShare", { n: reached, of: judged.length, share: Math.round((100 * reached) / judged.length) }) : t("waterNoneJudged")),
      h("div", { class: "scroll tall", tabindex: "0" }, this.table(rows)),
      h(
        "div",
        {},
        csvButton(`sections-${this.period || year}.csv`, () => rows.map((r) => ({ ...r, class: r.class === null ? "" : className(r.class) }))),
        h("button", { type: "button", class: "button small", "aria-pressed": String(this.app.isActive(sections.id)), onclick: () => this.onMap(sections) }, t("waterOnMap")),
      ),
      h("p", { class: "hint" }, t("waterRuleHint")),
      this.chartPlace,
      this.sources ? sourcesBox(this.sources.layer, this.sources.items, () => this.onMap(this.sources!.layer)) : null,
      h("details", {}, h("summary", {}, t("waterAgain")), run, this.box.element),
    );
    this.drawStation();
  }

  private onMap(sections: LayerInfo): void {
    this.app.add(sections.id);
    this.view.fit(sections.extent);
  }

  private badge(code: number | null): Child {
    if (code === null) return t("waterUnassessed");
    const colour = this.colours[String(code)];
    return h("span", { class: "water-class" }, colour ? h("i", { style: { background: colour }, "aria-hidden": "true" }) : null, className(code));
  }

  private table(rows: SectionRow[]): HTMLElement {
    // The series of months carries no worst indicator unless the analysis wrote one.
    const worst = rows.some((r) => r.worst);
    const heads: Key[] = ["waterSection", "waterClass", ...(worst ? (["waterWorst"] as const) : []), "waterTarget", "waterReached"];
    return h(
      "table",
      { class: "grid", id: "water-sections" },
      h("caption", {}, `${this.period || t("waterYear", { year: String(this.yearItems[0]?.properties["year"] ?? "") })} · GB 3838-2002`),
      h("thead", {}, h("tr", {}, heads.map((k) => h("th", { scope: "col" }, t(k))))),
      h(
        "tbody",
        {},
        rows.map((r) =>
          h(
            "tr",
            { "data-station": r.station },
            h(
              "th",
              { scope: "row" },
              h(
                "button",
                {
                  type: "button",
                  class: "link",
                  "aria-pressed": String(r.station === this.station),
                  onclick: () => {
                    this.station = r.station;
                    this.drawStation();
                    this.chartPlace.scrollIntoView({ block: "nearest" });
                  },
                },
                r.station,
              ),
              h("small", { class: "hint" }, ` ${r.body}`),
            ),
            h("td", {}, this.badge(r.class)),
            worst ? h("td", {}, r.worst || "—") : null,
            h("td", {}, r.target === null ? "—" : className(r.target)),
            h("td", { class: r.reached === false ? "bad" : "" }, r.reached === null ? t("waterUnassessed") : t(r.reached ? "waterYes" : "waterNo")),
          ),
        ),
      ),
    );
  }

  private drawStation(): void {
    this.chart?.dispose();
    this.chart = null;
    const rows = this.rows();
    if (!this.station) this.station = rows[0]?.station ?? "";
    const mine = this.items.filter(({ properties: p }) => p["station"] === this.station).sort((a, b) => (text(a.properties["time"]) < text(b.properties["time"]) ? -1 : 1));
    if (!mine.length) return fill(this.chartPlace);
    const fields = (this.series?.fields ?? []).filter((f) => f.type === "number" && mine.some(({ properties: p }) => number(p[f.name]) !== null));
    if (!fields.some((f) => f.name === this.quantity)) this.quantity = "water_class";
    const field = fields.find((f) => f.name === this.quantity);
    const select = h(
      "select",
      {
        id: "water-quantity",
        onchange: () => {
          this.quantity = select.value;
          this.drawStation();
          document.getElementById("water-quantity")?.focus();
        },
      },
      [...fields].sort((a, b) => Number(b.name === "water_class") - Number(a.name === "water_class")).map((f) => h("option", { value: f.name, selected: f.name === this.quantity }, pick(f.title))),
    );
    const host = h("div", { class: "water-chart" });
    const body = text(mine[0]!.properties["water_body"]);
    const outfalls = outfallText(this.yearItems, this.station);
    const satellite = satelliteOf(this.satellite, this.station, body, mine[0]!.geometry);
    const samples = mine.map(({ properties: p }) => ({ time: text(p["time"]), value: number(p[this.quantity]) }));
    const shown = satellite ? chosenField(satellite, this.satelliteQuantity) : undefined;
    const pairs = satellite && shown ? pairsOf(samples, satellite.points, shown.name) : [];
    fill(
      this.chartPlace,
      h("h4", {}, this.station),
      outfalls ? h("p", { class: "hint", id: "water-outfalls" }, outfalls) : null,
      h("label", { class: "field" }, h("span", {}, t("waterQuantity")), select),
      satellite ? this.satelliteChoice(satellite, shown) : null,
      host,
      satellite ? satelliteNote(satellite, pairs, shown?.name ?? "", (value) => (this.quantity === "water_class" ? className(value) : String(value))) : this.satelliteHint(body),
      csvButton(`section-${this.station}.csv`, () => mine.map(({ properties }) => properties)),
      satellite ? h("span", { class: "hint" }, ` ${t("waterSatellite")} `, csvButton(`satellite-${satellite.place}.csv`, () => satellite.points.map(({ values }) => ({ ...values })))) : null,
    );
    const classes = this.quantity === "water_class";
    const target = yearRows(this.yearItems).find((r) => r.station === this.station)?.target ?? null;
    const colours = this.colours;
    const name = classes ? t("waterClass") : field ? pick(field.title) : this.quantity;
    const passes = satellite?.points ?? [];
    const from = this.narrow && passes.length ? shift(passes[0]!.time, -45) : "";
    const to = this.narrow && passes.length ? shift(passes.at(-1)!.time, 45) : "9999";
    void drawLines(host, {
      series: [
        {
          name,
          unit: classes ? "" : unitText(field?.unit ?? null),
          color: "#00695c",
          step: classes,
          points: samples
            .filter(({ time }) => time >= from && time <= to)
            .map(({ time, value }) => ({ time, value, ...(classes && value !== null ? { color: colours[String(value)] || "#00695c", text: className(value) } : {}) })),
        },
        ...(satellite && shown ? [satelliteLine(satellite, shown, new Set(pairs.map((p) => p.time)))] : []),
      ],
      intervalName: satellite && shown && passes.some(({ values }) => number(values[`${shown.name}_q1`]) !== null) ? t("waterQuartiles") : undefined,
      steps: classes ? Object.fromEntries([1, 2, 3, 4, 5, WORST].map((code) => [code, className(code)])) : undefined,
      limit: classes && target !== null ? { value: target, name: t("waterTarget") } : undefined,
      description: t("waterStationText", { station: this.station, name, n: mine.length }) + (satellite ? `; ${t("waterSatelliteText", { place: satellite.place, n: passes.length, pairs: pairs.length })}` : ""),
    }).then((chart) => {
      if (host.isConnected) this.chart = chart;
      else chart.dispose();
    });
  }

  private satelliteChoice(satellite: Satellite, shown: Field | undefined): HTMLElement {
    const again = (id: string): void => {
      this.drawStation();
      document.getElementById(id)?.focus();
    };
    return satelliteChoice(satellite, shown, this.narrow, {
      quantity: (name) => {
        this.satelliteQuantity = name;
        again("water-satellite-quantity");
      },
      narrow: (on) => {
        this.narrow = on;
        again("water-narrow");
      },
    });
  }

  private satelliteHint(body: string): HTMLElement {
    return h(
      "div",
      { class: "stack", id: "water-satellite" },
      h("p", { class: "hint" }, t("waterSatelliteNone", { body })),
      h("button", { type: "button", class: "button small", id: "water-satellite-run", disabled: this.satelliteBox.running, onclick: () => void this.satelliteBox.start({}) }, t("waterSatelliteRun")),
      this.satelliteBox.element,
    );
  }
}
