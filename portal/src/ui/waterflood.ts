/** 洪水预演: levels at Hankou, dikes that hold or break, extent and depth on the map, who and what is under water. */
import { address, getResult } from "../api/client";
import type { AnalysisResult, LayerInfo, Text } from "../api/types";
import type { App } from "../app";
import { lang, pick, t, type Key } from "../i18n";
import { PictureSlot } from "../map/pictures";
import type { MapView } from "../map/mapview";
import { fill, h, type Child } from "./dom";
import { horizonsOf, HorizonPlayer, scheduleTable } from "./floodhorizon";
import { legendElement, legendOf } from "./legend";
import { errorBox, loadingBox } from "./notice";
import { csvButton, type Row } from "./table";
import type { WaterPage } from "./water";
import { getItems, type Item } from "./waterapi";
import { LowWaterBox } from "./waterlow";
import { RunBox } from "./waterrun";

const STATION = "汉口";
/** The layer of forecasts that is rehearsed lead time by lead time. */
const FORECAST = "river-forecast";
type Mode = "flood" | "low";
type Scenario = "intact" | "breach" | "detention";
const SCENARIOS: Record<Scenario, Key> = { intact: "waterIntact", breach: "waterBreach", detention: "waterDetention" };
const LINES: readonly [string, Key][] = [
  ["alert_m", "waterAlertLevel"],
  ["warning_m", "waterWarningLevel"],
  ["guarantee_m", "waterGuaranteeLevel"],
];
/** Depth classes in the order of depth. */
const DEPTH = ["0–0.5", "0.5–1", "1–2", "2–3", "≥3"];
const DEPTH_TITLE: Text = { zh: "水深", en: "Depth" };
const MOST_LEVELS = 6;

/** Sums of a level over where the water came from: whole, and by class of depth. */
export interface Exposure {
  depth: string;
  area: number;
  built: number | null;
  cropland: number | null;
  people: number | null;
}

const figure = (row: Row, name: string): number | null => (typeof row[name] === "number" ? row[name] : null);

/** Rows of the exposure table for one level, deepest last; the classes add up to the row `all`. */
export function exposureOf(rows: readonly Row[], level: number): Exposure[] {
  const sum = (of: readonly Row[], name: string): number | null => {
    const values = of.flatMap((r) => figure(r, name) ?? []);
    return values.length ? values.reduce((a, b) => a + b, 0) : null;
  };
  return [...DEPTH, "all"].flatMap((depth) => {
    const mine = rows.filter((r) => r["level_m"] === level && r["depth_m"] === depth);
    if (!mine.length) return [];
    return [{ depth, area: sum(mine, "area_km2") ?? 0, built: sum(mine, "built_km2"), cropland: sum(mine, "cropland_km2"), people: sum(mine, "people") }];
  });
}

const storageKey = (): string => `onemap-flood ${new URL(document.baseURI).pathname}`;

export class FloodPage implements WaterPage {
  readonly element = h("div", { class: "stack" });
  private readonly modes = h("div", { class: "segmented wide", role: "group" });
  private readonly rehearsal = h("div", { class: "stack", id: "water-rehearsal" });
  private readonly low: LowWaterBox;
  private readonly player: HorizonPlayer;
  private mode: Mode = "flood";
  private forecast = false;
  private gauge: Item | undefined;
  private dikes: Item[] = [];
  private levels: number[] = [];
  private other = 28.5;
  private scenario: Scenario = "intact";
  private breach: [number, number] | null = null;
  private result: AnalysisResult | null = null;
  private level = 0;
  private shows: "extent" | "depth" = "extent";
  private ready = false;
  private readonly slot: PictureSlot;
  private readonly box: RunBox;
  private readonly outcome = h("div", { class: "stack", id: "water-outcome" });

