/** Small parts that the pages of the desk share: times, badges, rows, a button that waits for its answer. */
import { lang, pick, t, type Key } from "../i18n";
import { h, type Child } from "./dom";
import { errorBox } from "./notice";
import type { AlertState, CaseProperties, Desk } from "./riverchiefapi";

/** A time as people in China read it. */
export function when(text: string | null | undefined, long = true): string {
  if (!text) return "—";
  const options: Intl.DateTimeFormatOptions = { timeZone: "Asia/Shanghai", year: "numeric", month: "2-digit", day: "2-digit" };
  if (long) Object.assign(options, { hour: "2-digit", minute: "2-digit", hour12: false });
  return new Intl.DateTimeFormat(lang() === "zh" ? "zh-CN" : "en-GB", options).format(new Date(text));
}

const FLAGS: Record<string, [Key, string]> = {
  overdue: ["riverChiefOverdue", "bad"],
  rebound: ["riverChiefRebound", "bad"],
  duplicate: ["riverChiefDuplicate", "odd"],
  outside_range: ["riverChiefOutside", "odd"],
  partly_outside_range: ["riverChiefPartlyOutside", "odd"],
  range_unknown: ["riverChiefRangeUnknown", "odd"],
  permitted: ["riverChiefPermitted", "good"],
  partly_permitted: ["riverChiefPartlyPermitted", "odd"],
  permit_expired: ["riverChiefPermitExpired", "odd"],
  permits_unknown: ["riverChiefPermitsUnknown", "odd"],
  no_reach: ["riverChiefNoReach", "odd"],
  reach_unknown: ["riverChiefReachUnknown", "odd"],
};

export const flagBadges = (flags: string[]): Child[] =>
  flags.flatMap((flag) => {
    const found = FLAGS[flag];
    return found ? [h("span", { class: `rc-flag ${found[1]}` }, t(found[0]))] : [];
  });

export function stateBadge(desk: Desk, properties: Pick<CaseProperties, "state" | "state_title" | "outcome">): HTMLElement {
  const color = desk.states.find((state) => state.id === properties.state)?.color ?? "#555";
  const outcome = properties.outcome === "not_a_problem" ? ` · ${t("riverChiefNoProblem")}` : "";
  return h("span", { class: "rc-state", style: { borderColor: color } }, `${pick(properties.state_title)}${outcome}`);
}

/** How far an alert is, as badges that lead to the cases: its own, and those of its place. */
export function alertBadges(state: AlertState | undefined, open: (id: number) => void): Child[] {
  if (!state) return [];
  const link = (id: number, style: string, text: string, color = ""): HTMLElement =>
    h("button", { type: "button", class: `rc-badge ${style}`, "data-case": String(id), ...(color ? { style: { borderColor: color } } : {}), onclick: () => open(id) }, text);
  const own = state.case;
  const outcome = own?.outcome === "not_a_problem" ? ` · ${t("riverChiefNoProblem")}` : "";
  return [
    ...(own ? [link(own.case, "rc-state", `${pick(own.state_title)}${outcome} ${own.number}`, own.color)] : []),
    ...state.rebounds.map((one) => link(one.case, "rc-flag bad", `${t("riverChiefRebound")} ${one.number}`)),
    ...state.open.map((one) => link(one.case, "rc-flag odd", `${t("riverChiefSamePlace")} ${one.number}`)),
    // Of its own case it is told above.
    ...(own ? [] : state.repeats.map((one) => link(one.case, "rc-flag good", `${t("riverChiefRepeat")} ${one.number}`))),
  ];
}

/** What a photo may be, told before one is chosen. */
export const photoLimit = (desk: Desk): HTMLElement =>
  h("span", { class: "hint" }, t("riverChiefPhotoLimit", {
    types: desk.photos.types.map((type) => type.replace("image/", "").toUpperCase()).join(" / "),
    mb: (desk.photos.max_bytes / 1e6).toFixed(1),
  }));

/** True if the file may be sent; else the reason stands in `place`. */
export function smallEnough(desk: Desk, file: File, place: HTMLElement): boolean {
  if (file.size <= desk.photos.max_bytes) return true;
  place.replaceChildren(h("p", { class: "box error" }, t("riverChiefTooLarge", { mb: (desk.photos.max_bytes / 1e6).toFixed(1) })));
  return false;
}

/** Rows of name and value as a table that a screen reader can go through. */
export const facts = (caption: string, rows: [string, Child][]): HTMLElement =>
  h(
    "table",
    { class: "grid" },
    h("caption", {}, caption),
    h("tbody", {}, rows.map(([name, value]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, value)))),
  );

export const percent = (share: number | null | undefined): string =>
  share === null || share === undefined ? "—" : `${(100 * share).toFixed(share > 0 && share < 0.1 ? 1 : 0)}%`;

/** Runs `work` with the button closed; a failure is shown below it. */
export async function waiting(button: HTMLButtonElement, place: HTMLElement, work: () => Promise<void>): Promise<void> {
  button.disabled = true;
  place.replaceChildren();
  try {
    await work();
  } catch (error) {
    place.replaceChildren(errorBox(error));
  } finally {
    button.disabled = false;
  }
}

export const labelled = (text: string, input: HTMLElement): HTMLElement => h("label", { class: "field" }, h("span", {}, text), input);
