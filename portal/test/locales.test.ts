import { describe, expect, it } from "vitest";
import en from "../src/locales/en.json";
import zh from "../src/locales/zh.json";

const names = (text: string): string[] => [...text.matchAll(/\{(\w+)\}/g)].map((m) => m[1] ?? "").sort();

describe("texts", () => {
  it("have the same keys in both languages", () => expect(Object.keys(en)).toEqual(Object.keys(zh)));
  it("are never empty", () => {
    for (const texts of [zh, en]) for (const text of Object.values(texts)) expect(text.trim()).not.toBe("");
  });
  it("have the same placeholders", () => {
    for (const key of Object.keys(zh) as (keyof typeof zh)[]) expect(names(en[key]), key).toEqual(names(zh[key]));
  });
  it("are all used", () => {
    const sources = import.meta.glob("../src/**/*.ts", { query: "?raw", import: "default", eager: true });
    const code = Object.values(sources).join("\n");
    expect(code.length).toBeGreaterThan(10_000);
    expect(Object.keys(zh).filter((key) => !code.includes(`"${key}"`))).toEqual([]);
  });
});
