/** 事件与预警: what the watch found, on the map, before and after by swipe, and on to the river chief's desk. */
import { lang, pick, t, type Key } from "../i18n";
import { fill, h, type Child } from "./dom";
import { emptyBox } from "./notice";
import { getAlerts, getDesk, identity, issueCase, type AlertState } from "./riverchiefapi";
import { alertBadges, labelled, waiting } from "./riverchiefparts";
import { alertPair } from "./alertpair";
import type { Scene } from "./waterapi";
import { dayOf, pairOf, type Body, type WaterEvent, type WatchRun } from "./waterdates";
import "./riverchief.css";

const KINDS: Record<string, [Key, string]> = {
  reclaimed: ["waterReclaimed", "#c62828"],
  reclamation: ["waterReclaimed", "#c62828"],
  new: ["waterNew", "#1565c0"],
  lost: ["waterLost", "#6a1b9a"],
  dried: ["waterDried", "#9a5b13"],
  shrunk: ["waterShrunk", "#ef6c00"],
  restored: ["waterRestored", "#4575b4"],
};

export const eventName = (event: WaterEvent): string => (KINDS[event.kind] ? t(KINDS[event.kind]![0]) : event.kind);
export const eventColor = (event: WaterEvent): string => KINDS[event.kind]?.[1] ?? "#555";

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
  /** Feature → how far it is at the desk. */
  private states = new Map<string, AlertState>();

  constructor(private readonly host: EventHost) {}

  show(run: WatchRun | undefined, events: WaterEvent[], bodies: Body[]): void {
    this.run = run;
    this.events = events;
    this.bodies = bodies;
    this.states = new Map();
    this.render();
    void this.refresh();
  }

  /** Asks the desk how far the events are; without an answer they are shown without it. */
  async refresh(): Promise<void> {
    const layer = this.run?.events?.id;
    if (layer && this.events.length) {
      try {
        const states = await getAlerts(layer);
        if (layer !== this.run?.events?.id) return;
        this.states = states;
      } catch {
        this.states = new Map();
      }
    }
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
    const state = this.states.get(String(event.feature));
    const [before, after] = pairOf(host.scenes(), event);
    const compare = (): void => {
      host.locate(event);
      host.compare(before, after);
    };
    const day = (index: number): string => dayOf(host.scenes()[index]?.time);
    const area = event.areaKm2 === null ? "" : ` · ${(event.areaKm2 * 100).toLocaleString(lang() === "zh" ? "zh-CN" : "en-GB", { maximumFractionDigits: 1 })} hm² (${Math.round(event.areaKm2 * 1500).toLocaleString()} ${t("unitMu")})`;
    const named = (field: string, value: string): string => {
      const title = this.run?.events?.fields?.find((f) => f.name === field)?.domain?.[value];
      return title ? pick(title) : value;
    };
    const where = [event.zone ? t("waterZone", { zone: named("zone", event.zone) }) : "", event.bodyKind ? named("body_kind", event.bodyKind) : ""].filter(Boolean).join(" · ");
    const evidence = event.evidence[lang()] || event.evidence.zh;
    const facts: Child[] = [
      h("p", {}, t("waterFirst", { day: event.first || "—" }), " · ", event.confirmed ? t("waterConfirmed", { day: event.confirmed }) : t("waterWaits"), event.ended ? ` · ${t("waterEnded", { day: event.ended })}` : "", ` · ${t("waterLastWet", { day: event.lastWet || t("waterNotRecorded") })}`),
      where ? h("p", { class: "water-zone", "data-zone": event.zone }, where) : null,
      evidence ? h("p", { class: "hint" }, evidence) : null,
    ];
    return h(
      "li",
      { class: state?.case?.state === "closed" ? "water-event closed" : "water-event", "data-event": String(event.feature), style: { borderLeftColor: eventColor(event) } },
      h("p", {}, h("strong", {}, `${eventName(event)}`), ` ${body}${area}`),
      state ? h("p", { class: "rc-line" }, alertBadges(state, (id) => host.toDesk(id))) : null,
      facts,
      this.chips(event, before >= 0 && after >= 0 ? compare : null),
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
                onclick: compare,
              },
              t("waterBeforeAfter"),
            )
          : null,
        this.desk(event, body, day(before), day(after), place),
      ),
      place,
    );
  }

  /** The scenes that the event names, side by side; a click puts both days on the map. */
  private chips(event: WaterEvent, compare: (() => void) | null): Child {
    const layer = this.run?.events?.id;
    const day = (scene: string): string => dayOf(this.host.scenes().find((one) => one.id === scene)?.time);
    const pair = layer ? alertPair({ collection: event.collection, before: event.sceneBefore, after: event.sceneAfter, layer, feature: event.feature }, day, compare) : null;
    return pair ?? h("p", { class: "hint", "data-chips": "none" }, t("waterPicturesNotRecorded"));
  }

  private desk(event: WaterEvent, body: string, before: string, after: string, place: HTMLElement): Child {
    const { host } = this;
    const already = this.states.get(String(event.feature))?.case;
    if (already) return h("button", { type: "button", class: "button small", "data-act": "open-case", onclick: () => host.toDesk(already.case) }, t("waterOpenCase"));
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
    // Days of scenes that the event names are read from these by the server, as its kind is by the rules.
    const side = (scene: string, day: string): object => (scene || !day ? {} : { date: day });
    const { document } = await issueCase({
      source: { layer: run.events.id, feature: Number(event.feature) },
      title: title.slice(0, 200),
      description: pick(event.evidence),
      before: side(event.sceneBefore, before),
      after: side(event.sceneAfter, after),
    });
    await this.refresh();
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
