/** 下发: alert features that no case was made from yet, or a place by hand. */
import { pick, t } from "../i18n";
import { alertPair } from "./alertpair";
import { fill, h, icon } from "./dom";
import { emptyBox, errorBox, loadingBox } from "./notice";
import type { DeskHost, Page } from "./riverchief";
import { getAlerts, getCandidates, issueCase, type AlertState, type Box, type Candidates } from "./riverchiefapi";
import { alertBadges, labelled, waiting } from "./riverchiefparts";

/** Box of the coordinates of a geometry, however deep they stand. */
export function boxOf(coordinates: unknown): Box {
  const box: Box = [180, 90, -180, -90];
  const visit = (node: unknown): void => {
    if (!Array.isArray(node)) return;
    const [x, y] = node as unknown[];
    if (typeof x === "number" && typeof y === "number") {
      box[0] = Math.min(box[0], x);
      box[1] = Math.min(box[1], y);
      box[2] = Math.max(box[2], x);
      box[3] = Math.max(box[3], y);
    } else for (const part of node as unknown[]) visit(part);
  };
  visit(coordinates);
  return box;
}

const CRS = ["CRS84", "EPSG:4490", "EPSG:4524", "EPSG:4525", "EPSG:4526", "EPSG:4527"];

export class IssuePage implements Page {
  readonly element = h("section", { class: "stack", id: "river-chief-issue" });
  private layer = "";
  private readonly rows = h("div", { class: "stack" });

  constructor(private readonly host: DeskHost) {}

  show(): void {
    const { desk } = this.host;
    if (!desk.candidate_layers.some((layer) => layer.id === this.layer)) this.layer = desk.candidate_layers[0]?.id ?? "";
    const select = h(
      "select",
      {
        id: "river-chief-layer",
        onchange: () => {
          this.layer = select.value;
          void this.load();
        },
      },
      desk.candidate_layers.map((layer) => h("option", { value: layer.id, selected: layer.id === this.layer }, pick(layer.title))),
    );
    fill(
      this.element,
      h("h3", {}, t("riverChiefFromAlerts")),
      desk.candidate_layers.length ? labelled(t("riverChiefAlertLayer"), select) : emptyBox(t("riverChiefNoAlertLayer")),
      this.rows,
      desk.editing === "off" ? null : this.byHand(),
    );
    if (this.layer) void this.load();
  }

  private async load(): Promise<void> {
    const { layer } = this;
    fill(this.rows, loadingBox(t("loading")));
    try {
      const [found, states] = await Promise.all([getCandidates(layer), getAlerts(layer)]);
      if (layer !== this.layer) return;
      fill(
        this.rows,
        h("p", { class: "hint", role: "status" }, t("riverChiefWaiting", { n: found.numberMatched })),
        h("ul", { class: "rc-list" }, found.features.map((feature) => this.row(feature, states.get(String(feature.id))))),
      );
    } catch (error) {
      fill(this.rows, errorBox(error, () => void this.load()));
    }
  }

  private row(feature: Candidates["features"][number], state: AlertState | undefined): HTMLElement {
    const { host, layer } = this;
    const name = pick(feature.label);
    const place = h("div", { role: "alert" });
    const button = h(
      "button",
      {
        type: "button",
        class: "button small primary",
        "aria-label": `${t("riverChiefIssueIt")} ${name}`,
        onclick: () =>
          void waiting(button, place, async () => {
            const { document } = await issueCase({ source: { layer, feature: feature.id } });
            await host.changed();
            host.openCase(document.id);
          }),
      },
      t("riverChiefIssueIt"),
    );
    const locate = t("riverChiefLocate", { name });
    const told = (field: string): string => String(feature.properties?.[field] ?? "");
    const before = told("scene_before");
    const day = (scene: string): string => told(scene === before ? "before_date" : "after_date").slice(0, 10);
    const pair = alertPair({ collection: told("scene_collection"), before, after: told("scene_after"), layer, feature: feature.id }, day, null);
    return h(
      "li",
      { class: "rc-row", "data-feature": String(feature.id) },
      h("div", { class: "rc-open" }, h("strong", {}, name), h("span", { class: "rc-line" }, alertBadges(state, (id) => host.openCase(id))), pair, place),
      h("button", { type: "button", class: "icon-button", "aria-label": locate, title: locate, onclick: () => host.locate(boxOf(feature.geometry.coordinates), layer) }, icon("target")),
      host.desk.editing === "off" ? null : button,
    );
  }

  private byHand(): HTMLElement {
    const { host } = this;
    const title = h("input", { type: "text", id: "river-chief-title", maxLength: 200 });
    const shape = h("textarea", { id: "river-chief-geometry", rows: 4, spellcheck: false, placeholder: '{"type":"Polygon","coordinates":[[[114.30,30.60], …]]}' });
    const crs = h("select", { id: "river-chief-crs" }, CRS.map((name) => h("option", { value: name }, name)));
    const place = h("div", { role: "alert" });
    const button = h("button", { type: "submit", class: "button primary" }, t("riverChiefIssueIt"));
    return h(
      "details",
      {},
      h("summary", {}, t("riverChiefByHand")),
      h(
        "form",
        {
          class: "stack rc-step",
          onsubmit: (event: Event) => {
            event.preventDefault();
            void waiting(button, place, async () => {
              let geometry: unknown;
              try {
                const given = JSON.parse(shape.value) as { type?: string; geometry?: unknown };
                geometry = given.type === "Feature" ? given.geometry : given;
              } catch {
                place.replaceChildren(h("p", { class: "box error" }, t("riverChiefNoGeoJson")));
                return;
              }
              const { document } = await issueCase({ geometry, crs: crs.value, ...(title.value.trim() ? { title: title.value } : {}) });
              await host.changed();
              host.openCase(document.id);
            });
          },
        },
        labelled(t("riverChiefTitle"), title),
        labelled(t("riverChiefGeometry"), shape),
        labelled(t("riverChiefCrs"), crs),
        h("div", { class: "rc-buttons" }, button),
        place,
      ),
    );
  }
}
