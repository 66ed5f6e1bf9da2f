/** 枯水: gauges below their drought and ecological levels, the forecast, intakes, depth for ships. */
import { getResult } from "../api/client";
import type { AnalysisResult, Text } from "../api/types";
import type { App } from "../app";
import { lang, pick, t, type Key } from "../i18n";
import { fill, h, type Child } from "./dom";
import { csvButton, type Row } from "./table";
import { drawLines, type DrawnChart } from "./waterchart";
import { RunBox } from "./waterrun";

const STATES: Record<string, Key> = { dry: "lowDry", threatened: "lowThreatened", uncertain: "lowUncertain", ok: "lowOk", not_assessed: "floodNotAssessed" };
const storageKey = (): string => `onemap-low-water ${new URL(document.baseURI).pathname}`;

const metres = (value: unknown): string => (typeof value === "number" ? value.toFixed(2) : "—");

/** Whom an intake serves: people, land, or neither. */
function affected(r: Row): string {
  const people = Number(r["people"] ?? 0), mu = Number(r["irrigated_mu"] ?? 0);
  return [people ? t("lowPeople", { n: people.toLocaleString() }) : "", mu ? t("lowMu", { n: mu.toLocaleString() }) : ""].filter(Boolean).join(" ") || "—";
}

/** Rows of the table `stations` of one gauge by line. */
export const linesOf = (rows: readonly Row[], station: string): Record<string, Row> =>
  Object.fromEntries(rows.filter((r) => r["station"] === station).map((r) => [String(r["line"]), r]));

export class LowWaterBox {
  readonly element = h("div", { class: "stack", id: "water-low" });
  private readonly box: RunBox;
  private readonly outcome = h("div", { class: "stack", id: "water-low-outcome" });
  private readonly chartHost = h("div", { id: "water-low-chart" });
  private result: AnalysisResult | null = null;
  private station = "";
  private chart: DrawnChart | null = null;
  private opened = false;

  constructor(private readonly app: App) {
    this.box = new RunBox(
      "low-water",
      async (result, job) => {
        this.keep(job);
        await app.loadCatalogue();
        this.take(result);
        for (const name of ["gauges", "intakes"]) if (result.layers[name]) app.add(result.layers[name]);
      },
      () => this.render(),
    );
  }

  async open(): Promise<void> {
    this.render();
    if (this.opened) return;
    this.opened = true;
    const job = this.kept();
    if (job) await getResult(job).then((result) => this.take(result), () => this.keep(""));
  }

