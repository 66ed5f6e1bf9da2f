/** Interface texts: one JSON per language with the same keys (a test holds them equal). */
import en from "./locales/en.json";
import zh from "./locales/zh.json";
import type { Lang, Text } from "./api/types";

export type Key = keyof typeof zh;

const TEXTS: Record<Lang, Record<Key, string>> = { zh, en };

let current: Lang = "zh";

export const lang = (): Lang => current;

export function setLang(next: Lang): void {
  current = next;
  document.documentElement.lang = next === "zh" ? "zh-CN" : "en";
}

/** Text of a key, with `{name}` replaced. */
export function t(key: Key, values: Record<string, string | number> = {}): string {
  return TEXTS[current][key].replace(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? `{${name}}`));
}

/** The bilingual text in the current language. */
export const pick = (text: Text | string | null | undefined): string =>
  text === null || text === undefined ? "" : typeof text === "string" ? text : (text[current] ?? text.zh ?? text.en);
