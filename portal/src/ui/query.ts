/** 查询统计: coordinates in, identify by click or at the map's centre. */
import { identify } from "../api/client";
import type { Identified, IdentifiedLayer, LayerInfo } from "../api/types";
import type { App } from "../app";
import { ZONES } from "../geo/crs";
import { dmsText, gaussKrugerText, lonLatText, valueText } from "../geo/format";
import { parseCoordinates, type ParseReason } from "../geo/parse";
import { lang, pick, t, type Key } from "../i18n";
import type { MapView } from "../map/mapview";
import { fill, h, icon, type Child } from "./dom";
import { WhyBox } from "./explain";
import { copyWithToast, emptyBox, errorBox, loadingBox } from "./notice";
import { wetlandLink } from "./wetland";

const MOST_LAYERS = 30;

/** A place in China or near it; coordinates beyond are almost always swapped or of another zone. */
const WINDOW: [number, number, number, number] = [70, 0, 140, 58];

const REASONS: Record<ParseReason, Key> = {
  empty: "coordEmpty",
  form: "coordForm",
  range: "coordRange",
  needZone: "coordNeedZone",
  badZone: "coordBadZone",
  outside: "coordOutside",
};

export class QueryPanel {
  readonly element = h("section", { class: "stack" });
  private readonly result = h("div", { class: "stack", id: "identify-result", "aria-live": "polite" });
  private running: AbortController | null = null;
  private readonly why: WhyBox;
  private shown: { at: [number, number]; answer: Identified | null; error: unknown } | null = null;

  constructor(
    private readonly app: App,
    private readonly view: MapView,
  ) {
    this.why = new WhyBox(app);
    // A scenario changes the answer, not the place.
    app.on("scenario", () => this.show());
    this.render();
  }

  render(): void {
    fill(
      this.element,
      this.locate(),
      h("h3", {}, t("identify")),
      h("p", { class: "hint" }, t("identifyHint")),
      h(
        "button",
        { type: "button", class: "button", id: "identify-centre", onclick: () => {
          const { lon, lat } = this.view.place;
          void this.at([lon, lat]);
        } },
        icon("target"),
        t("identifyCentre"),
      ),
      this.result,
    );
    this.show();
  }

  private locate(): HTMLElement {
    const message = h("p", { class: "hint", role: "status", id: "locate-message" }, t("coordHelp"));
    const input = h("input", {
      type: "text",
      class: "search",
      id: "coordinate-input",
      placeholder: "114.305, 30.593",
      "aria-label": t("coordinates"),
      "aria-describedby": "locate-message",
      autocomplete: "off",
      spellcheck: false,
    });
    const zone = h(
      "select",
      { "aria-label": t("zone"), id: "zone-select" },
      h("option", { value: "" }, t("zoneNone")),
      ZONES.map((z) => h("option", { value: String(z.number) }, t("zoneOption", { n: z.number, m: z.meridian, epsg: z.plain }))),
    );
    const go = (event: Event): void => {
      event.preventDefault();
      const parsed = parseCoordinates(input.value, zone.value ? Number(zone.value) : null, WINDOW);
      message.className = parsed.ok ? "hint" : "box error small";
      if (!parsed.ok) {
        message.textContent = t(REASONS[parsed.reason]);
        if (parsed.reason === "needZone") zone.focus();
        return;
      }
      const { lon, lat, epsg, swapped } = parsed;
      const [west, south, east, north] = this.app.window;
      const outside = lon < west || lon > east || lat < south || lat > north;
      message.textContent = [
        t("coordRead", { place: lonLatText(lon, lat), epsg }),
        swapped ? t("coordSwapped") : "",
        outside ? t("coordOutOfData") : "",
      ]
        .filter(Boolean)
        .join(" ");
      const zoom = this.app.tileSet === "CGCS2000Quad" ? 12 : 13;
      this.view.goTo(lon, lat, Math.max(this.view.place.zoom, zoom));
      void this.at([lon, lat]);
    };
    return h(
      "form",
      { class: "stack", onsubmit: go },
      h("h3", {}, t("coordinates")),
      h("div", { class: "inline" }, input, h("button", { type: "submit", class: "button primary" }, t("go"))),
      h("label", { class: "field" }, h("span", {}, t("zone")), zone),
      message,
    );
  }

