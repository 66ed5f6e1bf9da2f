/** 承载规模: capacity of the units against what they use now, with warning levels; sorted by any column. */
import { areaText } from "../geo/format";
import { lang, t, type Key } from "../i18n";
import { fill, h, type Child } from "./dom";
import { dialog } from "./notice";
import { compareCells, csvButton, rowName, type Row } from "./table";

const LEVELS: readonly { table: string; key: Key }[] = [
  { table: "capacity_county", key: "levelCounty" },
  { table: "capacity_prefecture", key: "levelPrefecture" },
  { table: "capacity_province", key: "levelProvince" },
];

/** Warning colours from the most serious; the colour itself comes with the result. */
const SERIOUS = ["red", "orange", "yellow", "blue", "green"];

interface Column {
  id: string;
  key: Key;
  value: (row: Row) => unknown;
  cell: (row: Row) => Child;
  /** First press sorts downwards. */
  down?: boolean;
}

const number = (value: unknown, digits: number): string =>
  typeof value === "number"
    ? value.toLocaleString(lang() === "zh" ? "zh-CN" : "en-GB", { minimumFractionDigits: digits, maximumFractionDigits: digits })
    : "—";

/** With one constraint only, the capacity is an upper bound. */
const bound = (row: Row, kind: string, text: string): string => (row[`${kind}_status`] === "partial" && text !== "—" ? `≤ ${text}` : text);
const area = (row: Row, name: string): string => (typeof row[name] === "number" ? areaText(row[name], "km2", lang()) : "—");

/** Colour name → hexadecimal colour, as the result's table of indicators gives them. */
export const warningColours = (indicators: Row[]): Record<string, string> =>
  Object.fromEntries(indicators.flatMap((r) => (r["colour"] && r["colour_hex"] ? [[String(r["colour"]), String(r["colour_hex"])]] : [])));

export class CapacityTable {
  readonly element = h("div", { class: "stack", id: "capacity" });
  private level: string;
  private sort = "warning";
  private descending = false;
  private readonly colours: Record<string, string>;
  private readonly columns: Column[];

  constructor(
    private readonly tables: Record<string, Row[]>,
    private readonly fileStem: string,
  ) {
    this.level = LEVELS.find((l) => tables[l.table]?.length)?.table ?? "";
    this.colours = warningColours(tables["capacity_warning"] ?? []);
    const index = (kind: string, key: Key, id = `${kind}_index`): Column => ({
      id,
      key,
      value: (row) => row[id],
      cell: (row) => number(row[id], 2),
      down: true,
    });
    const capacity = (kind: string, key: Key): Column => ({
      id: `${kind}_capacity_km2`,
      key,
      value: (row) => row[`${kind}_capacity_km2`],
      cell: (row) => bound(row, kind, area(row, `${kind}_capacity_km2`)),
      down: true,
    });
    this.columns = [
      {
        id: "warning",
        key: "warning",
        value: (row) => (row["colour"] ? SERIOUS.indexOf(String(row["colour"])) : null),
        cell: (row) => this.chip(row),
      },
      capacity("agri", "capacityFarming"),
      index("agri", "indexFarming"),
      capacity("urban", "capacityTowns"),
      index("urban", "indexTowns"),
      {
        id: "people",
        key: "capacityPeople",
        value: (row) => row["urban_capacity_people"],
        cell: (row) => {
          const people = row["urban_capacity_people"];
          return bound(row, "urban", number(typeof people === "number" ? people / 1e4 : null, 1));
        },
        down: true,
      },
      index("urban", "indexPeople", "urban_people_index"),
    ];
  }

  get empty(): boolean {
    return this.level === "";
  }

  private chip(row: Row): Child {
    const text = String(row[`warning_${lang()}`] ?? "—");
    const color = this.colours[String(row["colour"])];
    const name = String(row[`colour_${lang()}`] ?? "");
    return h(
      "span",
      { class: "warning-chip", "data-colour": row["colour"] ?? null, title: name },
      color ? h("i", { style: { background: color }, "aria-hidden": "true" }) : null,
      text,
      color ? h("span", { class: "offscreen" }, ` ${name}`) : null,
    );
  }

  render(): void {
    if (this.empty) return fill(this.element);
    const rows = this.tables[this.level] ?? [];
    const there = LEVELS.filter((l) => this.tables[l.table]?.length);
    fill(
      this.element,
      h("h4", {}, t("capacity")),
      h(
        "div",
        { class: "segmented", role: "group", "aria-label": t("capacity") },
        there.map(({ table, key }) =>
          h(
            "button",
            {
              type: "button",
              "aria-pressed": String(table === this.level),
              "data-level": table,
              onclick: () => {
                this.level = table;
                this.render();
                this.element.querySelector<HTMLElement>(`[data-level="${table}"]`)?.focus();
              },
            },
            t(key),
          ),
        ),
      ),
      h("div", { class: "scroll capacity", tabindex: "0" }, this.table(rows)),
      rows.some((row) => row["agri_status"] === "partial" || row["urban_status"] === "partial")
        ? h("p", { class: "hint" }, t("capacityBound"))
        : null,
      h(
        "div",
        {},
        csvButton(`${this.fileStem}-${this.level.replace("_", "-")}.csv`, () => rows),
        h("button", { type: "button", class: "button small", onclick: () => this.enlarge(rows) }, t("enlarge")),
      ),
    );
  }

  /** The table in a dialog as wide as the window; sorting stays inside it. */
  private enlarge(rows: Row[]): void {
    const host = h("div", { class: "scroll capacity wide" });
    const draw = (): void => fill(host, this.table(rows, draw));
    draw();
    dialog(t("capacity"), [host]);
  }

  private table(rows: Row[], redraw?: () => void): HTMLElement {
    const sorted = this.columns.find((c) => c.id === this.sort);
    const value = (row: Row): unknown => (sorted ? sorted.value(row) : rowName(row, lang()));
    const shown = [...rows].sort((a, b) => compareCells(value(a), value(b), this.descending, lang()));
    const head = (id: string, key: Key, down = false): HTMLElement =>
      h(
        "th",
        { scope: "col", "aria-sort": id === this.sort ? (this.descending ? "descending" : "ascending") : null },
        h(
          "button",
          {
            type: "button",
            class: "sort",
            "data-sort": id,
            onclick: (event: Event) => {
              const host = (event.currentTarget as HTMLElement).closest(".scroll")?.parentElement;
              this.descending = id === this.sort ? !this.descending : down;
              this.sort = id;
              if (redraw) redraw();
              else this.render();
              host?.querySelector<HTMLElement>(`[data-sort="${id}"]`)?.focus();
            },
          },
          t(key),
          h("span", { "aria-hidden": "true" }, id === this.sort ? (this.descending ? " ▼" : " ▲") : ""),
        ),
      );
    return h(
      "table",
      { class: "grid numbers" },
      h("thead", {}, h("tr", {}, head("name", "county"), this.columns.map((c) => head(c.id, c.key, c.down)))),
      h(
        "tbody",
        {},
        shown.map((row) =>
          h(
            "tr",
            { title: String(row[`notes_${lang()}`] ?? "") },
            h("th", { scope: "row" }, rowName(row, lang())),
            this.columns.map((c) => h("td", {}, c.cell(row))),
          ),
        ),
      ),
    );
  }
}
