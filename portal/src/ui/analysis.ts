/** 分析评价: choose an analysis of the server, run it on the view or the province, follow its job, show its result. */
import { address, dismissJob, execute, getJob, getProcesses, getResult, Problem } from "../api/client";
import type { JobStatus, ProcessDescription } from "../api/types";
import type { App } from "../app";
import { lang, pick, t } from "../i18n";
import type { MapView } from "../map/mapview";
import { fill, h, icon, type Child } from "./dom";
import { remember, remembered } from "./jobmemory";
import { errorBox, loadingBox } from "./notice";
import { offered } from "./offer";
import { classLayers, ResultView } from "./resultview";
import { buildForm, fieldsOf, inLanguage, type BuiltForm } from "./schemaform";

const POLL_MS = 700;

type Phase =
  | { name: "idle" }
  | { name: "error"; error: unknown }
  | { name: "running"; job: JobStatus; lost: number }
  | { name: "dismissed" }
  | { name: "done"; view: ResultView };

export class AnalysisPanel {
  readonly element = h("section", { class: "stack" });
  private processes: ProcessDescription[] | null = null;
  /** Language of `processes`. */
  private described: string | null = null;
  private listError: unknown = null;
  private chosen = "";
  private extent: "view" | "whole" = "view";
  private form: BuiltForm | null = null;
  /** Process → what was typed into its form. */
  private readonly values = new Map<string, Record<string, string>>();
  private phase: Phase = { name: "idle" };
  private readonly status = h("div", { class: "stack", id: "analysis-status" });
  private timer = 0;

  constructor(
    private readonly app: App,
    private readonly view: MapView,
  ) {
    app.on("layers", () => {
      if (this.phase.name === "done") this.phase.view.layersChanged();
    });
    this.resume();
    this.render();
  }

  /** Fetches the descriptions when the panel is first opened, and again in another language. */
  async open(): Promise<void> {
    const language = lang();
    if (this.described === language) return;
    this.described = language;
    this.listError = null;
    this.render();
    try {
      const found = offered(await getProcesses(language));
      // The language may have changed while the answer was on its way.
      if (this.described !== language) return;
      this.processes = found;
      if (!found.some((p) => p.id === this.chosen)) this.chosen = found[0]?.id ?? "";
    } catch (error) {
      this.listError = error;
      this.described = null;
    }
    this.render();
  }

  private get process(): ProcessDescription | undefined {
    return this.processes?.find((p) => p.id === this.chosen);
  }

  render(): void {
    fill(this.element, h("h3", {}, t("analysis")), this.setUp(), this.status);
    if (this.phase.name === "done") this.phase.view.render();
    this.show();
  }

  private setUp(): Child {
    const { processes, process } = this;
    if (this.listError) return errorBox(this.listError, () => void this.open());
    if (!processes) return loadingBox(t("loadingProcess"));
    if (!process) return h("p", { class: "box" }, t("noProcesses"));
    const select = h(
      "select",
      {
        id: "process",
        onchange: () => {
          this.chosen = select.value;
          this.render();
          document.getElementById("process")?.focus();
        },
      },
      processes.map((p) => h("option", { value: p.id, selected: p.id === process.id }, titleOf(p))),
    );
    const fields = fieldsOf(process.inputs, ["bbox"]);
    const leftOut = fields.filter((f) => f.kind === "json");
    const values = this.values.get(process.id) ?? {};
    this.values.set(process.id, values);
    const layers = (this.app.catalogue?.layers ?? []).map((l) => ({ value: l.id, title: pick(l.title) }));
    this.form = buildForm(fields.filter((f) => f.kind !== "json"), values, layers);
    return [
      h("label", { class: "field" }, h("span", {}, t("process")), select),
      h("p", { class: "hint", id: "process-about" }, inLanguage(process.description, lang())),
      "bbox" in process.inputs ? this.extentChoice() : null,
      h(
        "details",
        { class: "parameters", open: fields.some((f) => f.required) },
        h("summary", {}, t("parameters")),
        this.form.element,
        leftOut.length
          ? h(
              "p",
              { class: "hint", id: "left-out" },
              `${t("useApi", { names: leftOut.map((f) => f.title).join(lang() === "zh" ? "、" : ", ") })} `,
              h("a", { href: address(`/ogc/processes/${process.id}?f=json`), target: "_blank", rel: "noopener" }, process.id),
            )
          : null,
      ),
      h(
        "button",
        { type: "button", class: "button primary", id: "run-analysis", onclick: () => void this.start() },
        icon("chart"),
        t("runAnalysis"),
      ),
    ];
  }

