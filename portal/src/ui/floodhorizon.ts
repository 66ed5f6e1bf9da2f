/** Lead times of a forecast as a player, and the plan list of the whole forecast with its downloads. */
import type { AnalysisResult, Text } from "../api/types";
import { lang, pick, t, type Key } from "../i18n";
import { download, fill, h, type Child } from "./dom";
import { csvButton, type Row } from "./table";

const STEP_MS = 1600;

export interface Horizon {
  lead: number;
  time: string;
  /** Level forecast; null beyond the forecast. */
  level: number | null;
  sd: number | null;
  /** Level whose map stands for it. */
  map: number | null;
  title: Text | null;
  color: string;
  reason: Text | null;
}

const number = (value: unknown): number | null => (typeof value === "number" ? value : null);
const text = (value: unknown): Text | null => (value && typeof value === "object" && "zh" in value ? (value as Text) : null);

/** Rows of the table `horizons`, in the order of their lead times. */
export function horizonsOf(rows: readonly Row[]): Horizon[] {
  return rows
    .map((r) => ({
      lead: number(r["lead_h"]) ?? 0,
      time: String(r["time"] ?? ""),
      level: number(r["level_m"]),
      sd: number(r["sd_m"]),
      map: number(r["map_level_m"]),
      title: text(r["title"]),
      color: String(r["color"] ?? "#9e9e9e"),
      reason: text(r["reason"]),
    }))
    .sort((a, b) => a.lead - b.lead);
}

/** A time as people on the bank read it: Beijing time, to the hour and minute. */
export const beijing = (time: string): string =>
  new Intl.DateTimeFormat(lang() === "zh" ? "zh-CN" : "en-GB", {
    timeZone: "Asia/Shanghai", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", hourCycle: "h23",
  }).format(new Date(time));

/** A level with its uncertainty, as it stands beside the slider. */
export function horizonText(one: Horizon): string {
  const level = one.level === null ? "—" : `${one.level.toFixed(2)}${one.sd === null ? "" : ` ± ${one.sd.toFixed(2)}`} m`;
  return `+${one.lead} h · ${beijing(one.time)} · ${level}`;
}

export class HorizonPlayer {
  readonly element = h("div", { class: "stack water-player", id: "water-horizons" });
  private rows: Horizon[] = [];
  private at = 0;
  private timer = 0;

  /** @param show draws the map that stands for a lead time. */
  constructor(private readonly show: (row: Horizon) => void) {}

  get now(): Horizon | undefined {
    return this.rows[this.at];
  }

  set(rows: Horizon[]): void {
    this.stop();
    this.rows = rows;
    this.at = 0;
    this.render();
  }

  /** Goes to a lead time; what lies beyond the forecast has no map and leaves the last one. */
  go(at: number): void {
    this.at = Math.max(0, Math.min(at, this.rows.length - 1));
    this.label();
    const now = this.now;
    if (now) this.show(now);
  }

  stop(): void {
    window.clearTimeout(this.timer);
    this.timer = 0;
  }

  private play(): void {
    if (this.timer) {
      this.stop();
      return this.label();
    }
    if (this.at >= this.rows.length - 1) this.go(0);
    const step = (): void => {
      // Taken off the page: nobody looks any more.
      if (this.at >= this.rows.length - 1 || !this.element.isConnected) {
        this.stop();
        return this.label();
      }
      this.go(this.at + 1);
      this.timer = window.setTimeout(step, STEP_MS);
    };
    this.timer = window.setTimeout(step, STEP_MS);
    this.label();
  }

  render(): void {
    if (!this.rows.length) return fill(this.element);
    const slider = h("input", {
      type: "range", id: "water-horizon", min: "0", max: String(this.rows.length - 1), step: "1", value: String(this.at),
      "aria-label": t("waterHorizon"), oninput: () => { this.stop(); this.go(Number(slider.value)); },
    });
    fill(
      this.element,
      h("p", { class: "label" }, t("waterHorizon")),
      h("div", { class: "water-controls" }, h("button", { type: "button", class: "button small", id: "water-horizon-play", onclick: () => this.play() }), h("span", { class: "water-date", id: "water-horizon-now" })),
      slider,
      h("div", { class: "water-strip", "aria-hidden": "true" }, this.rows.map((r) => h("i", { style: { background: r.level === null ? "#cfd8dc" : r.color } }))),
      h("p", { class: "water-grade", id: "water-horizon-grade" }),
    );
    this.label();
  }