  refresh(): void {
    if (this.opened) this.render();
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

  private take(result: AnalysisResult): void {
    this.result = result;
    const names = (result.tables["warning"] ?? []).map((r) => String(r["station"]));
    if (!names.includes(this.station)) this.station = names.includes("汉口") ? "汉口" : (names[0] ?? "");
    this.render();
  }

  private render(): void {
    const series = this.app.info("low-water-levels");
    if (!series) return fill(this.element, h("p", { class: "box" }, t("lowNoSeries")));
    const synthetic = Boolean(series.synthetic) || Boolean(this.app.info("low-water-lines")?.synthetic);
    fill(
      this.element,
      h("h3", {}, t("lowTitle")),
      synthetic ? h("p", {}, h("span", { class: "tag synthetic wide" }, t("syntheticLong"))) : null,
      h("p", { class: "hint" }, t("lowHint")),
      h("button", { type: "button", class: "button primary", id: "water-low-run", disabled: this.box.running, onclick: () => void this.box.start({}) }, t("lowRun")),
      this.box.element,
      this.outcome,
    );
    this.renderOutcome();
  }

  private renderOutcome(): void {
    this.chart?.dispose();
    this.chart = null;
    const { result } = this;
    if (!result) return fill(this.outcome);
    const rows = result.tables["warning"] ?? [];
    const table = h(
      "table",
      { class: "grid", id: "water-low-gauges" },
      h("caption", {}, `${t("lowGauges")} ${String(rows[0]?.["day"] ?? "")}`),
      h("thead", {}, h("tr", {}, (["lowGauge", "waterLevel", "lowGrade", "lowDays", "lowForecast"] as Key[]).map((k) => h("th", { scope: "col" }, t(k))))),
      h("tbody", {}, rows.map((r) => this.row(r))),
    );
    fill(
      this.outcome,
      h("div", { class: "water-scroll" }, table),
      csvButton("low-water.csv", () => result.tables["stations"] ?? []),
      this.chartHost,
      this.about(),
      this.intakes(),
      this.refused(),
    );
    void this.draw();
  }

  private row(r: Row): HTMLElement {
    const name = String(r["station"]);
    const lines = linesOf(this.result?.tables["stations"] ?? [], name);
    const days = (["drought", "ecological"] as const).map((l) => (lines[l] ? String(lines[l]["days_below"]) : "—")).join(" / ");
    const ahead = r["forecast_title"] ? pick(r["forecast_title"] as Text) : "—";
    const when = lines["ecological"]?.["forecast_reached"] ?? lines["drought"]?.["forecast_reached"];
    return h(
      "tr",
      { "data-station": name, class: name === this.station ? "chosen" : "" },
      h("th", { scope: "row" }, h("button", { type: "button", class: "link", onclick: () => { this.station = name; this.renderOutcome(); this.element.querySelector<HTMLElement>(`[data-station="${CSS.escape(name)}"] button`)?.focus(); } }, name)),
      h("td", { class: "num" }, metres(r["level_m"])),
      h("td", {}, h("span", { class: "water-low-dot", style: { background: String(r["color"]) } }), pick(r["title"] as Text)),
      h("td", { class: "num" }, days),
      h("td", {}, when && r["forecast_grade"] !== r["grade"] ? `${ahead} ${String(when).slice(5)}` : ahead),
    );
  }

  /** First day, lowest level, how sure the forecast is, depth for ships of the chosen gauge. */
  private about(): Child {
    const { result, station } = this;
    const lines = linesOf(result?.tables["stations"] ?? [], station);
    const ships = (result?.tables["navigation"] ?? []).find((r) => r["station"] === station);
    const sure: Record<string, Key> = { sure: "waterSure", within_uncertainty: "waterWithin", possible: "waterPossible", unlikely: "waterUnlikely" };
    const row = (line: Row, key: Key): HTMLElement =>
      h("tr", {}, h("th", { scope: "row" }, `${t(key)} ${metres(line["line_m"])} m`), h("td", {}, t("lowLine", {
        days: Number(line["days_below"]), first: String(line["first_day"] ?? "—"), lowest: metres(line["lowest_m"]), day: String(line["lowest_day"]),
      })), h("td", {}, line["forecast_lowest_m"] === undefined ? "—" : `${metres(line["forecast_lowest_m"])} m ${String(line["forecast_reached"] ?? "")} ${line["forecast_certainty"] ? t(sure[String(line["forecast_certainty"])] ?? "floodNotAssessed") : ""}`));
    const grade = (result?.tables["warning"] ?? []).find((r) => r["station"] === station);
    return [
      h("table", { class: "grid", id: "water-low-lines" }, h("caption", {}, station), h("tbody", {}, lines["drought"] ? row(lines["drought"], "lowDrought") : null, lines["ecological"] ? row(lines["ecological"], "lowEcological") : null,
        ships ? h("tr", {}, h("th", { scope: "row" }, t("lowShips")), h("td", {}, `${metres(ships["depth_m"])} m（${t("lowKept")} ${metres(ships["kept_depth_m"])} m）`), h("td", {}, `${metres(ships["forecast_depth_m"])} m${Number(ships["short_m"]) > 0 ? ` ${t("lowShort", { m: metres(ships["short_m"]) })}` : ""}`)) : null)),
      grade ? h("p", { class: "water-grade", style: { borderLeftColor: String(grade["color"]) } }, h("strong", {}, pick(grade["title"] as Text)), `：${pick(grade["action"] as Text)}`) : null,
    ];
  }

  private intakes(): Child {
    const rows = this.result?.tables["intakes"] ?? [];
    if (!rows.length) return null;
    const order = Object.keys(STATES);
    const sorted = [...rows].sort((a, b) => order.indexOf(String(a["state"])) - order.indexOf(String(b["state"])));
    return [
      h("div", { class: "water-scroll" }, h(
        "table",
        { class: "grid", id: "water-low-intakes" },
        h("caption", {}, t("lowIntakes")),
        h("thead", {}, h("tr", {}, (["lowIntake", "lowState", "lowMargin", "lowAffected"] as Key[]).map((k) => h("th", { scope: "col" }, t(k))))),
        h("tbody", {}, sorted.map((r) => h("tr", { "data-state": String(r["state"]) }, h("th", { scope: "row" }, String(r["name"])), h("td", {}, t(STATES[String(r["state"])] ?? "floodNotAssessed")),
          h("td", {}, h("span", { class: "num" }, metres(r["margin_m"])), " → ", h("span", { class: "num" }, metres(r["forecast_margin_m"]))), h("td", { class: "num" }, affected(r))))),
      )),
      csvButton("intakes.csv", () => rows),
    ];
  }

  private refused(): Child {
    const rows = this.result?.tables["refused"] ?? [];
    return rows.length ? h("details", { id: "water-low-refused" }, h("summary", {}, t("lowRefused", { n: rows.length })), h("ul", { class: "factors" }, rows.map((r) => h("li", {}, h("strong", {}, String(r["name"])), `：${pick(r["about"] as Text)}`)))) : null;
  }

  private async draw(): Promise<void> {
    const { result, station } = this;
    if (!result || !station) return;
    const rows = (result.tables["daily"] ?? []).filter((r) => r["station"] === station);
    const lines = linesOf(result.tables["stations"] ?? [], station);
    const ends = [rows[0], rows[rows.length - 1]].flatMap((r) => (r ? [`${String(r["day"])}T00:00:00Z`] : []));
    const flat = (key: Key, line: Row | undefined, color: string) =>
      line ? [{ name: t(key), unit: "m", color, points: ends.map((time) => ({ time, value: Number(line["line_m"]) })) }] : [];
    const level = (ahead: boolean) => rows.filter((r) => (r["forecast"] === true) === ahead).map((r) => ({ time: `${String(r["day"])}T00:00:00Z`, value: Number(r["level_m"]), hollow: ahead }));
    const chart = await drawLines(this.chartHost, {
      series: [
        { name: t("lowObserved"), unit: "m", color: "#1565c0", points: level(false) },
        { name: t("lowForecastSeries"), unit: "m", color: "#6a1b9a", points: level(true) },
        ...flat("lowDrought", lines["drought"], "#f9a825"),
        ...flat("lowEcological", lines["ecological"], "#c62828"),
      ],
      description: `${station} ${lang() === "zh" ? "日平均水位" : "mean level of the day"}`,
    });
    if (this.result === result && this.station === station) this.chart = chart;
    else chart.dispose();
  }
}
