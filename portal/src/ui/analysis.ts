/** 分析评价: run an analysis on the current view, follow its job, show the result on the map and in tables. */
import { dismissJob, execute, getJob, getProcess, getResult, Problem } from "../api/client";
import type { AnalysisResult, JobStatus, ProcessDescription } from "../api/types";
import type { App } from "../app";
import { areaText, type AreaUnit } from "../geo/format";
import { lang, pick, t, type Key } from "../i18n";
import type { MapView } from "../map/mapview";
import { drawBars } from "./chart";
import { download, fill, h, icon } from "./dom";
import { errorBox, loadingBox } from "./notice";
import { buildForm, fieldsOf, inLanguage, type BuiltForm } from "./schemaform";
import { rowName, toCsv, type Row } from "./table";

const PROCESS = "urban-suitability";
const POLL_MS = 700;

/** Classes of the result in drawing order, with the colours of its map. */
const CLASSES: readonly { name: string; key: Key; color: string }[] = [
  { name: "suitable", key: "classSuitable", color: "#1a9850" },
  { name: "moderate", key: "classModerate", color: "#fee08b" },
  { name: "unsuitable", key: "classUnsuitable", color: "#d73027" },
];

const UNITS: readonly { unit: AreaUnit; key: Key }[] = [
  { unit: "km2", key: "unitKm2" },
  { unit: "hm2", key: "unitHm2" },
  { unit: "mu", key: "unitMu" },
];

type Phase =
  | { name: "idle" }
  | { name: "error"; error: unknown }
  | { name: "running"; job: JobStatus; lost: number }
  | { name: "dismissed" }
  | { name: "done"; result: AnalysisResult; job: string };

export class AnalysisPanel {
  readonly element = h("section", { class: "stack" });
  private process: ProcessDescription | null = null;
  /** Language of `process`. */
  private described: string | null = null;
  private processError: unknown = null;
  private form: BuiltForm | null = null;
  private readonly values: Record<string, string> = {};
  private phase: Phase = { name: "idle" };
  private unit: AreaUnit = "km2";
  private readonly status = h("div", { class: "stack", id: "analysis-status" });
  private disposeChart: (() => void) | null = null;
  private timer = 0;

  constructor(
    private readonly app: App,
    private readonly view: MapView,
  ) {
    this.render();
  }

  /** Fetches the description when the panel is first opened, and again in another language. */
  async open(): Promise<void> {
    const language = lang();
    if (this.described === language) return;
    this.described = language;
    this.process = null;
    this.processError = null;
    this.render();
    try {
      const found = await getProcess(PROCESS, language);
      // The language may have changed while the answer was on its way.
      if (this.described === language) this.process = found;
    } catch (error) {
      this.processError = error;
      this.described = null;
    }
    this.render();
  }

  render(): void {
    const { process } = this;
    if (!process) {
      fill(
        this.element,
        h("h3", {}, t("analysis")),
        this.processError ? errorBox(this.processError, () => void this.open()) : loadingBox(t("loadingProcess")),
      );
      return;
    }
    this.form = buildForm(fieldsOf(process.inputs, ["bbox"]), this.values);
    fill(
      this.element,
      h("h3", {}, inLanguage(process.title, lang()) || process.id),
      h("p", { class: "hint" }, inLanguage(process.description, lang())),
      h("details", { class: "parameters" }, h("summary", {}, t("parameters")), this.form.element),
      h("p", { class: "hint" }, t("runOnViewHint")),
      h(
        "button",
        { type: "button", class: "button primary", id: "run-analysis", onclick: () => void this.start() },
        icon("chart"),
        t("runOnView"),
      ),
      this.status,
    );
    this.show();
  }

  /** The current view cut to the province, or null if they do not meet. */
  private bbox(): number[] | null {
    const [w, s, e, n] = this.view.bbox;
    const [west, south, east, north] = this.app.home;
    const box = [Math.max(w, west), Math.max(s, south), Math.min(e, east), Math.min(n, north)] as const;
    return box[0] < box[2] && box[1] < box[3] ? box.map((v) => Number(v.toFixed(6))) : null;
  }

