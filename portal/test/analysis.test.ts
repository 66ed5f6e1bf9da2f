import { describe, expect, it } from "vitest";
import type { Catalogue, LayerInfo, ProcessDescription } from "../src/api/types";
import { App } from "../src/app";
import { assessmentName, assessmentsOf } from "../src/ui/areas";
import { warningColours } from "../src/ui/capacity";
import { read } from "../src/ui/jobmemory";
import { offered, startable } from "../src/ui/offer";
import { classLayers } from "../src/ui/resultview";
import { compareCells } from "../src/ui/table";

const process = (id: string, inputs: ProcessDescription["inputs"] = {}, outputs: string[] = ["class", "result"]): ProcessDescription => ({
  id,
  version: "1",
  title: id,
  inputs,
  outputs: Object.fromEntries(outputs.map((name) => [name, {}])),
});

describe("which analyses are offered", () => {
  const array = { schema: { type: "array", items: { type: "number" } } };
  it("takes analyses whose arrays and objects may be left out", () => {
    expect(startable(process("a", { bbox: { ...array, minOccurs: 0 }, k: { minOccurs: 1, schema: { type: "string" } } }))).toBe(true);
    expect(startable(process("a", { criteria: { ...array, minOccurs: 1 } }))).toBe(false);
    expect(startable(process("echo", {}, ["message"]))).toBe(false);
  });
  it("shows the dual evaluation first, then the urban one, then as the server lists them", () =>
    expect(offered(["z", "a", "urban-suitability", "dual-evaluation"].map((id) => process(id))).map((p) => p.id)).toEqual([
      "dual-evaluation",
      "urban-suitability",
      "z",
      "a",
    ]));
});

describe("the job of the tab", () => {
  it("comes back as it was kept", () => {
    const job = { process: "dual-evaluation", job: "9ddeba3b-7e70-40a4-a3e4-e0f61854cfbb", shown: true };
    expect(read(JSON.stringify(job))).toEqual(job);
    expect(read(JSON.stringify({ ...job, shown: undefined }))?.shown).toBe(false);
  });
  it.each([null, "", "{", "[]", '{"process": "a"}', '{"process": "a", "job": "../secret"}', '{"process": "a b", "job": "1"}'])(
    "%j is nothing",
    (text) => expect(read(text)).toBeNull(),
  );
});

describe("areas of a result", () => {
  const dual = {
    ecology_by_unit: [
      { code: "1", name: "甲", extremely_important_km2: 1, important_km2: 2, ordinary_km2: 3, assessed_km2: 6 },
      { code: "2", name: "乙", extremely_important_km2: 0, important_km2: 0, ordinary_km2: 0, assessed_km2: 0 },
    ],
    ecology_totals: [{ code: "42", extremely_important_km2: 1, important_km2: 2, ordinary_km2: 4 }],
    urban_by_unit: [{ code: "1", suitable_km2: 1, moderate_km2: 0, unsuitable_km2: 2 }],
    urban_2020_by_unit: [{ code: "1", suitable_km2: 1, moderate_km2: 0, unsuitable_km2: 1, masked_km2: 1 }],
    conflicts_by_unit: [{ code: "1", eco_use_km2: 1 }],
    capacity_county: [{ code: "1", unit_km2: 6 }],
  };
  it("finds the assessments, leaves units without area out, and prefers the row of the province", () => {
    const found = assessmentsOf(dual);
    expect(found.map((a) => a.id)).toEqual(["ecology", "urban", "urban_2020"]);
    expect(found[0]?.units.map((row) => row["name"])).toEqual(["甲"]);
    expect(found[0]?.total).toEqual({ extremely_important: 1, important: 2, ordinary: 4 });
    expect(found[2]?.classes.map((c) => c.name)).toEqual(["suitable", "moderate", "unsuitable", "masked"]);
  });
  it("adds up the counties where there is no such row", () => {
    const rows = [
      { code: "1", suitable_km2: 1.5, moderate_km2: 0, unsuitable_km2: 1 },
      { code: "2", suitable_km2: 2, moderate_km2: 1, unsuitable_km2: 0 },
    ];
    const found = assessmentsOf({ by_county: rows, totals: [{ class: 1, km2: 3.5 }] });
    expect(found.map((a) => [a.id, a.total])).toEqual([["class", { suitable: 3.5, moderate: 1, unsuitable: 1 }]]);
  });
  it("names the profile only where there are two", () => {
    const all = assessmentsOf(dual);
    const names = all.map((a) => assessmentName(a.id, all, (raster) => raster));
    expect(names).toEqual(["ecology", "urban（2019 规则）", "urban（2020 规则）"]);
  });
});

describe("capacity table", () => {
  it("sorts numbers as numbers, and what is not assessed last either way", () => {
    const sort = (values: unknown[], down: boolean): unknown[] => [...values].sort((a, b) => compareCells(a, b, down, "zh"));
    expect(sort([10, null, 9, 100, undefined], false)).toEqual([9, 10, 100, null, undefined]);
    expect(sort([10, null, 9, 100], true)).toEqual([100, 10, 9, null]);
    expect(sort(["武汉市", "黄石市"], false)).toEqual(["黄石市", "武汉市"]);
  });
  it("takes the colours from the indicators", () =>
    expect(warningColours([{ colour: "red", colour_hex: "#d7191c" }, { colour: null, colour_hex: null }])).toEqual({ red: "#d7191c" }));
});

describe("result layers on the map", () => {
  const layer = (id: string, type: string): LayerInfo => ({ id, style: { type } }) as unknown as LayerInfo;
  const app = new App();
  app.catalogue = { layers: [layer("dem", "ramp"), layer("r-eco", "classes"), layer("r-urban", "classes"), layer("r-factors", "ramp")] } as unknown as Catalogue;
  const layers = { ecology: "r-eco", urban: "r-urban", urban_factors: "r-factors", gone: "r-gone" };
  it("are the maps of classes that the catalogue has", () =>
    expect(classLayers(app, { layers, tables: {}, factors: [], provenance: {} }).map((l) => l.name)).toEqual(["ecology", "urban"]));
  it("are all listed and shown one at a time; other layers stay as they are", () => {
    app.add("dem");
    app.showOne("r-eco", ["r-eco", "r-urban"]);
    expect(app.layers.map((l) => [l.id, l.visible])).toEqual([["r-eco", true], ["r-urban", false], ["dem", true]]);
    app.showOne("r-urban", ["r-eco", "r-urban"]);
    expect(app.layers.map((l) => [l.id, l.visible])).toEqual([["r-eco", false], ["r-urban", true], ["dem", true]]);
  });
});
