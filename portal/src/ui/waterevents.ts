/** 事件与预警: what the watch found, on the map, before and after by swipe, and on to the river chief's desk. */
import { lang, pick, t, type Key } from "../i18n";
import { fill, h, type Child } from "./dom";
import { emptyBox } from "./notice";
import { getDesk, identity, issueCase } from "./riverchiefapi";
import { labelled, waiting } from "./riverchiefparts";
import type { Scene } from "./waterapi";
import { around, dayOf, type Body, type WaterEvent, type WatchRun } from "./waterdates";

const KINDS: Record<string, [Key, string]> = {
  reclaimed: ["waterReclaimed", "#c62828"],
  reclamation: ["waterReclaimed", "#c62828"],
  new: ["waterNew", "#1565c0"],
  lost: ["waterLost", "#6a1b9a"],
  dried: ["waterDried", "#9a5b13"],
  shrunk: ["waterShrunk", "#ef6c00"],
};

export const eventName = (event: WaterEvent): string => (KINDS[event.kind] ? t(KINDS[event.kind]![0]) : event.kind);
export const eventColor = (event: WaterEvent): string => KINDS[event.kind]?.[1] ?? "#555";

/** Kind of a case that an event of a kind becomes: reclaiming a lake is unlawful occupation; the others are judged by people. */
const CASE_KINDS: Record<string, string> = { reclaimed: "occupation", reclamation: "occupation" };

/** Name under which the desk keeps who acts. */
const ACTOR = "onemap.riverchief.actor";

export interface EventHost {
  locate(event: WaterEvent): void;
  compare(before: number, after: number): void;
  scenes(): readonly Scene[];
  toDesk(id: number): void;
}

export class EventList {
  readonly element = h("section", { class: "stack", id: "water-events" });
  private run: WatchRun | undefined;
  private events: WaterEvent[] = [];
  private bodies: Body[] = [];
  private kind = "";
  /** Feature → case that was made of it in this visit. */
  private readonly sent = new Map<string, number>();

  constructor(private readonly host: EventHost) {}

  show(run: WatchRun | undefined, events: WaterEvent[], bodies: Body[]): void {
    this.run = run;
    this.events = events;
    this.bodies = bodies;
    this.render();
  }

  render(): void {
    const { run, events } = this;
    const title = h("h3", {}, t("waterEvents"), events.length ? h("span", { class: "badge" }, events.length) : null);
    if (!run) return fill(this.element);
    if (!run.events || !events.length) return fill(this.element, title, emptyBox(t("waterNoEvents")));
    const kinds = [...new Set(events.map((e) => e.kind))];
    if (!kinds.includes(this.kind)) this.kind = "";
    const shown = events.filter((e) => !this.kind || e.kind === this.kind);
    fill(
      this.element,
      title,
      h(
        "div",
        { class: "chips", role: "group", "aria-label": t("waterEvents") },
        ["", ...kinds].map((kind) =>
          h(
            "button",
            {
              type: "button",
              class: "chip",
              "data-kind": kind,
              "aria-pressed": String(kind === this.kind),
              onclick: () => {
                this.kind = kind;
                this.render();
                this.element.querySelector<HTMLElement>(`[data-kind="${kind}"]`)?.focus();
              },
            },
            kind ? `${eventName({ kind } as WaterEvent)} ${events.filter((e) => e.kind === kind).length}` : t("waterAll"),
          ),
        ),
      ),
      h("ul", { class: "water-list" }, shown.map((event) => this.row(event))),
    );
  }

