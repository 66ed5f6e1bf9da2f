/** A button that starts one process of the server, follows its job and hands its result on. */
import { dismissJob, execute, getJob, getResult, Problem } from "../api/client";
import type { AnalysisResult, JobStatus } from "../api/types";
import { lang, t } from "../i18n";
import { fill, h } from "./dom";
import { errorBox } from "./notice";
import { inLanguage } from "./schemaform";

const POLL_MS = 700;
/** Answers of a server that is away for a moment. */
const PASSING = [0, 502, 503, 504];

export class RunBox {
  readonly element = h("div", { class: "stack" });
  private job: string | null = null;
  private timer = 0;
  private lost = 0;

  constructor(
    private readonly process: string,
    private readonly done: (result: AnalysisResult, job: string) => void | Promise<void>,
    /** Called when a run starts and when it is over. */
    private readonly busy: (running: boolean) => void = () => {},
  ) {}

  get running(): boolean {
    return this.job !== null;
  }

  async start(inputs: Record<string, unknown>): Promise<void> {
    if (this.running) return;
    this.job = "";
    this.lost = 0;
    this.busy(true);
    this.progress({ jobID: "", status: "accepted", progress: 0 });
    try {
      const job = await execute(this.process, inputs);
      this.job = job.jobID;
      this.progress(job);
      this.poll();
    } catch (error) {
      this.fail(error);
    }
  }

  private poll(): void {
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(() => void this.step(), POLL_MS);
  }

  private async step(): Promise<void> {
    const id = this.job;
    if (!id) return;
    try {
      const job = await getJob(id);
      if (this.job !== id) return;
      this.lost = 0;
      if (job.status === "successful") {
        const result = await getResult(id);
        this.over();
        fill(this.element);
        await this.done(result, id);
        return;
      }
      if (job.status === "failed") {
        // The results of a failed job are the problem, in both languages.
        await getResult(id).catch((error: unknown) => this.fail(error));
        if (this.job === id) this.fail(new Problem(422, inLanguage(job.message, "zh") || "运行失败", inLanguage(job.message, "en") || "the run failed"));
        return;
      }
      if (job.status === "dismissed") return this.stopped();
      this.progress(job);
    } catch (error) {
      const passing = error instanceof Problem && PASSING.includes(error.status);
      if (!passing || ++this.lost > 20) return this.fail(error);
    }
    this.poll();
  }

  private over(): void {
    window.clearTimeout(this.timer);
    this.job = null;
    this.busy(false);
  }

  private fail(error: unknown): void {
    this.over();
    fill(this.element, errorBox(error));
  }

  private stopped(): void {
    this.over();
    fill(this.element, h("p", { class: "box", role: "status" }, t("jobDismissed")));
  }

  private progress(job: JobStatus): void {
    const percent = Math.round(job.progress ?? 0);
    const text = `${inLanguage(job.message, lang()) || t(job.status === "accepted" ? "queued" : "running")} ${percent}%`;
    const bar = this.element.querySelector("progress");
    const label = this.element.querySelector("[role=status]");
    if (bar && label) {
      bar.value = percent;
      if (label.textContent !== text) label.textContent = text;
      return;
    }
    fill(
      this.element,
      h(
        "div",
        { class: "box stack" },
        h("p", { role: "status" }, text),
        h("progress", { max: 100, value: percent, "aria-label": t("running") }),
        h("button", { type: "button", class: "button", onclick: () => void this.dismiss() }, t("dismiss")),
      ),
    );
  }

  private async dismiss(): Promise<void> {
    const id = this.job;
    try {
      if (id) await dismissJob(id);
      this.stopped();
    } catch (error) {
      this.fail(error);
    }
  }
}
