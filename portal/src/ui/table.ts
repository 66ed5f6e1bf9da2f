/** Rows of a result table: the name of a row, and the table as text for a spreadsheet. */
import { t } from "../i18n";
import { download, h } from "./dom";

export type Row = Record<string, unknown>;

/** Name of the county of a row in a language. */
export function rowName(row: Row, lang: "zh" | "en"): string {
  const direct = lang === "en" ? (row["name_en"] ?? row["county_en"]) : (row["name_zh"] ?? row["county_zh"]);
  const nested = row["name"] ?? row["county"] ?? row["title"];
  if (typeof direct === "string" && direct) return direct;
  if (nested && typeof nested === "object") return String((nested as Row)[lang] ?? "");
  return String(nested ?? row["county_code"] ?? row["code"] ?? row["adcode"] ?? "");
}

/** Comma-separated text with a byte order mark, so that spreadsheet programs read the Chinese. */
export function toCsv(rows: Row[]): string {
  const columns = [...new Set(rows.flatMap((r) => Object.keys(r)))];
  const cell = (value: unknown): string => {
    const text = value === null || value === undefined ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return `\ufeff${[columns.join(","), ...rows.map((r) => columns.map((c) => cell(r[c])).join(","))].join("\r\n")}\r\n`;
}

/** Button that saves rows as CSV, with every column of the result. */
export const csvButton = (file: string, rows: () => Row[]): HTMLButtonElement =>
  h(
    "button",
    {
      type: "button",
      class: "button small csv",
      onclick: () => download(file, new Blob([toCsv(rows())], { type: "text/csv;charset=utf-8" })),
    },
    t("downloadCsv"),
  );

/** Compares two values of a column: numbers as numbers, texts by their language; nothing comes last either way. */
export function compareCells(a: unknown, b: unknown, descending: boolean, language: string): number {
  const [x, y] = [a ?? null, b ?? null];
  if (x === null || y === null) return x === y ? 0 : x === null ? 1 : -1;
  const order = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y), language);
  return descending ? -order : order;
}
