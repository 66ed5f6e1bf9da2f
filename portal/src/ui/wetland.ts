/** 湿地: the listed wetlands and reserves, and of one of them its figures with the way to its page. */
import { address, json } from "../api/client";
import type { Text } from "../api/types";
import type { App } from "../app";
import { lang, pick, t, type Key } from "../i18n";
import type { MapView } from "../map/mapview";
import { fill, h, type Child } from "./dom";
import { emptyBox, errorBox, loadingBox } from "./notice";
import { csvButton, type Row } from "./table";
import type { WaterPage } from "./water";
import { drawLines, type DrawnChart } from "./waterchart";

export interface WetlandSite {
  id: string;
  kind: "ramsar" | "reserve";
  name: string;
  title: Text;
  lon: number;
  lat: number;
  area_hm2: number | null;
  designated: string | null;
  layer: string;
  fid: number;
  href: string;
}

interface Missing {
  assessed: false;
  reason: Text;
  run: string | null;
}

interface AreaRow {
  time: string;
  area_km2: number;
  low_km2: number | null;
  high_km2: number | null;
  flag: string;
}

interface Water {
  assessed: true;
  synthetic: boolean;
  latest: AreaRow;
  series: AreaRow[];
}

interface Integrity {
  assessed: true;
  synthetic: boolean;
  verdict: string;
  verdict_title: Text | null;
  reason_zh: string | null;
  reason_en: string | null;
  area_km2: number | null;
  change_percent: number | null;
}

interface Birds {
  assessed: true;
  synthetic: boolean;
  species_count: number;
  grade_1: number;
  grade_2: number;
}

export interface WetlandDocument extends WetlandSite {
  about: Text | null;
  place: { bbox: [number, number, number, number]; basis: Text };
  water: Water | Missing;
  wetland: Integrity | Missing;
  vegetation: { assessed: true; synthetic: boolean; belts: { belt: string; vegetated_share: number | null; greening_share: number | null; browning_share: number | null }[] } | Missing;
  birds: Birds | Missing;
  alerts: { time: string | null; name: string | null; kind_title: Text | null }[];
  synthetic: boolean;
}

/** Layers whose features have a page. */
export const WETLAND_LAYERS: readonly string[] = ["ramsar-sites", "nature-reserves"];

/** Address of the page of a site, by its id or its name. */
export const pageAddress = (site: string): string => address(`/api/v1/wetlands/${encodeURIComponent(site)}?f=html&lang=${lang()}`);

/** Id of the site that a feature of a list is; null where it says none. */
export function siteOf(layer: string, properties: Record<string, unknown>): string | null {
  const name = String(properties["name"] ?? "");
  if (!name || !WETLAND_LAYERS.includes(layer)) return null;
  if (layer === "nature-reserves") return `reserve-${name}`;
  const digits = String(properties["site_no"] ?? "").replace(/\D/g, "");
  return digits ? `ramsar-${digits}` : name;
}

/** Way to the page of a feature, for the answer of a click on the map. */
export function wetlandLink(layer: string, properties: Record<string, unknown>): HTMLElement | null {
  const site = siteOf(layer, properties);
  return site ? h("a", { class: "button", href: pageAddress(site), target: "_blank", rel: "noopener" }, t("wetlandPage")) : null;
}

const share = (value: number | null): string => (value === null ? "—" : `${(100 * value).toFixed(1)} %`);

export class WetlandPage implements WaterPage {
  readonly element = h("div", { class: "stack", id: "wetland" });
  private sites: WetlandSite[] = [];
  private chosen = "";
  private found: WetlandDocument | null = null;
  private chart: DrawnChart | null = null;
  private opened = false;
  private asked = 0;
  private readonly place = h("div", { class: "stack", id: "wetland-site", "aria-live": "polite" });

  constructor(
    app: App,
    private readonly view: MapView,
  ) {
    // A result that was published or deleted changes the figures.
    app.on("catalogue", () => {
      if (this.opened && this.chosen && !app.loading) void this.choose(this.chosen, false);
    });
  }

  async open(): Promise<void> {
    this.opened = true;
    if (this.sites.length) return this.render();
    fill(this.element, loadingBox(t("wetlandLoading")));
    try {
      this.sites = (await json<{ sites: WetlandSite[] }>("/api/v1/wetlands", { cache: "no-cache" })).sites;
    } catch (error) {
      return fill(this.element, errorBox(error, () => void this.open()));
    }
    this.render();
    const first = this.sites[0];
    if (first) await this.choose(first.id, false);
  }

  refresh(): void {
    if (this.opened && this.sites.length) {
      this.render();
      this.show();
    }
  }

  private render(): void {
    if (!this.sites.length) return fill(this.element, emptyBox(t("wetlandNone")));
    const group = (kind: WetlandSite["kind"], key: Key): HTMLElement =>
      h(
        "optgroup",
        { label: t(key) },
        this.sites.filter((s) => s.kind === kind).map((s) => h("option", { value: s.id, selected: s.id === this.chosen }, pick(s.title))),
      );
    const select = h(
      "select",
      { id: "wetland-select", onchange: (event: Event) => void this.choose((event.target as HTMLSelectElement).value, true) },
      group("ramsar", "wetlandRamsar"),
      group("reserve", "wetlandReserve"),
    );
    fill(this.element, h("label", { class: "field" }, h("span", {}, t("wetlandSite")), select), this.place);
  }