  constructor(
    private readonly app: App,
    private readonly view: MapView,
  ) {
    this.slot = new PictureSlot(app, view, 8, 0.85, () => null);
    this.low = new LowWaterBox(app);
    this.player = new HorizonPlayer((row) => {
      if (row.map === null || row.map === this.level) return;
      this.level = row.map;
      this.renderOutcome();
    });
    this.box = new RunBox(
      "flood-rehearsal",
      async (result, job) => {
        this.keep(job);
        await app.loadCatalogue();
        this.take(result, true);
      },
      () => this.render(),
    );
  }

  async open(): Promise<void> {
    this.frame();
    if (this.mode === "low") return this.low.open();
    if (this.ready) return;
    fill(this.rehearsal, loadingBox(t("loading")));
    const gauges = this.app.info("river-gauges");
    const dikes = this.app.info("hankou-dikes");
    try {
      const [stations, lines] = await Promise.all([gauges ? getItems(gauges) : [], dikes ? getItems(dikes) : []]);
      this.gauge = stations.find(({ properties: p }) => p["name"] === STATION);
      this.dikes = lines;
    } catch (error) {
      return fill(this.rehearsal, errorBox(error, () => void this.open()));
    }
    this.ready = true;
    const [, warning, guarantee] = this.lines();
    this.levels = [warning, guarantee].flatMap((l) => (l ? [l.value] : []));
    this.breach = this.middleOf("汉口江堤");
    this.render();
    const job = this.kept();
    // A job of a server that was set up anew since is nothing to tell.
    if (job) await getResult(job).then((result) => this.take(result, false), () => this.keep(""));
  }

  refresh(): void {
    this.frame();
    this.low.refresh();
    if (this.ready) this.render();
  }

  /** Flood or low water; the page of the other keeps what it holds. */
  private frame(): void {
    this.modes.setAttribute("aria-label", t("waterFlood"));
    fill(
      this.modes,
      (["flood", "low"] as const).map((name) => h("button", { type: "button", id: `water-mode-${name}`, "aria-pressed": String(name === this.mode), onclick: () => {
        this.mode = name;
        this.player.stop();
        // The map shows what the open page speaks of.
        if (name === "low") this.draw(false);
        else if (this.result) this.renderOutcome();
        void this.open();
        document.getElementById(`water-mode-${name}`)?.focus();
      } }, t(name === "flood" ? "waterModeFlood" : "waterModeLow"))),
    );
    fill(this.element, this.modes, this.mode === "flood" ? this.rehearsal : this.low.element);
  }

  private keep(job: string): void {
    try {
      sessionStorage.setItem(storageKey(), job);
    } catch {
      // Without storage a reload loses sight of the result.
    }
  }

  private kept(): string {
    try {
      const job = sessionStorage.getItem(storageKey()) ?? "";
      return /^[\w-]{1,80}$/.test(job) ? job : "";
    } catch {
      return "";
    }
  }

  private lines(): ({ value: number; key: Key } | null)[] {
    const p = this.gauge?.properties ?? {};
    return LINES.map(([name, key]) => (typeof p[name] === "number" ? { value: p[name], key } : null));
  }

  /** A point in the middle of a dike. */
  private middleOf(dike: string): [number, number] | null {
    const parts = this.dikes.filter(({ properties: p }) => p["dike"] === dike);
    const middle = parts[Math.floor(parts.length / 2)] ?? this.dikes[0];
    const line = middle?.geometry?.coordinates as [number, number][] | undefined;
    const point = line?.[Math.floor(line.length / 2)];
    return point && typeof point[0] === "number" ? [Number(point[0].toFixed(5)), Number(point[1].toFixed(5))] : null;
  }

  private inputs(): Record<string, unknown> {
    return {
      station: STATION,
      ...(this.forecast ? { forecast: FORECAST } : { levels_m: [...this.levels].sort((a, b) => a - b) }),
      scenario: this.scenario,
      ...(this.scenario === "breach" && this.breach ? { breaches: [this.breach] } : {}),
    };
  }