  private async start(): Promise<void> {
    if (this.phase.name === "running") return;
    const bbox = this.bbox();
    let inputs: Record<string, unknown>;
    try {
      if (!bbox) throw new RangeError(t("viewOutside"));
      inputs = { ...this.form?.read(), bbox };
    } catch (error) {
      this.element.querySelector("details")?.setAttribute("open", "");
      this.set({ name: "error", error: error instanceof RangeError ? new Problem(400, error.message, error.message) : error });
      return;
    }
    this.view.mark(bbox as [number, number, number, number]);
    this.set({ name: "running", job: { jobID: "", status: "accepted", progress: 0 }, lost: 0 });
    try {
      const job = await execute(PROCESS, inputs);
      this.set({ name: "running", job, lost: 0 });
      this.poll(job.jobID);
    } catch (error) {
      this.set({ name: "error", error });
    }
  }

  private poll(id: string): void {
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(() => void this.step(id), POLL_MS);
  }

  private async step(id: string): Promise<void> {
    if (this.phase.name !== "running") return;
    try {
      const job = await getJob(id);
      // Dismissed while the answer was on its way.
      if ((this.phase as Phase).name !== "running") return;
      if (job.status === "successful") return await this.finish(id);
      if (job.status === "failed") {
        const text = job.message ?? t("jobFailed");
        return this.set({ name: "error", error: new Problem(422, inLanguage(text, "zh"), inLanguage(text, "en")) });
      }
      if (job.status === "dismissed") return this.set({ name: "dismissed" });
      this.set({ name: "running", job, lost: 0 });
    } catch (error) {
      // A job outlives a broken connection: keep asking for a while before giving up.
      const { lost, job } = this.phase;
      const transient = error instanceof Problem && (error.status === 0 || error.status >= 500);
      if (!transient || lost >= 20) return this.set({ name: "error", error });
      this.set({ name: "running", job, lost: lost + 1 });
    }
    this.poll(id);
  }

  private async finish(id: string): Promise<void> {
    try {
      const result = await getResult(id);
      await this.app.loadCatalogue();
      // The map of classes is the result; the single factors stand in the tree.
      const first = result.layers["class"] ?? Object.values(result.layers)[0];
      if (first) this.app.add(first);
      this.view.mark(null);
      this.set({ name: "done", result, job: id });
    } catch (error) {
      this.set({ name: "error", error });
    }
  }

  private async dismiss(): Promise<void> {
    if (this.phase.name !== "running") return;
    const { jobID } = this.phase.job;
    window.clearTimeout(this.timer);
    try {
      if (jobID) await dismissJob(jobID);
      this.view.mark(null);
      this.set({ name: "dismissed" });
    } catch (error) {
      this.set({ name: "error", error });
    }
  }

  private set(phase: Phase): void {
    this.phase = phase;
    this.show();
  }

  private show(): void {
    const { phase, status } = this;
    this.disposeChart?.();
    this.disposeChart = null;
    const button = this.element.querySelector<HTMLButtonElement>("#run-analysis");
    if (button) button.disabled = phase.name === "running";
    switch (phase.name) {
      case "idle":
        return fill(status);
      case "dismissed":
        return fill(status, h("p", { class: "box", role: "status" }, t("jobDismissed")));
      case "error":
        return fill(status, errorBox(phase.error));
      case "running":
        return this.showProgress(phase.job, phase.lost > 0);
      case "done":
        return this.showResult(phase.result, phase.job);
    }
  }

  private showProgress(job: JobStatus, lost: boolean): void {
    const percent = Math.round(job.progress ?? 0);
    const message = lost ? t("reconnecting") : inLanguage(job.message, lang()) || t(job.status === "accepted" ? "queued" : "running");
    fill(
      this.status,
      h(
        "div",
        { class: "box", role: "status" },
        h("label", { class: "field" }, h("span", {}, `${message} ${percent}%`), h("progress", { max: 100, value: percent, id: "job-progress" })),
        h("button", { type: "button", class: "button", id: "dismiss-job", onclick: () => void this.dismiss() }, t("dismiss")),
      ),
    );
  }

