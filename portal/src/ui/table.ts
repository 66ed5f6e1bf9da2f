/** Rows of a result table: the name of a row, and the table as text for a spreadsheet. */
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