  private render(): void {
    if (!this.app.info("hankou-terrain") || !this.gauge) return fill(this.rehearsal, h("p", { class: "box" }, t("waterNoTerrain")));
    const { gauge, levels } = this;
    const focus = document.activeElement?.id;
    const toggle = (value: number): void => {
      this.levels = levels.includes(value) ? levels.filter((l) => l !== value) : [...levels, value].sort((a, b) => a - b).slice(0, MOST_LEVELS);
      this.render();
    };
    const lines = this.lines();
    const own = levels.filter((l) => !lines.some((line) => line?.value === l));
    const chip = (value: number, name: string): HTMLElement =>
      h("button", { type: "button", class: "chip", id: `water-level-${value.toFixed(2)}`, "aria-pressed": String(levels.includes(value)), onclick: () => toggle(value) }, `${name} ${value.toFixed(2)} m`);
    const number = h("input", { type: "number", id: "water-level", min: "20", max: "32", step: "0.01", value: this.other.toFixed(2), "aria-label": t("waterLevel"), onchange: () => {
      const value = Number(number.value);
      if (number.value !== "" && value >= 20 && value <= 32) this.other = Math.round(value * 100) / 100;
      number.value = this.other.toFixed(2);
      slider.value = String(this.other);
    } });
    const slider = h("input", { type: "range", id: "water-level-slider", min: "20", max: "32", step: "0.05", value: String(this.other), "aria-label": t("waterLevel"), oninput: () => {
      this.other = Number(Number(slider.value).toFixed(2));
      number.value = this.other.toFixed(2);
    } });
    const synthetic = Boolean(this.app.info("hankou-terrain")?.synthetic);
    const source = h(
      "div",
      { class: "segmented wide", role: "group", "aria-label": t("waterSource") },
      ([false, true] as const).map((ahead) => h("button", { type: "button", id: ahead ? "water-source-forecast" : "water-source-levels", "aria-pressed": String(ahead === this.forecast), onclick: () => {
        this.forecast = ahead;
        this.render();
      } }, t(ahead ? "waterSourceForecast" : "waterSourceLevels"))),
    );
    const choice = [
      h("p", { class: "label", id: "water-levels-label" }, t("waterLevels")),
      h("div", { class: "chips", role: "group", "aria-labelledby": "water-levels-label" }, lines.map((l) => (l ? chip(l.value, t(l.key)) : null)), own.map((v) => chip(v, t("waterOwnLevel")))),
      h("div", { class: "water-level" }, slider, number, h("button", { type: "button", class: "button small", id: "water-level-add", onclick: () => { if (!levels.includes(this.other)) toggle(this.other); } }, t("waterAddLevel"))),
    ];
    fill(
      this.rehearsal,
      h("h3", {}, t("waterRehearsal")),
      synthetic ? h("p", {}, h("span", { class: "tag synthetic wide" }, t("syntheticLong"))) : null,
      h("p", { class: "hint" }, t("waterRehearsalHint", { datum: datumName(String(gauge.properties["datum"] ?? "")) })),
      this.app.info(FORECAST) ? source : null,
      this.forecast ? h("p", { class: "hint" }, t("waterForecastHint")) : choice,
      h(
        "div",
        { class: "segmented wide", role: "group", "aria-label": t("waterScenario") },
        (Object.keys(SCENARIOS) as Scenario[]).map((name) =>
          h(
            "button",
            {
              type: "button",
              id: `water-scenario-${name}`,
              "aria-pressed": String(name === this.scenario),
              onclick: () => {
                this.scenario = name;
                this.render();
                if (name === "breach" && this.breach) this.view.mark(this.breach);
                else this.view.mark(null);
              },
            },
            t(SCENARIOS[name]),
          ),
        ),
      ),
      this.scenario === "breach" ? this.breachFields() : null,
      h("button", { type: "button", class: "button primary", id: "water-rehearse", disabled: this.box.running || !(levels.length || this.forecast), onclick: () => void this.box.start(this.inputs()) }, t("waterRehearse")),
      levels.length || this.forecast ? null : h("p", { class: "hint" }, t("waterNoLevel")),
      this.box.element,
      this.outcome,
    );
    this.renderOutcome();
    if (focus && this.rehearsal.querySelector(`#${CSS.escape(focus)}`)) document.getElementById(focus)?.focus();
  }