  private extentChoice(): Child {
    const choices = [
      { id: "view", key: "extentView" },
      { id: "whole", key: "extentWhole" },
    ] as const;
    return h(
      "div",
      { class: "field" },
      h("span", { id: "extent-label" }, t("runExtent")),
      h(
        "div",
        { class: "segmented", role: "group", "aria-labelledby": "extent-label" },
        choices.map(({ id, key }) =>
          h(
            "button",
            {
              type: "button",
              id: `extent-${id}`,
              "aria-pressed": String(this.extent === id),
              onclick: () => {
                this.extent = id;
                this.render();
                document.getElementById(`extent-${id}`)?.focus();
              },
            },
            t(key),
          ),
        ),
      ),
      h("small", { class: "hint" }, t(this.extent === "view" ? "runOnViewHint" : "runOnWholeHint")),
    );
  }

  /** The current view cut to the province, or null if they do not meet. */
  private bbox(): [number, number, number, number] | null {
    const [w, s, e, n] = this.view.bbox;
    const [west, south, east, north] = this.app.home;
    const box = [Math.max(w, west), Math.max(s, south), Math.min(e, east), Math.min(n, north)] as const;
    if (box[0] >= box[2] || box[1] >= box[3]) return null;
    const [a, b, c, d] = box.map((v) => Number(v.toFixed(6))) as [number, number, number, number];
    return [a, b, c, d];
  }

  private async start(): Promise<void> {
    const { process } = this;
    if (this.phase.name === "running" || !process) return;
    let inputs: Record<string, unknown>;
    this.view.mark(null);
    try {
      inputs = { ...this.form?.read() };
      if ("bbox" in process.inputs && this.extent === "view") {
        const bbox = this.bbox();
        if (!bbox) throw new RangeError(t("viewOutside"));
        inputs["bbox"] = bbox;
        this.view.mark(bbox);
      }
    } catch (error) {
      this.set({ name: "error", error: error instanceof RangeError ? new Problem(400, error.message, error.message) : error });
      return;
    }
    remember(null);
    this.set({ name: "running", job: { jobID: "", status: "accepted", progress: 0 }, lost: 0 });
    // The button that was pressed can no longer be: the way to stop is next.
    this.status.querySelector<HTMLElement>("#dismiss-job")?.focus();
    try {
      const job = await execute(process.id, inputs);
      remember({ process: process.id, job: job.jobID, shown: false });
      this.set({ name: "running", job, lost: 0 });
      this.poll(job.jobID);
    } catch (error) {
      this.fail(error);
    }
  }

