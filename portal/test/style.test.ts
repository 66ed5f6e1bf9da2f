import { afterEach, describe, expect, it, vi } from "vitest";
import type { VectorStyle } from "../src/api/types";
import { setLang } from "../src/i18n";
import { labelText, symbolFor } from "../src/map/vectorstyle";

const get = (properties: Record<string, unknown>) => (name: string) => properties[name];

describe("symbols from the style of a layer", () => {
  const zones: VectorStyle = {
    type: "categories",
    field: "zone",
    classes: [
      { value: "a", title: { zh: "甲", en: "A" }, fill: "#111111" },
      { value: 2, title: { zh: "乙", en: "B" }, fill: "#222222" },
    ],
    default: { fill: "#999999" },
  };
  it("takes the class of the value, numbers and texts alike", () => {
    expect(symbolFor(zones, get({ zone: "a" }))).toMatchObject({ fill: "#111111" });
    expect(symbolFor(zones, get({ zone: "2" }))).toMatchObject({ fill: "#222222" });
    expect(symbolFor(zones, get({ zone: "z" }))).toMatchObject({ fill: "#999999" });
    expect(symbolFor({ ...zones, default: undefined } as unknown as VectorStyle, get({}))).toBeUndefined();
  });
  const graded: VectorStyle = {
    type: "graduated",
    field: "v",
    classes: [
      { min: null, max: 10, title: { zh: "低", en: "low" }, fill: "#000001" },
      { min: 10, max: 20, title: { zh: "中", en: "mid" }, fill: "#000002" },
      { min: 20, max: null, title: { zh: "高", en: "high" }, fill: "#000003" },
    ],
    default: { fill: "#ffffff" },
  };
  it.each([
    [-5, "#000001"],
    [9.999, "#000001"],
    [10, "#000002"],
    [20, "#000003"],
    [null, "#ffffff"],
    ["", "#ffffff"],
  ])("graduated: %s → %s (intervals closed below, open above)", (v, fill) => {
    expect(symbolFor(graded, get({ v }))).toMatchObject({ fill });
  });
});

describe("labels", () => {
  afterEach(() => vi.unstubAllGlobals());
  it("take the English name in English, where there is one", () => {
    vi.stubGlobal("document", { documentElement: { lang: "" } });
    const wuhan = get({ name: "武汉市", name_en: "Wuhan", code: 420100 });
    setLang("en");
    expect(labelText("name", wuhan)).toBe("Wuhan");
    expect(labelText("code", wuhan)).toBe(420100);
    expect(labelText("name", get({ name: "东湖", name_en: null }))).toBe("东湖");
    setLang("zh");
    expect(labelText("name", wuhan)).toBe("武汉市");
  });
});