  private breachFields(): HTMLElement {
    const names = [...new Set(this.dikes.map(({ properties: p }) => String(p["dike"] ?? "")))].filter(Boolean);
    const dike = h("select", { id: "water-breach-dike", onchange: () => {
      this.breach = this.middleOf(dike.value) ?? this.breach;
      this.render();
      if (this.breach) this.view.mark(this.breach);
    } }, h("option", { value: "" }, t("waterBreachDike")), names.map((n) => h("option", { value: n }, n)));
    const input = (index: 0 | 1, key: Key, low: number, high: number): HTMLElement => {
      const field = h("input", { type: "number", step: "0.0001", min: String(low), max: String(high), id: `water-breach-${index}`, value: String(this.breach?.[index] ?? ""), onchange: () => {
        const value = Number(field.value);
        if (!this.breach || field.value === "" || value < low || value > high) return;
        this.breach = index ? [this.breach[0], value] : [value, this.breach[1]];
        this.view.mark(this.breach);
      } });
      return h("label", { class: "field" }, h("span", {}, t(key)), field);
    };
    const here = h("button", { type: "button", class: "button small", id: "water-breach-pick", onclick: () => {
      fill(here, t("waterBreachClick"));
      this.view.pickOnce((at) => {
        this.breach = [Number(at[0].toFixed(5)), Number(at[1].toFixed(5))];
        this.view.mark(this.breach);
        this.render();
      });
    } }, t("waterBreachPick"));
    return h("div", { class: "stack" }, h("label", { class: "field" }, h("span", {}, t("waterBreachAt")), dike), h("div", { class: "water-pair" }, input(0, "waterLon", 70, 140), input(1, "waterLat", 0, 60)), here);
  }

  private take(result: AnalysisResult, zoom: boolean): void {
    this.result = result;
    const levels = this.levelsOf(result);
    if (!levels.includes(this.level)) this.level = levels[levels.length - 1] ?? 0;
    const ahead = horizonsOf(result.tables["horizons"] ?? []);
    this.player.set(ahead);
    if (ahead[0]?.map != null) this.level = ahead[0].map;
    const extent = this.layer("extent")?.extent;
    if (zoom && extent) this.view.fit(extent);
    this.render();
  }

  private levelsOf(result: AnalysisResult): number[] {
    return (result.tables["levels"] ?? result.tables["warning"] ?? []).flatMap((r) => figure(r, "level_m") ?? []);
  }

  private layer(name: string): LayerInfo | undefined {
    return this.app.info(this.result?.layers[name] ?? "");
  }

  /** Draws the level on the map, or takes it off. */
  private draw(on: boolean): void {
    const layer = on ? this.layer(this.shows) : undefined;
    const others = this.app.pictures.filter((p) => p.id !== "water-flood");
    const at = this.result ? this.levelsOf(this.result).indexOf(this.level) : -1;
    if (!layer || at < 0) {
      void this.slot.show(null);
      if (others.length !== this.app.pictures.length) this.app.setPictures(this.app.dated, others);
      return;
    }
    void this.slot.show({
      template: (set) => (layer.tiles[set] ? `${decodeURI(address(layer.tiles[set]))}&band=level_${at + 1}` : undefined),
      extent: layer.extent,
      maxZoom: layer.max_zoom,
    });
    const suffix: Text = { zh: `${this.level.toFixed(2)} m`, en: `${this.level.toFixed(2)} m` };
    this.app.setPictures(this.app.dated, [
      { id: "water-flood", title: { zh: `${suffix.zh} ${layer.title.zh}`, en: `${suffix.en} ${layer.title.en}` }, synthetic: layer.synthetic, remove: () => this.draw(false) },
      ...others,
    ]);
  }

