/** Short messages: a toast that screen readers announce, and boxes for loading, empty and error states. */
import { Problem } from "../api/client";
import { lang, t } from "../i18n";
import { copyText, fill, h, type Child } from "./dom";

let toasts: HTMLElement | null = null;

export function toast(text: string): void {
  if (!toasts) document.body.append((toasts = h("div", { class: "toasts", role: "status", "aria-live": "polite" })));
  const box = h("div", { class: "toast" }, text);
  toasts.append(box);
  setTimeout(() => box.remove(), 4000);
}

export async function copyWithToast(text: string): Promise<void> {
  toast((await copyText(text)) ? t("copied") : t("copyFailed"));
}

export const emptyBox = (...children: Child[]): HTMLElement => h("div", { class: "box empty" }, ...children);

export const loadingBox = (text: string): HTMLElement =>
  h("div", { class: "box loading", role: "status" }, h("span", { class: "spinner", "aria-hidden": "true" }), text);

/** An error with what to do; `retry` adds a button. */
export function errorBox(error: unknown, retry?: () => void): HTMLElement {
  const problem = error instanceof Problem ? error : null;
  const text = problem ? problem.text(lang()) : String(error);
  const remedy =
    problem === null || problem.status >= 500
      ? t("remedyServer")
      : problem.status === 0
        ? t("remedyNetwork")
        : problem.status === 429
          ? t("remedyQueue")
          : problem.status === 400 || problem.status === 422
            ? t("remedyInput")
            : "";
  return h(
    "div",
    { class: "box error", role: "alert" },
    h("strong", {}, problem?.status ? t("errorStatus", { status: problem.status }) : t("error")),
    h("p", {}, text),
    remedy ? h("p", { class: "hint" }, remedy) : null,
    retry ? h("button", { type: "button", class: "button", onclick: retry }, t("retry")) : null,
  );
}

/** A modal dialog that Escape closes and that gives the focus back. */
export function dialog(title: string, body: Child[]): void {
  const element = h("dialog", { class: "dialog", "aria-label": title });
  fill(
    element,
    h(
      "header",
      {},
      h("h2", {}, title),
      h("button", { type: "button", class: "icon-button", "aria-label": t("close"), onclick: () => element.close() }, "✕"),
    ),
    h("div", { class: "dialog-body" }, ...body),
  );
  element.addEventListener("click", (event) => {
    if (event.target === element) element.close();
  });
  element.addEventListener("close", () => element.remove());
  document.body.append(element);
  element.showModal();
}