  private showResult(result: AnalysisResult, job: string): void {
    const layers = Object.values(result.layers);
    const missing = result.factors.filter((f) => !f.assessed);
    fill(
      this.status,
      h("p", { class: "box success", role: "status" }, t("resultAdded", { layer: layers.join(", ") })),
      this.areas(result.tables["by_county"] ?? []),
      h("h4", {}, t("notAssessed", { n: missing.length })),
      missing.length
        ? h(
            "ul",
            { class: "factors", id: "not-assessed" },
            missing.map((f) => h("li", {}, h("strong", {}, pick(f.title)), pick(f.note) ? `: ${pick(f.note)}` : "")),
          )
        : h("p", { class: "hint" }, t("allAssessed")),
      result.notes?.length
        ? h("details", { open: true }, h("summary", {}, t("notes")), h("ul", { class: "factors" }, result.notes.map((n) => h("li", {}, pick(n)))))
        : null,
      h(
        "details",
        {},
        h("summary", {}, t("provenance")),
        h("pre", { tabindex: "0", class: "provenance" }, JSON.stringify(result.provenance, null, 2)),
      ),
      h("p", { class: "hint" }, `${t("job")} ${job}`),
    );
  }

  /** Table by county and a stacked bar, in one unit. */
  private areas(rows: Row[]): HTMLElement {
    const box = h("div", { class: "stack", id: "by-county" });
    if (!rows.length) {
      box.append(h("p", { class: "hint" }, t("noCountyRows")));
      return box;
    }
    const chart = h("div", { class: "chart" });
    const table = h("div", { class: "scroll" });
    const unitName = t(UNITS.find((u) => u.unit === this.unit)?.key ?? "unitKm2");
    const switcher = h(
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
              this.show();
              this.element.querySelector<HTMLElement>(`[data-unit="${unit}"]`)?.focus();
            },
          },
          t(key),
        ),
      ),
    );
    const present = CLASSES.filter((c) => rows.some((r) => typeof r[`${c.name}_km2`] === "number"));
    const area = (row: Row, name: string): number => Number(row[`${name}_km2`] ?? 0);
    const cell = (row: Row, name: string): string => areaText(area(row, name), this.unit, lang());
    const sum = (name: string): number => rows.reduce((total, row) => total + area(row, name), 0);
    fill(
      table,
      h(
        "table",
        { class: "grid numbers" },
        h("caption", {}, `${t("byCounty")} (${unitName}, ${t("ellipsoidal")})`),
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("county")), present.map((c) => h("th", { scope: "col" }, t(c.key))))),
        h(
          "tbody",
          {},
          rows.map((row) =>
            h("tr", {}, h("th", { scope: "row" }, rowName(row, lang())), present.map((c) => h("td", {}, cell(row, c.name)))),
          ),
        ),
        h(
          "tfoot",
          {},
          h("tr", {}, h("th", { scope: "row" }, t("total")), present.map((c) => h("td", {}, areaText(sum(c.name), this.unit, lang())))),
        ),
      ),
    );
    // A bar needs room: the largest counties of the view, the table has all.
    const largest = [...rows]
      .sort((a, b) => present.reduce((d, c) => d + area(b, c.name) - area(a, c.name), 0))
      .slice(0, 16);
    fill(
      box,
      switcher,
      chart,
      table,
      h(
        "button",
        {
          type: "button",
          class: "button small",
          onclick: () => download("urban-suitability-by-county.csv", new Blob([toCsv(rows)], { type: "text/csv;charset=utf-8" })),
        },
        t("downloadCsv"),
      ),
    );
    drawBars(
      chart,
      largest.map((row) => rowName(row, lang())),
      present.map((c) => ({ name: t(c.key), color: c.color, values: largest.map((row) => area(row, c.name)) })),
      this.unit,
      unitName,
      t("byCounty"),
    )
      .then((dispose) => (this.disposeChart = dispose))
      .catch(() => chart.replaceChildren(t("chartFailed")));
    return box;
  }
}