  private renderOutcome(): void {
    const { result } = this;
    if (!result) return fill(this.outcome);
    const verdict = result.tables["verdict"]?.[0];
    if (verdict && verdict["decidable"] === false) {
      this.draw(false);
      return fill(
        this.outcome,
        h("div", { class: "box warning", role: "status", id: "water-undecidable" }, h("strong", {}, pick(verdict["verdict"] as Text)), h("p", {}, pick(verdict["reason"] as Text)), h("p", { class: "hint" }, t("waterUndecidable"))),
        this.warnings(),
      );
    }
    this.draw(this.mode === "flood");
    const levels = this.levelsOf(result);
    const row = result.tables["levels"]?.find((r) => r["level_m"] === this.level) ?? {};
    const km2 = (name: string): string => plain(figure(row, name), 1);
    const legendPlace = h("div", {});
    const shown = this.layer(this.shows);
    if (shown) void legendOf(shown.legend, shown.version).then(
        // The server names the ramp by one of the levels; what is shown may be another.
        (legend) => fill(legendPlace, legendElement({ ...legend, entries: legend.entries.map((e) => (e.shape === "ramp" ? { ...e, label: shown.id.endsWith("-depth") ? DEPTH_TITLE : e.label } : e)) })),
        () => {},
      );
    fill(
      this.outcome,
      h("h4", {}, t("waterOutcome")),
      this.player.element,
      h(
        "div",
        { class: "segmented wide", role: "group", "aria-label": t("waterLevels") },
        levels.map((value) => h("button", { type: "button", id: `water-show-${value.toFixed(2)}`, "aria-pressed": String(value === this.level), onclick: () => {
          this.level = value;
          this.renderOutcome();
          document.getElementById(`water-show-${value.toFixed(2)}`)?.focus();
        } }, `${value.toFixed(2)} m`)),
      ),
      h(
        "div",
        { class: "segmented wide", role: "group", "aria-label": t("waterShow") },
        (["extent", "depth"] as const).map((name) => h("button", { type: "button", id: `water-show-${name}`, "aria-pressed": String(name === this.shows), onclick: () => {
          this.shows = name;
          this.renderOutcome();
          document.getElementById(`water-show-${name}`)?.focus();
        } }, t(name === "extent" ? "waterExtent" : "waterDepth"))),
      ),
      legendPlace,
      this.warnings(),
      h("table", { class: "grid", id: "water-figures" }, h("caption", {}, `${STATION} ${this.level.toFixed(2)} m`), h("tbody", {}, [
        [t("waterFlooded"), `${km2("flooded_km2")} km²`],
        [t("waterBetween"), `${km2("between_dikes_km2")} km²`],
        [t("waterBelow"), `${km2("below_not_connected_km2")} km²`],
        [t("waterMeanDepth"), `${plain(figure(row, "mean_depth_m"), 2)} m`],
        [t("waterDikes"), this.dikeText()],
      ].map(([name, value]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, value))))),
      this.exposure(),
      this.breaches(),
      this.plan(),
      scheduleTable(result, "flood-plan"),
      result.notes?.length ? h("details", {}, h("summary", {}, t("notes")), h("ul", { class: "factors" }, result.notes.map((n) => h("li", {}, pick(n))))) : null,
    );
  }

  /** Grade of each level by 设防/警戒/保证. */
  private warnings(): Child {
    const rows = (this.result?.tables["warning"] ?? []).filter((r) => r["level_m"] === this.level || this.result?.tables["verdict"]?.[0]?.["decidable"] === false);
    return rows.map((r) => h("p", { class: "water-grade", style: { borderLeftColor: String(r["color"] ?? "#777") } }, h("strong", {}, `${Number(r["level_m"]).toFixed(2)} m ${pick(r["title"] as Text)}`), r["action"] ? `：${pick(r["action"] as Text)}` : ""));
  }

  private dikeText(): string {
    const field = this.layer("dikes")?.fields.find((f) => f.name === "state")?.domain;
    return (this.result?.tables["dike_states"] ?? [])
      .filter((r) => r["level_m"] === this.level)
      .map((r) => `${field?.[String(r["state"])] ? pick(field[String(r["state"])]) : String(r["state"])} ${String(r["sections"])}`)
      .join(lang() === "zh" ? "、" : ", ");
  }

  private exposure(): Child {
    const rows = exposureOf(this.result?.tables["exposure"] ?? [], this.level);
    if (!rows.length) return h("p", { class: "hint" }, t("waterNoExposure"));
    const cells = (r: Exposure): Child => [plain(r.area, 2), plain(r.built, 2), plain(r.cropland, 2), plain(r.people, 0)].map((v) => h("td", {}, v));
    return [
      h(
        "table",
        { class: "grid numbers", id: "water-exposure" },
        h("caption", {}, t("waterExposure")),
        h("thead", {}, h("tr", {}, [`${t("waterDepth")} m`, t("waterFloodedArea"), t("waterBuilt"), t("waterCropland"), t("waterPeople")].map((c) => h("th", { scope: "col" }, c)))),
        h("tbody", {}, rows.filter((r) => r.depth !== "all").map((r) => h("tr", {}, h("th", { scope: "row" }, r.depth), cells(r)))),
        h("tfoot", {}, rows.filter((r) => r.depth === "all").map((r) => h("tr", {}, h("th", { scope: "row" }, t("total")), cells(r)))),
      ),
      csvButton(`flood-${this.level.toFixed(2)}.csv`, () => this.result?.tables["exposure"] ?? []),
    ];
  }

  private breaches(): Child {
    const rows = this.result?.tables["breaches"] ?? [];
    return rows.length ? h("ul", { class: "factors" }, rows.map((r) => h("li", {}, t("waterBreachRow", { section: String(r["section"] ?? ""), width: plain(figure(r, "width_m"), 0), sill: plain(figure(r, "sill_m"), 2) })))) : null;
  }

  private plan(): Child {
    const rows = (this.result?.tables["plan"] ?? []).filter((r) => r["level_m"] === this.level && r["action"]);
    if (!rows.length) return null;
    const more = (r: Row): string => [
      figure(r, "sections") === null ? "" : t("waterSectionCount", { n: Number(r["sections"]) }),
      figure(r, "people") === null ? "" : `${t("waterPeople")} ${plain(figure(r, "people"), 0)}`,
      r["certainty"] === "within_uncertainty" ? t("waterWithin") : r["certainty"] === "possible" ? t("waterPossible") : "",
    ].filter(Boolean).join(lang() === "zh" ? "，" : ", ");
    return h("details", { id: "water-plan" }, h("summary", {}, t("waterPlan", { n: rows.length })), h("ul", { class: "factors" }, rows.map((r) => h("li", {}, h("strong", {}, String(r["name"])), `：${pick(r["action"] as Text)}`, more(r) ? h("small", {}, ` （${more(r)}）`) : null))));
  }
}

/** Height datums as the gauges name them. */
const DATUMS: Record<string, Text> = { 吴淞: { zh: "吴淞", en: "Wusong" }, "1985": { zh: "1985 国家高程", en: "1985 national height datum" } };

const datumName = (name: string): string => pick(DATUMS[name] ?? name);

const plain = (value: number | null, digits: number): string =>
  value === null ? "—" : value.toLocaleString(lang() === "zh" ? "zh-CN" : "en-GB", { minimumFractionDigits: digits, maximumFractionDigits: digits });
