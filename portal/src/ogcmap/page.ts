/** Small comforts of a page: copy buttons and filter boxes. Without this script the texts can be selected and are all there. */
import { copyText } from "../ui/dom";

const say = (zh: string, en: string): string => (document.documentElement.lang.startsWith("zh") ? zh : en);

export function addCopyButtons(): void {
  for (const figure of document.querySelectorAll<HTMLElement>("figure.copy")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = say("复制", "Copy");
    button.setAttribute("aria-label", `${say("复制", "Copy")} ${figure.querySelector("figcaption")?.textContent ?? ""}`);
    button.addEventListener("click", () => {
      void copyText(figure.querySelector("code")?.textContent ?? "").then((done) => {
        button.textContent = done ? say("已复制", "Copied") : say("请手动选取", "Select it by hand");
        setTimeout(() => (button.textContent = say("复制", "Copy")), 2_000);
      });
    });
    figure.querySelector("figcaption")?.after(button);
  }
}

/** True if every word of a filter stands in a text, capitals aside. */
export const holds = (text: string, filter: string): boolean => {
  const low = text.toLowerCase();
  return filter.toLowerCase().split(/\s+/).every((word) => low.includes(word));
};

export function addFilterBoxes(): void {
  for (const field of document.querySelectorAll<HTMLInputElement>("input[data-filters]")) {
    const box = field.closest<HTMLElement>(".filterbox");
    const entries = [...document.querySelectorAll<HTMLElement>(field.dataset["filters"] ?? "")];
    if (!box || entries.length < 2) continue;
    box.hidden = false;
    const texts = entries.map((entry) => entry.textContent ?? "");
    const groups = new Set(entries.map((entry) => entry.closest<HTMLElement>("section, details.tag")).filter((g) => g !== null));
    const opened = [...groups].filter((g) => g instanceof HTMLDetailsElement && g.open);
    field.addEventListener("input", () => {
      const filter = field.value.trim();
      entries.forEach((entry, i) => (entry.hidden = filter !== "" && !holds(texts[i] ?? "", filter)));
      for (const group of groups) {
        const kept = entries.some((entry) => !entry.hidden && group.contains(entry));
        group.hidden = !kept;
        if (group instanceof HTMLDetailsElement) group.open = filter === "" ? opened.includes(group) : kept;
      }
      const output = box.querySelector("output");
      if (output) output.textContent = filter === "" ? "" : `${entries.filter((e) => !e.hidden).length} / ${entries.length}`;
    });
  }
}
