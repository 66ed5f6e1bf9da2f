/** What a finished run shows: report, map switch, areas, capacity, factors, notes, all other tables, provenance. */
import type { AnalysisResult } from "../api/types";
import type { App } from "../app";
import { lang, pick, t, type Key } from "../i18n";
import { AreaTables, assessmentsOf } from "./areas";
import { CapacityTable } from "./capacity";
import { fill, h, type Child } from "./dom";
import { csvButton, type Row } from "./table";

const MOST_ROWS = 200;
const DOCUMENTS: readonly { kind: string; key: Key }[] = [
  { kind: "pdf", key: "reportPdf" },
  { kind: "docx", key: "reportWord" },
];

/** Result layers that are a map of classes: what belongs on the map; single factors stay in the tree. */
export function classLayers(app: App, result: AnalysisResult): { name: string; id: string }[] {
  const all = Object.entries(result.layers).map(([name, id]) => ({ name, id }));
  const classes = all.filter(({ id }) => app.info(id)?.style.type === "classes");
  return classes.length ? classes : all.filter(({ id }) => app.info(id)).slice(0, 1);
}

export class ResultView {
  readonly element = h("div", { class: "stack" });
  private readonly areas: AreaTables;
  private readonly capacity: CapacityTable;
  private readonly maps = h("div", { class: "stack", id: "result-maps" });
  private readonly stem: string;

  constructor(
    private readonly app: App,
    readonly result: AnalysisResult,
    private readonly job: string,
    process: string,
    private readonly titleOf: (raster: string) => string,
  ) {
    const { tables } = result;
    this.stem = `${process}-${job.slice(0, 8)}`;
    this.areas = new AreaTables(
      assessmentsOf(tables),
      tables["conflicts_by_unit"] ?? [],
      titleOf,
      () => app.info(result.layers["conflicts"] ?? ""),
      this.stem,
    );
    this.capacity = new CapacityTable(tables, this.stem);
    this.render();
  }

  dispose(): void {
    this.areas.dispose();
  }

  render(): void {
    const { result } = this;
    this.areas.render();
    this.capacity.render();
    this.layersChanged();
    fill(
      this.element,
      h("p", { class: "box success", role: "status" }, t("resultDone")),
      this.documents(),
      this.maps,
      this.areas.element,
      this.capacity.empty ? null : this.capacity.element,
      this.factors(),
      result.notes?.length
        ? h("details", { open: true }, h("summary", {}, t("notes")), h("ul", { class: "factors" }, result.notes.map((n) => h("li", {}, pick(n)))))
        : null,
      this.allTables(),
      h(
        "details",
        {},
        h("summary", {}, t("provenance")),
        h("pre", { tabindex: "0", class: "provenance" }, JSON.stringify(result.provenance, null, 2)),
      ),
      h("p", { class: "hint" }, `${t("job")} ${this.job}`),
    );
  }

  private documents(): Child {
    const { documents = {} } = this.result;
    const there = DOCUMENTS.filter(({ kind }) => documents[kind]);
    if (!there.length) return null;
    return h(
      "div",
      { class: "buttons-row", id: "documents" },
      there.map(({ kind, key }) =>
        h(
          "a",
          { class: "button", href: documents[kind]?.href, target: "_blank", rel: "noopener", "data-document": kind },
          t(key),
        ),
      ),
    );
  }

  /** Which of the result's maps is drawn; kept in step with the list of active layers. */
  layersChanged(): void {
    const { app } = this;
    const layers = classLayers(app, this.result);
    const visible = new Set(app.visible().map((l) => l.id));
    const focus = document.activeElement instanceof HTMLElement ? document.activeElement.dataset["result"] : undefined;
    fill(
      this.maps,
      layers.length ? h("p", { class: "hint" }, t("resultMaps")) : null,
      h(
        "div",
        { class: "chips", role: "group", "aria-label": t("resultMaps") },
        layers.map(({ name, id }) =>
          h(
            "button",
            {
              type: "button",
              class: "chip",
              "aria-pressed": String(visible.has(id)),
              "data-result": id,
              onclick: () => app.showOne(id, layers.map((l) => l.id)),
            },
            this.titleOf(name),
          ),
        ),
      ),
    );
    if (focus) this.maps.querySelector<HTMLElement>(`[data-result="${focus}"]`)?.focus();
  }

  private factors(): Child {
    const { factors } = this.result;
    const missing = factors.filter((f) => !f.assessed);
    const assessed = factors.filter((f) => f.assessed);
    const item = (f: (typeof factors)[number]): HTMLElement =>
      h("li", { title: f.source ?? "" }, h("strong", {}, pick(f.title)), f.assessed || !pick(f.note) ? "" : `: ${pick(f.note)}`);
    return [
      h("h4", {}, t("notAssessed", { n: missing.length })),
      missing.length
        ? h("ul", { class: "factors", id: "not-assessed" }, missing.map(item))
        : h("p", { class: "hint" }, t("allAssessed")),
      assessed.length
        ? h(
            "details",
            { id: "assessed" },
            h("summary", {}, t("assessedFactors", { n: assessed.length })),
            h("ul", { class: "factors" }, assessed.map(item)),
          )
        : null,
    ];
  }

  /** Every table of the result under its own name, written out when it is opened. */
  private allTables(): Child {
    const tables = Object.entries(this.result.tables).filter((entry) => Array.isArray(entry[1]) && entry[1].length);
    if (!tables.length) return null;
    return h(
      "details",
      { id: "tables" },
      h("summary", {}, t("allTables", { n: tables.length })),
      tables.map(([name, rows]) => {
        const box = h("details", {}, h("summary", {}, `${name} (${rows.length})`));
        box.addEventListener("toggle", () => {
          if (box.open && box.childElementCount === 1)
            box.append(h("div", { class: "scroll", tabindex: "0" }, plainTable(rows)), csvButton(`${this.stem}-${name.replaceAll("_", "-")}.csv`, () => rows));
        });
        return box;
      }),
    );
  }
}

function plainTable(rows: Row[]): Child {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))].filter((c) => !c.endsWith(lang() === "zh" ? "_en" : "_zh"));
  const text = (value: unknown): string => (value === null || value === undefined ? "—" : typeof value === "object" ? JSON.stringify(value) : String(value));
  return [
    h(
      "table",
      { class: "grid plain" },
      h("thead", {}, h("tr", {}, columns.map((c) => h("th", { scope: "col" }, c)))),
      h("tbody", {}, rows.slice(0, MOST_ROWS).map((row) => h("tr", {}, columns.map((c) => h("td", {}, text(row[c])))))),
    ),
    rows.length > MOST_ROWS ? h("p", { class: "hint" }, t("firstRows", { n: MOST_ROWS })) : null,
  ];
}