  /** Takes up the job that this tab was following before the page was loaded anew. */
  private resume(): void {
    const job = remembered();
    if (!job) return;
    this.chosen = job.process;
    this.phase = { name: "running", job: { jobID: job.job, status: "accepted", progress: 0 }, lost: 0 };
    void this.step(job.job);
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
      if (job.status === "failed") return this.fail(await reasonOf(job));
      if (job.status === "dismissed") return this.stopped();
      this.set({ name: "running", job, lost: 0 });
    } catch (error) {
      const { phase } = this;
      if (phase.name !== "running") return;
      // A job of a server that has been set up anew since: nothing to tell.
      if (error instanceof Problem && (error.status === 404 || error.status === 410) && !phase.job.progress) return this.forget();
      // A job outlives a broken connection: keep asking for a while before giving up.
      const transient = error instanceof Problem && (error.status === 0 || [502, 503, 504].includes(error.status));
      if (!transient || phase.lost >= 20) return this.fail(error);
      this.set({ name: "running", job: phase.job, lost: phase.lost + 1 });
    }
    this.poll(id);
  }

  private async finish(id: string): Promise<void> {
    try {
      const result = await getResult(id);
      await this.app.loadCatalogue();
      const job = remembered();
      const process = job?.process ?? result.analysis ?? this.chosen;
      if (!job?.shown) {
        // All maps of classes are listed and the first is drawn: one opaque map hides the others.
        const ids = classLayers(this.app, result).map((l) => l.id);
        if (ids[0]) this.app.showOne(ids[0], ids);
        remember({ process, job: id, shown: true });
      }
      this.view.mark(null);
      const outputs = (name: string): string =>
        inLanguage(this.processes?.find((p) => p.id === process)?.outputs?.[name]?.title, lang()) ||
        pick(this.app.info(result.layers[name] ?? "")?.title) ||
        name;
      this.set({ name: "done", view: new ResultView(this.app, result, id, process, outputs) });
    } catch (error) {
      this.fail(error);
    }
  }

  private async dismiss(): Promise<void> {
    if (this.phase.name !== "running") return;
    const { jobID } = this.phase.job;
    window.clearTimeout(this.timer);
    try {
      if (jobID) await dismissJob(jobID);
      this.stopped();
    } catch (error) {
      this.fail(error);
    }
  }

  private stopped(): void {
    remember(null);
    this.view.mark(null);
    this.set({ name: "dismissed" });
    this.element.querySelector<HTMLElement>("#run-analysis")?.focus();
  }

  private fail(error: unknown): void {
    remember(null);
    this.set({ name: "error", error });
  }

  private forget(): void {
    remember(null);
    this.set({ name: "idle" });
  }

  private set(phase: Phase): void {
    if (this.phase.name === "done") this.phase.view.dispose();
    this.phase = phase;
    this.show();
  }

  private show(): void {
    const { phase, status } = this;
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
        return fill(status, phase.view.element);
    }
  }

  private showProgress(job: JobStatus, lost: boolean): void {
    const percent = Math.round(job.progress ?? 0);
    const message = lost ? t("reconnecting") : inLanguage(job.message, lang()) || t(job.status === "accepted" ? "queued" : "running");
    const text = `${message} ${percent}%`;
    const bar = this.status.querySelector<HTMLProgressElement>("#job-progress");
    const label = this.status.querySelector("#job-message");
    if (bar && label && bar.dataset["lang"] === lang()) {
      // In place: a button made anew at every step would lose the focus.
      bar.value = percent;
      if (label.textContent !== text) label.textContent = text;
      return;
    }
    fill(
      this.status,
      h(
        "div",
        { class: "box stack" },
        h("p", { id: "job-message", role: "status" }, text),
        h("progress", { max: 100, value: percent, id: "job-progress", "data-lang": lang(), "aria-labelledby": "job-message" }),
        h("button", { type: "button", class: "button", id: "dismiss-job", onclick: () => void this.dismiss() }, t("dismiss")),
      ),
    );
  }
}

const titleOf = (process: ProcessDescription): string => inLanguage(process.title, lang()) || process.id;

/** Why a job failed: its results are then an error document with the message in both languages. */
async function reasonOf(job: JobStatus): Promise<unknown> {
  try {
    await getResult(job.jobID);
  } catch (error) {
    if (error instanceof Problem && error.status !== 0) return error;
  }
  const text = (language: "zh" | "en"): string => inLanguage(job.message, language) || t("jobFailed");
  return new Problem(422, text("zh"), text("en"));
}
