import { describe, expect, it } from "vitest";
import { core, fieldsOf, inLanguage, kindOf, readField, type FormField } from "../src/ui/schemaform";
import { rowName, toCsv } from "../src/ui/table";
import { matches } from "../src/ui/tree";
import type { LayerInfo } from "../src/api/types";

const field = (schema: FormField["schema"], required = false): FormField => ({
  name: "x",
  kind: kindOf(schema),
  required,
  schema: core(schema),
  title: "x",
  description: "",
});

describe("forms from JSON Schema", () => {
  it.each([
    [{ type: "number" }, "number"],
    [{ type: "integer" }, "integer"],
    [{ anyOf: [{ type: "number" }, { type: "null" }] }, "number"],
    [{ type: ["string", "null"] }, "text"],
    [{ enum: ["a", "b"] }, "choice"],
    [{ type: "boolean" }, "boolean"],
    [{ type: "array" }, "json"],
  ])("%j is %s", (schema, kind) => expect(kindOf(schema)).toBe(kind));

  it("sends nothing for an empty field, and refuses what is out of range", () => {
    const speed = field({ type: "number", minimum: 1, maximum: 60, default: 20 });
    expect(readField(speed, "")).toBeUndefined();
    expect(readField(speed, "5.5")).toBe(5.5);
    for (const bad of ["0", "61", "fast"]) expect(() => readField(speed, bad)).toThrow(RangeError);
    expect(() => readField(field({ type: "integer" }), "1.5")).toThrow(RangeError);
    expect(() => readField(field({ type: "number", exclusiveMinimum: 0 }), "0")).toThrow(RangeError);
    expect(() => readField(field({ type: "number" }, true), "")).toThrow(RangeError);
    expect(readField(field({ enum: [1, 2] }), "2")).toBe(2);
    expect(readField(field({ type: "boolean" }), "false")).toBe(false);
  });

  it("leaves out what the page itself fills in", () => {
    const inputs = { bbox: { schema: { type: "array" } }, k: { schema: { type: "number", default: 1 } } };
    expect(fieldsOf(inputs, ["bbox"]).map((f) => [f.name, f.required])).toEqual([["k", false]]);
  });

  it("shows titles and descriptions of one language as they are", () => {
    const title = "道路以外速度（km/h）";
    const description = "道路以外的通行速度，它决定区位结果；步行约 5。";
    const inputs = { v: { title, description, schema: { type: "number", default: 20 } } };
    expect(fieldsOf(inputs)[0]).toMatchObject({ title, description });
    for (const text of ["Off-road speed (km/h)", "Water resources ÷ precipitation (no unit); default 0.47."])
      expect(inLanguage(text, "en")).toBe(text);
  });

  it.each([
    ["产水系数（无量纲）：默认 0.47。 Runoff coefficient (1); default 0.47.", "产水系数（无量纲）：默认 0.47。", "Runoff coefficient (1); default 0.47."],
    ["West, south, east, north, degrees (CRS84). 范围：西、南、东、北（度）。", "范围：西、南、东、北（度）。", "West, south, east, north, degrees (CRS84)."],
    ["排队中 waiting in the queue", "排队中", "waiting in the queue"],
    ["Local relief (起伏度), m.", "Local relief (起伏度), m.", "Local relief (起伏度), m."],
    ["通行速度（km/h），步行约 5。 Travel speed, km/h; walking is about 5.", "通行速度（km/h），步行约 5。", "Travel speed, km/h; walking is about 5."],
    ["图层 dem 缺失 / Layer dem is missing", "图层 dem 缺失", "Layer dem is missing"],
  ])("splits «%s»", (text, zh, en) => {
    expect(inLanguage(text, "zh")).toBe(zh);
    expect(inLanguage(text, "en")).toBe(en);
  });
});

describe("result tables", () => {
  const rows = [
    { code: "420102", name: "江岸区", suitable_km2: 1.5, note: 'a "b", c' },
    { code: "420103", name: "江汉区", suitable_km2: null, note: null },
  ];
  it("finds names", () => {
    expect(rowName(rows[0]!, "zh")).toBe("江岸区");
    expect(rowName({ name: { zh: "甲", en: "A" } }, "en")).toBe("A");
    expect(rowName({ code: "42" }, "en")).toBe("42");
  });
  it("writes CSV that spreadsheets read: byte order mark, quotes, empty for nothing", () => {
    expect(toCsv(rows)).toBe('\ufeffcode,name,suitable_km2,note\r\n420102,江岸区,1.5,"a ""b"", c"\r\n420103,江汉区,,\r\n');
  });
});

describe("search of the tree", () => {
  const layer = {
    id: "lakes",
    title: { zh: "湖泊与水面", en: "Lakes and waters" },
    description: { zh: "", en: "" },
    keywords: ["OSM"],
  } as unknown as LayerInfo;
  it.each([
    ["湖泊", true],
    ["LAKES", true],
    ["ｌａｋｅｓ", true],
    ["water osm", true],
    ["水系", true],
    ["road", false],
  ])("%s → %s", (query, found) => expect(matches(layer, "基础地理 水系 Hydrography", query)).toBe(found));
});
