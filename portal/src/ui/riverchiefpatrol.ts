/** 巡河: records with their track, and a form for a new one. */
import { t } from "../i18n";
import { fill, h, icon } from "./dom";
import { emptyBox, errorBox, loadingBox, toast } from "./notice";
import type { DeskHost, Page } from "./riverchief";
import { getPatrols, recordPatrol, type Patrol } from "./riverchiefapi";
import { boxOf } from "./riverchiefissue";
import { labelled, percent, waiting, when } from "./riverchiefparts";

export function patrolRow(host: DeskHost, { id, geometry, properties: p }: Patrol): HTMLElement {
  const name = p.reach_name ?? `#${id}`;
  const odd = [
    p.warnings.includes("too_fast") ? t("riverChiefTooFast") : "",
    p.warnings.includes("gap") ? t("riverChiefGap") : "",
  ].filter(Boolean);
  const locate = t("riverChiefLocate", { name });
  return h(
    "li",
    { class: "rc-row" },
    h(
      "div",
      { class: "rc-open" },
      h("strong", {}, `${name} · ${(p.length_m / 1000).toFixed(2)} km`),
      h("span", { class: "hint" }, `${p.actor} · ${when(p.started)} · ${p.speed_kmh} km/h${p.seen_share === undefined ? "" : ` · ${t("riverChiefSeen", { share: percent(p.seen_share) })}`}`),
      odd.length ? h("span", { class: "rc-flag odd" }, odd.join("、")) : null,
      p.note ? h("span", {}, p.note) : null,
    ),
    h("button", { type: "button", class: "icon-button", "aria-label": locate, title: locate, onclick: () => host.locate(boxOf(geometry.coordinates)) }, icon("target")),
  );
}

export class PatrolPage implements Page {
  readonly element = h("section", { class: "stack", id: "river-chief-patrols" });
  private readonly rows = h("div", { class: "stack" });

  constructor(private readonly host: DeskHost) {}

  show(): void {
    fill(this.element, h("h3", {}, t("riverChiefPatrols")), this.rows, this.host.desk.editing === "off" ? null : this.form());
    void this.load();
  }

  private async load(): Promise<void> {
    fill(this.rows, loadingBox(t("loading")));
    try {
      const { features } = await getPatrols();
      fill(this.rows, features.length ? h("ul", { class: "rc-list" }, features.map((one) => patrolRow(this.host, one))) : emptyBox(t("riverChiefNoPatrols")));
    } catch (error) {
      fill(this.rows, errorBox(error, () => void this.load()));
    }
  }

  private form(): HTMLElement {
    const started = h("input", { type: "datetime-local", id: "river-chief-started", required: true });
    const ended = h("input", { type: "datetime-local", id: "river-chief-ended", required: true });
    const track = h("textarea", { id: "river-chief-track", rows: 4, required: true, spellcheck: false, placeholder: '{"type":"LineString","coordinates":[[114.30,30.60], …]}' });
    const note = h("textarea", { id: "river-chief-patrol-note", rows: 2, maxLength: 4000 });
    const place = h("div", { role: "alert" });
    const button = h("button", { type: "submit", class: "button primary" }, t("riverChiefRecord"));
    return h(
      "details",
      {},
      h("summary", {}, t("riverChiefRecord")),
      h(
        "form",
        {
          class: "stack rc-step",
          onsubmit: (event: Event) => {
            event.preventDefault();
            void waiting(button, place, async () => {
              let line: unknown;
              try {
                const given = JSON.parse(track.value) as { type?: string; geometry?: unknown };
                line = given.type === "Feature" ? given.geometry : given;
              } catch {
                place.replaceChildren(h("p", { class: "box error" }, t("riverChiefNoGeoJson")));
                return;
              }
              const at = (input: HTMLInputElement): string => new Date(input.value).toISOString();
              await recordPatrol({ started: at(started), ended: at(ended), track: line, note: note.value });
              toast(`${t("riverChiefRecord")} ✓`);
              this.show();
            });
          },
        },
        h("div", { class: "rc-filters" }, labelled(t("riverChiefStarted"), started), labelled(t("riverChiefEnded"), ended)),
        labelled(t("riverChiefTrack"), track),
        labelled(t("riverChiefNote"), note),
        h("div", { class: "rc-buttons" }, button),
        place,
      ),
    );
  }
}
