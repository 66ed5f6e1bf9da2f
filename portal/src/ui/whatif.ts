/** 情景试算: sliders for the limits of each station of a result; the map is drawn from what-if tiles meanwhile. */
import { getWhatIf } from "../api/client";
import type { LayerInfo, Shown, Station, WhatIf } from "../api/types";
import type { App } from "../app";
import { unitText } from "../geo/format";
import { lang, pick, t, type Key } from "../i18n";
import { scenarioTemplate } from "../map/layers";
import { fill, h, icon, type Child } from "./dom";
import { GRADE_COLOURS } from "./explain";
import { legendElement, whatIfLegend } from "./legend";
import { draftOf, emptyDraft, moved, paramsOf, spanOf, type Draft } from "./limits";
import { copyWithToast, errorBox, loadingBox } from "./notice";

const WAIT_MS = 250;
const SHOWN: [Shown, Key][] = [
  ["class", "showClass"],
  ["grade", "showGrade"],
  ["reason", "showReason"],
];

export class WhatIfPanel {
  readonly element = h("div", { class: "stack", id: "what-if" });
  private readonly message = h("div", { role: "status", "aria-live": "polite" });
  private layer: string | null = null;
  private document: WhatIf | null = null;
  private problem: unknown = null;
  private draft: Draft = emptyDraft();
  private timer = 0;
  private asked = 0;

  constructor(private readonly app: App) {
    app.on("scenario", () => {
      // The layer was removed, or another panel has reset the scenario.
      if (!app.scenario && Object.keys(this.params()).length) {
        this.draft = emptyDraft();
        this.render();
      }
    });
    this.render();
  }

  private candidates(): LayerInfo[] {
    return this.app.layers.flatMap(({ id }) => this.app.info(id) ?? []).filter((info) => info.whatif);
  }

  private info(): LayerInfo | undefined {
    return this.candidates().find((info) => info.id === this.layer);
  }

  /** Opens a layer of the active list. */
  choose(id: string): void {
    if (id === this.layer && this.document) return;
    this.layer = id;
    this.document = null;
    this.draft = emptyDraft();
    if (this.app.scenario && this.app.scenario.layer !== id) this.app.setScenario(null);
    void this.load();
  }

  /** Follows the list of active layers. */
  layersChanged(): void {
    const layers = this.candidates();
    if (layers.some((info) => info.id === this.layer)) return this.render();
    this.layer = null;
    this.document = null;
    const wanted = layers.find((info) => info.id === this.app.scenario?.layer) ?? layers[0];
    if (wanted) this.choose(wanted.id);
    else this.render();
  }

  private async load(): Promise<void> {
    const info = this.info();
    if (!info?.whatif) return this.render();
    const number = ++this.asked;
    this.problem = null;
    this.render();
    try {
      const found = await getWhatIf(info.whatif);
      if (number !== this.asked) return;
      this.document = found;
      if (this.app.scenario?.layer === info.id) this.draft = draftOf(this.app.scenario.params, found.stations);
    } catch (error) {
      if (number !== this.asked) return;
      this.problem = error;
    }
    this.render();
  }

  private params(): Record<string, string> {
    return this.document ? paramsOf(this.draft, this.document.stations) : {};
  }

  /** Draws the map anew once the user's hand rests; a draft that the server refuses is shown and not drawn. */
  private apply(wait = WAIT_MS): void {
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(() => void this.send(), wait);
  }

  private async send(): Promise<void> {
    const info = this.info();
    if (!info?.whatif) return;
    const params = this.params();
    const number = ++this.asked;
    try {
      if (Object.keys(params).length) await getWhatIf(info.whatif, params);
    } catch (error) {
      if (number === this.asked) fill(this.message, errorBox(error));
      return;
    }
    if (number !== this.asked) return;
    fill(this.message);
    this.app.setScenario(Object.keys(params).length ? { layer: info.id, params } : null);
  }

  private reset(): void {
    this.draft = { ...emptyDraft(), shown: this.draft.shown };
    this.render();
    this.apply(0);
  }

  render(): void {
    const layers = this.candidates();
    const info = this.info();
    const title = h("h3", {}, t("whatIf"));
    if (!layers.length || !info) return fill(this.element, title, h("p", { class: "hint" }, t("whatIfNone")));
    const select = h(
      "select",
      { id: "what-if-layer", onchange: () => this.choose(select.value) },
      layers.map((layer) => h("option", { value: layer.id, selected: layer.id === this.layer }, pick(layer.title))),
    );
    const head: Child[] = [title, h("p", { class: "hint" }, t("whatIfHint")), h("label", { class: "field" }, h("span", {}, t("whatIfLayer")), select)];
    const { document } = this;
    if (!document) return fill(this.element, head, this.problem ? errorBox(this.problem, () => void this.load()) : loadingBox(t("loading")));
    fill(
      this.element,
      head,
      this.shown(document),
      this.leftOut(document),
      document.stations.filter((s) => !s.left_out && (s.change.edges || s.change.off)).map((s) => this.station(s)),
      this.message,
      h(
        "div",
        { class: "inline" },
        h("button", { type: "button", class: "button", id: "what-if-reset", onclick: () => this.reset() }, t("whatIfReset")),
        h(
          "button",
          {
            type: "button",
            class: "button",
            id: "what-if-copy",
            onclick: () => void copyWithToast(scenarioTemplate(info, this.app.tileSet, this.params())),
          },
          icon("copy"),
          t("whatIfCopy"),
        ),
      ),
    );
  }

