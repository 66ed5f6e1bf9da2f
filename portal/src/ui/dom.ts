/** Elements in one expression: `h("button", { type: "button", onclick: go }, "text")`. Text is never read as HTML. */
export type Child = Node | string | number | null | undefined | false | Child[];

type Props = Record<string, unknown>;

export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on") && typeof value === "function")
      element.addEventListener(name.slice(2), value as EventListener);
    else if (name === "class") element.className = String(value);
    else if (name === "style") Object.assign(element.style, value);
    else if (name in element && !name.includes("-") && name !== "list" && name !== "form")
      (element as unknown as Props)[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  append(element, children);
  return element;
}

function append(parent: Node, children: Child[]): void {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) append(parent, child);
    else parent.appendChild(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

export function fill(parent: Element, ...children: Child[]): void {
  parent.replaceChildren();
  append(parent, children);
}

const ICONS: Record<string, string> = {
  up: "M12 6l-6 7h12z",
  down: "M12 18l6-7H6z",
  close: "M6 6l12 12M18 6L6 18",
  eye: "M2 12s4-7 10-7 10 7 10 7-4 7-10 7S2 12 2 12zM12 9a3 3 0 100 6 3 3 0 000-6z",
  eyeoff: "M3 3l18 18M10 6a9 9 0 0112 6 14 14 0 01-3 4M6 7a14 14 0 00-4 5s4 7 10 7a9 9 0 004-1",
  info: "M12 3a9 9 0 100 18 9 9 0 000-18zM12 11v6M12 7v1",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  home: "M4 11l8-7 8 7M6 10v10h12V10",
  code: "M8 6l-6 6 6 6M16 6l6 6-6 6",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  drag: "M9 6h.01M15 6h.01M9 12h.01M15 12h.01M9 18h.01M15 18h.01",
  target: "M12 5v14M5 12h14M12 8a4 4 0 100 8 4 4 0 000-8z",
  search: "M10.5 4a6.5 6.5 0 100 13 6.5 6.5 0 000-13zM20 20l-5-5",
  layers: "M12 3l9 5-9 5-9-5zM3 13l9 5 9-5",
  link: "M10 14a4 4 0 006 0l3-3a4 4 0 00-6-6l-1 1M14 10a4 4 0 00-6 0l-3 3a4 4 0 006 6l1-1",
  print: "M7 8V3h10v5M7 17H4V9h16v8h-3M7 14h10v7H7z",
  compare: "M12 3v18M4 6h5v12H4M20 6h-5v12h5",
  chart: "M4 20V10M10 20V4M16 20v-7M3 21h18",
  sliders: "M4 7h9M17 7h3M13 5v4M4 17h3M11 17h9M7 15v4",
  river: "M3 7c3-3 6 3 9 0s6 3 9 0M3 13c3-3 6 3 9 0s6 3 9 0M3 19c3-3 6 3 9 0s6 3 9 0",
  waves: "M2 14c3-3 5 3 8 0s5 3 8 0 3-1 4 0M2 19c3-3 5 3 8 0s5 3 8 0 3-1 4 0M7 9a5 5 0 0110 0",
  back: "M15 5l-7 7 7 7",
  forward: "M9 5l7 7-7 7",
  zoom: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
};

/** Line icon; decorative, the button carries the label. */
export function icon(name: keyof typeof ICONS): SVGElement {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", ICONS[name] ?? "");
  svg.append(path);
  return svg;
}

/** Button with an icon only; `label` is its accessible name and tooltip. */
export const iconButton = (name: string, label: string, onclick: (event: Event) => void, props: Props = {}): HTMLButtonElement =>
  h("button", { type: "button", class: "icon-button", "aria-label": label, title: label, onclick, ...props }, icon(name));

/** Copies text; falls back to a selection where the clipboard is closed (plain http). */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = h("textarea", { value: text, class: "offscreen", readOnly: true });
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

export function download(name: string, content: Blob): void {
  const url = URL.createObjectURL(content);
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