  private async choose(id: string, move: boolean): Promise<void> {
    this.chosen = id;
    const asked = ++this.asked;
    if (this.found?.id !== id) fill(this.place, loadingBox(t("wetlandLoading")));
    try {
      const found = await json<WetlandDocument>(`/api/v1/wetlands/${encodeURIComponent(id)}`, { cache: "no-cache" });
      if (asked !== this.asked) return;
      this.found = found;
    } catch (error) {
      if (asked === this.asked) fill(this.place, errorBox(error, () => void this.choose(id, move)));
      return;
    }
    if (move) this.view.fit(this.found.place.bbox);
    this.show();
  }

  private show(): void {
    const site = this.found;
    if (!site) return;
    this.chart?.dispose();
    this.chart = null;
    const chartPlace = h("div", { class: "stack" });
    fill(
      this.place,
      h("h3", {}, pick(site.title), site.synthetic ? h("span", { class: "tag synthetic" }, t("synthetic")) : null),
      site.about ? h("p", {}, pick(site.about)) : null,
      h("p", { class: "hint" }, pick(site.place.basis)),
      h(
        "div",
        { class: "inline" },
        h("a", { class: "button primary", id: "wetland-open", href: pageAddress(site.id), target: "_blank", rel: "noopener" }, t("wetlandPage")),
        h("button", { type: "button", class: "button", onclick: () => this.view.fit(site.place.bbox) }, t("zoomToLayer")),
      ),
      h("h4", {}, t("wetlandWater")),
      site.water.assessed ? [h("p", {}, this.latest(site.water)), chartPlace] : this.missing(site.water),
      h("h4", {}, t("wetlandIntegrity")),
      site.wetland.assessed ? this.integrity(site.wetland) : this.missing(site.wetland),
      h("h4", {}, t("wetlandShore")),
      site.vegetation.assessed
        ? h(
            "table",
            { class: "grid" },
            h("thead", {}, h("tr", {}, [t("wetlandBelt"), t("wetlandVegetated"), t("wetlandGreening"), t("wetlandBrowning")].map((name) => h("th", { scope: "col" }, name)))),
            h("tbody", {}, site.vegetation.belts.map((b) => h("tr", {}, h("td", {}, b.belt), [b.vegetated_share, b.greening_share, b.browning_share].map((v) => h("td", {}, share(v)))))),
          )
        : this.missing(site.vegetation),
      h("h4", {}, t("wetlandBirds")),
      site.birds.assessed
        ? h("p", {}, t("wetlandSpecies", { n: site.birds.species_count, one: site.birds.grade_1, two: site.birds.grade_2 }))
        : this.missing(site.birds),
      h("h4", {}, t("wetlandAlerts", { n: site.alerts.length })),
      site.alerts.length
        ? h("ul", {}, site.alerts.slice(0, 8).map((a) => h("li", {}, [a.time, pick(a.kind_title), a.name].filter(Boolean).join(" · "))))
        : h("p", { class: "hint" }, t("wetlandNoAlerts")),
    );
    if (site.water.assessed) void this.draw(chartPlace, site, site.water);
  }

  private latest(water: Water): string {
    const { time, area_km2, low_km2, high_km2 } = water.latest;
    const interval = low_km2 !== null && high_km2 !== null ? ` (${low_km2.toFixed(2)}–${high_km2.toFixed(2)})` : "";
    return t("wetlandLatest", { day: time, area: area_km2.toFixed(2) + interval });
  }

  private integrity(found: Integrity): Child {
    const reason = lang() === "zh" ? found.reason_zh : found.reason_en;
    return [
      h("p", {}, h("strong", { id: "wetland-verdict" }, pick(found.verdict_title) || found.verdict), reason ? ` · ${reason}` : ""),
      h("p", {}, t("wetlandAreaNow", { area: found.area_km2?.toFixed(2) ?? "—", change: found.change_percent === null ? "—" : found.change_percent.toFixed(1) })),
    ];
  }

  private missing(part: Missing): Child {
    return h(
      "div",
      { class: "box empty small" },
      h("strong", {}, t("wetlandNotAssessed")),
      ` ${pick(part.reason)}`,
      part.run ? h("pre", { tabindex: "0" }, part.run) : null,
    );
  }

  private async draw(host: HTMLElement, site: WetlandDocument, water: Water): Promise<void> {
    const name = t("wetlandWater");
    this.chart = await drawLines(host, {
      description: t("wetlandChart", { name: pick(site.title), n: water.series.length }),
      intervalName: t("waterInterval"),
      series: [
        {
          name,
          unit: "km²",
          color: "#0f4c81",
          points: water.series.map((row) => ({
            time: `${row.time}T00:00:00Z`,
            value: row.area_km2,
            low: row.low_km2,
            high: row.high_km2,
            hollow: row.flag !== "observed",
          })),
        },
      ],
    });
    host.after(csvButton(`${site.id}-water.csv`, () => water.series as unknown as Row[]));
  }
}
