/** «为什么？»: the chain of a cell as a table — value, interval, grade, matrix cell, source — in the answer of a click. */
import { explain } from "../api/client";
import type { Explained, ExplainedChain, ExplainStep, IdentifiedLayer } from "../api/types";
import type { App } from "../app";
import { unitText, valueText } from "../geo/format";
import { lang, pick, t } from "../i18n";
import { fill, h } from "./dom";
import { errorBox, loadingBox } from "./notice";

/** Colours of grades 1–5, as the what-if tiles draw them. */
export const GRADE_COLOURS = ["#1a9850", "#91cf60", "#fee08b", "#fc8d59", "#d73027"] as const;

/** A grade in its colour; dark text on the light ones. */
export function gradeChip(grade: number | null): HTMLElement {
  if (!grade) return h("span", {}, "—");
  const dark = grade === 1 || grade === 5;
  const colour = GRADE_COLOURS[grade - 1] ?? "#ccc";
  return h("span", { class: "grade-chip", style: { background: colour, color: dark ? "#fff" : "#17212b" } }, t("gradeNumber", { n: grade }));
}

export class WhyBox {
  private readonly answers = new Map<string, Promise<Explained>>();

  constructor(private readonly app: App) {}

  section(layer: IdentifiedLayer, [lon, lat]: [number, number]): HTMLElement {
    const changes = this.app.changes(layer.id);
    const key = JSON.stringify([layer.id, layer.version, lon, lat, changes]);
    const body = h("div", { class: "stack" }, loadingBox(t("whyLoading")));
    const box = h("details", { class: "why", open: true, "data-why": layer.id }, h("summary", {}, t("why")), body);
    const load = (): void => {
      let answer = this.answers.get(key);
      if (!answer) {
        if (this.answers.size > 30) this.answers.clear();
        answer = explain(layer.id, lon, lat, changes);
        answer.catch(() => this.answers.delete(key));
        this.answers.set(key, answer);
      }
      answer.then(
        (found) => fill(body, explained(found)),
        (error: unknown) => fill(body, errorBox(error, load)),
      );
    };
    load();
    return box;
  }
}

function explained(answer: Explained): HTMLElement[] {
  const [first, ...others] = answer.chains;
  if (!first) return [];
  const parts = [chainTable(first)];
  if (others.length)
    parts.push(
      h(
        "details",
        { class: "why-others" },
        h("summary", {}, t("whyOther"), ` (${others.length})`),
        others.map((chain) => h("div", { class: "stack" }, h("h5", {}, pick(chain.title)), chainTable(chain))),
      ),
    );
  return parts;
}

/** The chain of one assessment, from the first value to the class. */
export function chainTable(chain: ExplainedChain): HTMLElement {
  const names = (list: { title: { zh: string; en: string } }[]): string =>
    list.map((x) => pick(x.title)).join(lang() === "zh" ? "、" : ", ");
  const left = chain.left_out[0];
  return h(
    "div",
    { class: "stack", "data-chain": chain.chain },
    chain.changed ? h("p", { class: "tag scenario" }, t("whyScenario")) : null,
    h(
      "p",
      { class: "verdict" },
      gradeChip(chain.grade),
      h("strong", {}, chain.class_title ? pick(chain.class_title) : chain.class ? String(chain.class) : t("notAssessedHere")),
      chain.class ? h("span", { class: "hint" }, `${t("whyReason")}: ${chain.reason ? pick(chain.reason_title) : t("noLimit")}`) : null,
    ),
    chain.missing ? h("p", { class: "box warning small" }, pick(chain.missing.text)) : null,
    h(
      "table",
      { class: "grid chain" },
      h("thead", {}, h("tr", {}, [t("whyStation"), t("whyValue"), t("whyInterval"), t("whyGrade")].map((x) => h("th", { scope: "col" }, x)))),
      h("tbody", {}, chain.steps.map((step) => stepRows(step, step.station === chain.reason))),
    ),
    chain.from_run.length ? h("p", { class: "hint" }, t("whyPatch", { names: names(chain.from_run) })) : null,
    left ? h("p", { class: "hint" }, t("whatIfLeftOut", { names: names(chain.left_out), reason: pick(left.reason) })) : null,
  );
}

function stepRows(step: ExplainStep, limits: boolean): HTMLElement[] {
  const value = step.value === null ? t("noDataHere") : `${valueText(step.value, lang())} ${unitText(step.unit)}`.trim();
  const notes = [
    step.cell ? t("whyCell", { row: step.cell[0], column: step.cell[1] }) : "",
    step.weight ? t("weightIs", { w: step.weight }) : "",
    step.ends ? t("whyEnds") : "",
    `${step.source} [${step.tag}]`,
  ].filter(Boolean);
  const grade = step.weight ? step.level : step.grade_after;
  return [
    h(
      "tr",
      { class: limits ? "limits" : "", "data-station": step.station },
      h("th", { scope: "row" }, pick(step.title)),
      h("td", {}, value),
      h("td", {}, step.interval ?? "—"),
      h("td", {}, gradeChip(grade)),
    ),
    h("tr", { class: limits ? "why-source limits" : "why-source" }, h("td", { colSpan: 4 }, h("div", { class: "clamp", title: notes.join(" · ") }, notes.join(" · ")))),
  ];
}