  private shown(document: WhatIf): HTMLElement {
    return h(
      "div",
      { class: "stack" },
      h(
        "div",
        { class: "segmented", role: "group", "aria-label": t("whatIfShow") },
        SHOWN.map(([name, key]) =>
          h(
            "button",
            {
              type: "button",
              id: `what-if-show-${name}`,
              "aria-pressed": String(this.draft.shown === name),
              onclick: () => {
                this.draft.shown = name;
                this.render();
                this.element.querySelector<HTMLElement>(`#what-if-show-${name}`)?.focus();
                this.apply(0);
              },
            },
            t(key),
          ),
        ),
      ),
      h("div", { id: "what-if-legend" }, legendElement(whatIfLegend(document, this.draft.shown))),
    );
  }

  private leftOut(document: WhatIf): HTMLElement | null {
    const [first] = document.left_out;
    if (!first) return null;
    const names = document.left_out.map((x) => pick(x.title)).join(lang() === "zh" ? "、" : ", ");
    return h("p", { class: "box warning small", id: "what-if-left-out" }, t("whatIfLeftOut", { names, reason: pick(first.reason) }));
  }

  private station(station: Station): HTMLElement {
    const name = pick(station.title);
    const off = this.draft.off.includes(station.id);
    const toggle = station.change.off
      ? h("input", {
          type: "checkbox",
          checked: !off,
          "aria-label": t("whatIfUse", { station: name }),
          "data-off": station.id,
          onchange: () => {
            this.draft.off = off ? this.draft.off.filter((id) => id !== station.id) : [...this.draft.off, station.id];
            this.render();
            this.element.querySelector<HTMLElement>(`[data-off="${station.id}"]`)?.focus();
            this.apply(0);
          },
        })
      : null;
    return h(
      "fieldset",
      { class: off ? "station off" : "station", "data-station": station.id, title: `${station.source} [${station.tag}]` },
      h("legend", {}, h("label", {}, toggle, name, unitText(station.unit) ? ` (${unitText(station.unit)})` : "")),
      station.change.edges && !off ? this.edges(station, name) : null,
      station.change.matrix && station.matrix && !off ? this.matrix(station, station.matrix) : null,
    );
  }

  private edges(station: Station, name: string): HTMLElement[] {
    const { low, high, step } = spanOf(station);
    const current = this.draft.edges[station.id] ?? station.edges;
    const rows: { range: HTMLInputElement; number: HTMLInputElement; row: HTMLElement }[] = [];
    const show = (edges: readonly number[]): void =>
      rows.forEach(({ range, number, row }, i) => {
        const value = String(edges[i]);
        if (range.value !== value) range.value = value;
        if (document.activeElement !== number) number.value = value;
        row.classList.toggle("changed", edges[i] !== station.edges[i]);
      });
    const set = (index: number, value: number): void => {
      if (!Number.isFinite(value)) return;
      const edges = moved(this.draft.edges[station.id] ?? station.edges, index, value, step);
      this.draft.edges[station.id] = edges;
      show(edges);
      this.apply();
    };
    station.edges.forEach((_, i) => {
      const label = t("whatIfEdge", { station: name, n: i + 1 });
      const range = h("input", {
        type: "range", min: String(low), max: String(high), step: "any", "aria-label": label, "data-edge": `${station.id} ${i}`,
        oninput: () => set(i, Number((Math.round(Number(range.value) / step) * step).toPrecision(12))),
      });
      const number = h("input", {
        type: "number", step: String(step), "aria-label": label, "data-number": `${station.id} ${i}`,
        oninput: () => set(i, number.value === "" ? Number.NaN : Number(number.value)),
        onblur: () => show(this.draft.edges[station.id] ?? station.edges),
      });
      range.addEventListener("keydown", (event) => {
        const way = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
        if (way === undefined) return;
        event.preventDefault();
        const now = (this.draft.edges[station.id] ?? station.edges)[i] ?? 0;
        set(i, Number((now + way * step).toPrecision(12)));
      });
      rows.push({ range, number, row: h("div", { class: "edge" }, h("span", { class: "edge-grades", "aria-hidden": "true" }, String(i + 1)), range, number) });
    });
    show(current);
    return rows.map(({ row }) => row);
  }

  private matrix(station: Station, original: number[][]): HTMLElement {
    const now = (): number[][] => this.draft.matrix[station.id] ?? original;
    const cell = (r: number, c: number): HTMLElement => {
      const value = now()[r]?.[c] ?? 1;
      const input = h("input", {
        type: "number", min: "1", max: "5", step: "1", value: String(value),
        "aria-label": t("whatIfCell", { row: r + 1, column: c + 1 }),
        style: { background: `${GRADE_COLOURS[value - 1] ?? "#ffffff"}66` },
        oninput: () => {
          const next = Number(input.value);
          if (!Number.isInteger(next) || next < 1 || next > 5) return;
          this.draft.matrix[station.id] = now().map((row, i) => row.map((v, j) => (i === r && j === c ? next : v)));
          input.style.background = `${GRADE_COLOURS[next - 1] ?? "#ffffff"}66`;
          this.apply();
        },
      });
      return h("td", {}, input);
    };
    return h(
      "details",
      { class: "matrix" },
      h("summary", {}, t("whatIfMatrix")),
      h("table", {}, h("tbody", {}, original.map((row, r) => h("tr", {}, row.map((_, c) => cell(r, c)))))),
    );
  }
}