  private row(event: WaterEvent): HTMLElement {
    const { host } = this;
    const place = h("div", { role: "alert" });
    const body = event.name || this.bodies.find((b) => b.id === event.body)?.name || event.body;
    const [before, after] = around(host.scenes(), event.first, event.confirmed, event.lastWet);
    const day = (index: number): string => dayOf(host.scenes()[index]?.time);
    const area = event.areaKm2 === null ? "" : ` · ${(event.areaKm2 * 100).toLocaleString(lang() === "zh" ? "zh-CN" : "en-GB", { maximumFractionDigits: 1 })} hm² (${Math.round(event.areaKm2 * 1500).toLocaleString()} ${t("unitMu")})`;
    const evidence = event.evidence[lang()] || event.evidence.zh;
    const facts: Child[] = [
      h("p", {}, t("waterFirst", { day: event.first || "—" }), " · ", event.confirmed ? t("waterConfirmed", { day: event.confirmed }) : t("waterWaits"), event.ended ? ` · ${t("waterEnded", { day: event.ended })}` : ""),
      evidence ? h("p", { class: "hint" }, evidence) : null,
    ];
    return h(
      "li",
      { class: "water-event", "data-event": String(event.feature), style: { borderLeftColor: eventColor(event) } },
      h("p", {}, h("strong", {}, `${eventName(event)}`), ` ${body}${area}`),
      facts,
      h(
        "div",
        { class: "buttons-row" },
        h("button", { type: "button", class: "button small", "data-act": "locate", onclick: () => host.locate(event) }, t("waterLocate")),
        before >= 0 && after >= 0
          ? h(
              "button",
              {
                type: "button",
                class: "button small",
                "data-act": "compare",
                title: `${day(before)} / ${day(after)}`,
                onclick: () => {
                  host.locate(event);
                  host.compare(before, after);
                },
              },
              t("waterBeforeAfter"),
            )
          : null,
        this.desk(event, body, day(before), day(after), place),
      ),
      place,
    );
  }

  private desk(event: WaterEvent, body: string, before: string, after: string, place: HTMLElement): Child {
    const { host, run } = this;
    const key = `${run?.events?.id}#${event.feature}`;
    const open = (id: number): HTMLElement => h("button", { type: "button", class: "button small", "data-act": "open-case", onclick: () => host.toDesk(id) }, t("waterOpenCase"));
    const already = this.sent.get(key);
    if (already !== undefined) return open(already);
    const button = h(
      "button",
      {
        type: "button",
        class: "button small primary",
        "data-act": "send",
        onclick: () => void waiting(button, place, async () => this.send(event, `${body}${eventName(event)}`, before, after, button, place)),
      },
      t("waterToDesk"),
    );
    return button;
  }

  private async send(event: WaterEvent, title: string, before: string, after: string, button: HTMLElement, place: HTMLElement): Promise<void> {
    const { run, host } = this;
    if (!run?.events) return;
    const desk = await getDesk();
    if (desk.editing === "off") return place.replaceChildren(h("p", { class: "box warning" }, t("riverChiefReadOnly")));
    try {
      identity.actor ||= localStorage.getItem(ACTOR) ?? "";
    } catch {
      // Storage may be closed to the page; then the name is asked for below.
    }
    if (!identity.actor) return this.ask(button, place);
    const kind = CASE_KINDS[event.kind];
    const { document } = await issueCase({
      source: { layer: run.events.id, feature: Number(event.feature) },
      title: title.slice(0, 200),
      description: pick(event.evidence),
      ...(kind && desk.kinds.some((k) => k.id === kind) ? { kind } : {}),
      before: before ? { date: before } : {},
      after: after ? { date: after } : {},
    });
    this.sent.set(`${run.events.id}#${event.feature}`, document.id);
    this.render();
    host.toDesk(document.id);
  }

  /** Who issues the case. */
  private ask(button: HTMLElement, place: HTMLElement): void {
    const input = h("input", { type: "text", id: "water-actor", maxLength: 100, autocomplete: "name", required: true });
    const form = h(
      "form",
      {
        class: "inline",
        onsubmit: (event: Event) => {
          event.preventDefault();
          identity.actor = input.value.trim();
          try {
            localStorage.setItem(ACTOR, identity.actor);
          } catch {
            // See above.
          }
          if (identity.actor) button.click();
        },
      },
      labelled(t("riverChiefActor"), input),
      h("button", { type: "submit", class: "button small primary" }, t("waterToDesk")),
    );
    place.replaceChildren(form);
    input.focus();
  }
}