  private label(): void {
    const now = this.now;
    const find = (id: string): HTMLElement | null => this.element.querySelector(`#${id}`);
    const [button, date, grade, slider] = [find("water-horizon-play"), find("water-horizon-now"), find("water-horizon-grade"), find("water-horizon") as HTMLInputElement | null];
    if (!now || !button || !date || !grade || !slider) return;
    fill(button, t(this.timer ? "waterPause" : "waterPlay"));
    button.setAttribute("aria-pressed", String(this.timer !== 0));
    const said = horizonText(now);
    fill(date, said);
    slider.value = String(this.at);
    slider.setAttribute("aria-valuetext", said);
    grade.style.borderLeftColor = now.color;
    const shared = now.map !== null && now.level !== null && now.map !== now.level ? t("waterHorizonMap", { level: now.map.toFixed(2) }) : "";
    fill(grade, h("strong", {}, now.title ? pick(now.title) : now.reason ? pick(now.reason) : ""), shared ? `　${shared}` : "");
  }
}

const STATUS: Record<string, Key> = { operate: "waterOperate", prepare: "waterPrepare", none: "waterNotReached", not_assessed: "floodNotAssessed" };
const CERTAINTY: Record<string, Key> = { sure: "waterSure", within_uncertainty: "waterWithin", possible: "waterPossible", unlikely: "waterUnlikely" };

/** The plan list: which area at which level and time, how sure, who and what lies in it, by county. */
export function scheduleTable(result: AnalysisResult, file: string): Child {
  const rows = result.tables["schedule"] ?? [];
  if (!rows.length) return result.tables["horizons"] ? h("p", { class: "hint", id: "water-schedule-none" }, t("waterScheduleNone")) : null;
  const parts = result.tables["area_exposure"] ?? [];
  const counties = (name: string): string =>
    parts.filter((p) => p["name"] === name && p["county"]).map((p) => `${String(p["county"])} ${whole(p["people"])}`).join(lang() === "zh" ? "、" : ", ");
  const word = result.documents?.["docx"];
  return h(
    "section",
    { class: "stack", id: "water-schedule" },
    h("h4", {}, t("waterSchedule")),
    h("ol", { class: "water-areas" }, rows.map((r) => h(
      "li",
      { "data-area": String(r["name"]), "data-certainty": String(r["certainty"] ?? "") },
      h("div", {}, h("strong", {}, String(r["name"])), h("span", { class: `water-status ${String(r["status"])}` }, t(STATUS[String(r["status"])] ?? "floodNotAssessed"))),
      r["certainty"] ? h("div", { class: r["certainty"] === "sure" ? "" : "water-unsure" }, `${t("waterHowSure")}${lang() === "zh" ? "：" : ": "}${t(CERTAINTY[String(r["certainty"])] ?? "floodNotAssessed")}`) : null,
      h("dl", {}, (
        [
          ["waterOperationLevel", `${Number(r["operation_m"]).toFixed(2)} m`],
          ["floodReached", r["reached"] ? `${beijing(String(r["reached"]))}${r["until"] ? ` – ${beijing(String(r["until"]))}` : ""}` : "—"],
          ["waterPeople", counties(String(r["name"])) || whole(r["people"])],
          ["waterCroplandMu", whole(r["cropland_mu"])],
          ["waterRoadsKm", number(r["roads_km"]) === null ? "—" : Number(r["roads_km"]).toFixed(1)],
          ["waterWorks", String(r["works"] ?? "—")],
        ] as [Key, string][]
      ).map(([key, value]) => h("div", {}, h("dt", {}, t(key)), h("dd", {}, value)))),
      r["action"] ? h("div", { class: "hint" }, pick(r["action"] as Text)) : null,
    ))),
    h(
      "div",
      { class: "buttons-row" },
      csvButton(`${file}.csv`, () => rows.map((r) => ({ ...r, action: r["action"] ? pick(r["action"] as Text) : "" }))),
      h("button", { type: "button", class: "button small", id: "water-schedule-json", onclick: () => download(`${file}.json`, new Blob([JSON.stringify(planOf(result), null, 1)], { type: "application/json" })) }, "JSON"),
      word ? h("a", { class: "button small", href: word.href, target: "_blank", rel: "noopener", id: "water-schedule-word" }, "Word") : null,
    ),
  );
}

/** What another system takes of a plan: the list, who lies in the areas, the lead times, and where all this comes from. */
export function planOf(result: AnalysisResult): Record<string, unknown> {
  const names = ["forecast", "horizons", "schedule", "area_exposure", "plan", "exposure_by_county", "offsets", "verdict"];
  return { ...Object.fromEntries(names.map((n) => [n, result.tables[n] ?? []])), notes: result.notes, provenance: result.provenance };
}

const whole = (value: unknown): string =>
  typeof value === "number" ? Math.round(value).toLocaleString(lang() === "zh" ? "zh-CN" : "en-GB") : "—";