  /** Asks every visible layer at a place. */
  async at(at: [number, number]): Promise<void> {
    this.running?.abort();
    const control = new AbortController();
    this.running = control;
    this.view.mark(at);
    const ids = this.app
      .visible()
      .map((layer) => layer.id)
      .slice(0, MOST_LAYERS);
    this.shown = { at, answer: null, error: null };
    if (ids.length === 0) return this.show();
    fill(this.result, loadingBox(t("asking", { n: ids.length })));
    try {
      const answer = await identify(at[0], at[1], ids, Number(Math.min(this.view.degrees(8), 1).toFixed(7)), control.signal);
      if (control.signal.aborted) return;
      this.shown = { at, answer, error: null };
    } catch (error) {
      if (control.signal.aborted) return;
      this.shown = { at, answer: null, error };
    }
    this.show();
  }

  private show(): void {
    if (!this.shown) return fill(this.result);
    const { at, answer, error } = this.shown;
    const [lon, lat] = at;
    const gk = gaussKrugerText(lon, lat);
    const place = h(
      "div",
      { class: "place" },
      h("strong", {}, lonLatText(lon, lat)),
      h("div", {}, `${dmsText(lon, "lon")}  ${dmsText(lat, "lat")}`),
      gk ? h("div", {}, t("gkLine", { zone: gk.zone.number, epsg: gk.zone.withNumber, x: gk.x, y: gk.y })) : null,
    );
    if (error) return fill(this.result, place, errorBox(error, () => void this.at(at)));
    if (!answer) return fill(this.result, place, emptyBox(t("identifyNoLayers")));
    fill(
      this.result,
      place,
      answer.layers.map((layer) => this.layer(layer, at)),
      h(
        "button",
        {
          type: "button",
          class: "button",
          id: "copy-json",
          onclick: () => void copyWithToast(JSON.stringify(answer, null, 2)),
        },
        icon("copy"),
        t("copyJson"),
      ),
    );
  }

  private layer(layer: IdentifiedLayer, at: [number, number]): HTMLElement {
    const info = this.app.info(layer.id);
    const rows: Child[] = [];
    for (const value of layer.values ?? []) {
      const text = value.value === null ? t("noDataHere") : valueText(value.value, lang());
      const label = pick(value.label);
      rows.push(
        h("tr", {}, h("th", { scope: "row" }, pick(value.title)), h("td", {}, label ? `${label} (${text})` : text, value.value !== null && value.unit ? ` ${value.unit}` : "")),
      );
    }
    const features = layer.features ?? [];
    features.forEach((feature, i) => {
      if (i > 0) rows.push(h("tr", { class: "divider" }, h("td", { colSpan: 2 })));
      for (const [name, value] of Object.entries(feature.properties)) rows.push(property(info, name, value));
    });
    const nothing = layer.values === null && features.length === 0;
    return h(
      "article",
      { class: "identified" },
      h("h4", {}, pick(layer.title), layer.synthetic ? h("span", { class: "tag synthetic" }, t("synthetic")) : null),
      info?.whatif && layer.values ? this.why.section(layer, at) : null,
      features.map((feature) => wetlandLink(layer.id, feature.properties)),
      nothing ? h("p", { class: "hint" }, t("noFeatureHere")) : h("table", { class: "grid" }, h("tbody", {}, rows)),
      h("p", { class: "hint" }, `${pick(layer.attribution)} · ${t("version")} ${layer.version}`),
    );
  }
}

function property(info: LayerInfo | undefined, name: string, value: unknown): HTMLElement {
  const field = info?.fields.find((f) => f.name === name);
  const meaning = field?.domain?.[String(value)];
  const text = valueText(value, lang());
  return h(
    "tr",
    {},
    h("th", { scope: "row", title: name }, field ? pick(field.title) : name),
    h("td", {}, meaning ? `${pick(meaning)} (${text})` : text, field?.unit && text !== "—" ? ` ${field.unit}` : ""),
  );
}
