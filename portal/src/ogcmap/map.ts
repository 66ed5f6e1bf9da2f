/** The map of a page: tiles of its layer, its features, its extent, over this server's own base; in EPSG:4490. */
import OlMap from "ol/Map";
import View from "ol/View";
import Feature from "ol/Feature";
import GeoJSON from "ol/format/GeoJSON";
import { fromExtent } from "ol/geom/Polygon";
import VectorLayer from "ol/layer/Vector";
import VectorSource from "ol/source/Vector";
import { defaults as defaultControls } from "ol/control/defaults";
import ScaleLine from "ol/control/ScaleLine";
import { defaults as defaultInteractions } from "ol/interaction/defaults";
import CircleStyle from "ol/style/Circle";
import Fill from "ol/style/Fill";
import Stroke from "ol/style/Stroke";
import Style from "ol/style/Style";
import type { Catalogue } from "../api/types";
import { CGCS2000, TILE_SETS } from "../geo/crs";
import { baseParts } from "../map/basemap";
import { makeLayer, type DrawnLayer } from "../map/layers";
import { CLOSE, Watermark } from "../map/watermark";
import { boxText, overlap, place, rooted, rootedCatalogue, widened, type Box, type Spec } from "./spec";

const SET = "CGCS2000Quad";
const MOST_DETAIL = 14;

const marked = (fill: string, stroke: string, width: number): Style =>
  new Style({
    fill: new Fill({ color: fill }),
    stroke: new Stroke({ color: stroke, width }),
    image: new CircleStyle({
      radius: 5.5,
      fill: new Fill({ color: "rgba(230, 81, 0, 0.85)" }),
      stroke: new Stroke({ color: "#ffffff", width: 1.5 }),
    }),
  });
const FEATURE = marked("rgba(230, 81, 0, 0.22)", "#bf4300", 2);
const OUTLINE = marked("rgba(230, 81, 0, 0.02)", "#bf4300", 2);
const CHOSEN = marked("rgba(176, 0, 32, 0.38)", "#b00020", 3.5);
const EXTENT = new Style({ stroke: new Stroke({ color: "#0a3459", width: 1.5, lineDash: [7, 5] }) });

export class PageMap {
  private readonly map: OlMap;
  private readonly features = new VectorSource();
  private readonly overlay = new VectorLayer({ source: this.features, style: FEATURE });
  private readonly drawn: DrawnLayer[] = [];
  private readonly watermark: Watermark;
  private readonly line: HTMLElement | null;
  private readonly zh = document.documentElement.lang.startsWith("zh");

  constructor(
    private readonly host: HTMLElement,
    private readonly spec: Spec,
    private readonly root: string,
  ) {
    this.host.classList.add("ready");
    this.host.setAttribute("aria-busy", "true");
    this.line = host.parentElement?.querySelector(".pointer") ?? null;
    this.map = new OlMap({
      target: host,
      controls: defaultControls({
        rotate: false,
        attribution: false,
        zoomOptions: { zoomInTipLabel: this.say("放大", "Zoom in"), zoomOutTipLabel: this.say("缩小", "Zoom out") },
      }).extend([new ScaleLine({ minWidth: 60 })]),
      // Only when the map has the focus: a wheel or a finger that passes over it scrolls the page.
      interactions: defaultInteractions({ onFocusOnly: true, altShiftDragRotate: false, pinchRotate: false }),
      view: new View({
        projection: CGCS2000,
        center: [112.3, 31],
        maxResolution: TILE_SETS[SET].level0,
        minResolution: TILE_SETS[SET].level0 / 2 ** 18,
        zoom: 6,
        enableRotation: false,
      }),
    });
    this.overlay.setZIndex(9_000);
    this.map.addLayer(this.overlay);
    this.watermark = new Watermark(host);
    this.watermark.show(spec.synthetic === true ? CLOSE : null);
    if (spec.bbox) {
      const [box] = [new Feature(fromExtent(spec.bbox))];
      const extent = new VectorLayer({ source: new VectorSource({ features: [box] }), style: EXTENT });
      extent.setZIndex(8_000);
      this.map.addLayer(extent);
      this.fit(spec.bbox);
    }
    this.listen();
    this.offerBox();
  }

  /** Draws everything; a part that cannot be had is named below the map, the others are drawn. */
  async show(): Promise<void> {
    await Promise.all([this.showTiles(), this.showFeatures()]);
    this.map.renderSync();
    this.host.dataset["shown"] = "true";
  }

  private async showTiles(): Promise<void> {
    let catalogue: Catalogue;
    try {
      catalogue = (await this.json(`${this.root}api/v1/catalogue`)) as Catalogue;
    } catch {
      return this.tell(this.say("底图暂不可用", "the base map is not available"));
    }
    for (const part of baseParts(rootedCatalogue(catalogue, this.root), "plain")) {
      // The layer of the page stands in its own style.
      if (part.info.id === this.spec.layer) continue;
      const above = part.info.theme.includes("administrative");
      this.add(makeLayer(part.info, SET, () => {}, part.style), above ? 500 : 0, above ? 1 : 0.7);
    }
    const info = catalogue.layers.find((layer) => layer.id === this.spec.layer);
    if (!info) return;
    const hasFeatures = Boolean(this.spec.features ?? this.spec.geojson);
    const failed = (): void => this.tell(this.say("部分瓦片暂不可用", "some tiles are not available"));
    this.add(makeLayer(rooted(info, this.root, this.spec.version), SET, failed), 100, hasFeatures ? 0.4 : 0.85);
    this.watermark.show(info.synthetic || this.spec.synthetic === true ? CLOSE : null);
  }

  private add(drawn: DrawnLayer | null, order: number, opacity: number): void {
    if (!drawn) return;
    drawn.layer.setZIndex(order + this.drawn.length);
    drawn.layer.setOpacity(opacity);
    this.drawn.push(drawn);
    this.map.addLayer(drawn.layer);
  }

  private async showFeatures(): Promise<void> {
    let collection = this.spec.geojson;
    if (!collection && this.spec.features) {
      try {
        collection = await this.json(this.spec.features);
      } catch {
        return this.tell(this.say("要素暂不可用", "the features are not available"));
      }
    }
    if (!collection) return;
    this.features.addFeatures(new GeoJSON({ dataProjection: CGCS2000, featureProjection: CGCS2000 }).readFeatures(collection) as Feature[]);
    const boxes = this.features.getFeatures().flatMap((f) => f.getGeometry()?.getExtent() ?? []);
    const parts = Array.from({ length: boxes.length / 4 }, (_, i) => boxes.slice(4 * i, 4 * i + 4) as Box);
    if (overlap(parts)) this.overlay.setStyle(OUTLINE);
    const extent = this.features.getExtent();
    if (extent && extent.every(Number.isFinite)) this.fit(extent as Box);
  }

  private async json(address: string): Promise<unknown> {
    // Relative addresses keep to the host that the page came from.
    const answer = await fetch(new URL(address, location.href), { headers: { Accept: "application/geo+json, application/json" } });
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    return answer.json();
  }

  private fit(box: Box): void {
    this.map.getView().fit(widened(box), { padding: [24, 24, 30, 56], maxZoom: MOST_DETAIL });
  }

  private listen(): void {
    const { map } = this;
    const centre = (): void => {
      const [lon, lat] = map.getView().getCenter() ?? [];
      if (lon !== undefined && lat !== undefined) this.tell(`${this.say("中心", "Centre")}: ${place(lon, lat, this.zh)}`);
    };
    map.on("pointermove", (event) => {
      const [lon, lat] = event.coordinate;
      if (!event.dragging && lon !== undefined && lat !== undefined) this.tell(place(lon, lat, this.zh));
    });
    // Who moves the map by keys has no pointer: the place is that of the centre.
    map.on("moveend", () => {
      if (document.activeElement === this.host) centre();
    });
    this.host.addEventListener("focus", centre);
    map.on("singleclick", (event) => {
      const found = map.forEachFeatureAtPixel(event.pixel, (f) => f, { hitTolerance: 4 });
      if (found instanceof Feature && found.getId() !== undefined) this.choose(String(found.getId()), true);
    });
    for (const row of this.rows()) {
      row.addEventListener("mouseenter", () => this.choose(row.dataset["fid"] ?? "", false));
      row.addEventListener("focusin", () => this.choose(row.dataset["fid"] ?? "", false));
    }
    map.on("loadstart", () => this.host.setAttribute("aria-busy", "true"));
    map.on("rendercomplete", () => {
      for (const { layer, places } of this.drawn) if (places?.takeMoved()) layer.changed();
      if (this.host.dataset["shown"]) this.host.setAttribute("aria-busy", "false");
    });
  }

  private rows(): HTMLElement[] {
    return [...document.querySelectorAll<HTMLElement>("tr[data-fid]")];
  }

  /** Marks a feature on the map and in the table. */
  private choose(fid: string, scroll: boolean): void {
    for (const feature of this.features.getFeatures())
      feature.setStyle(String(feature.getId()) === fid ? CHOSEN : undefined);
    for (const row of this.rows()) {
      const hit = row.dataset["fid"] === fid;
      row.classList.toggle("hit", hit);
      if (hit && scroll) row.scrollIntoView({ block: "nearest" });
    }
  }

  /** Where the page has a `bbox` field, a button asks for what the map shows. */
  private offerBox(): void {
    const field = document.querySelector<HTMLInputElement>("form input[name=bbox]:not([type=hidden])");
    const line = this.host.parentElement?.querySelector(".map-line");
    if (!field || !line) return;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = this.say("查询当前地图范围", "Query what the map shows");
    button.addEventListener("click", () => {
      const [west = -180, south = -90, east = 180, north = 90] = this.map.getView().calculateExtent();
      field.value = boxText([Math.max(west, -180), Math.max(south, -90), Math.min(east, 180), Math.min(north, 90)]);
      field.form?.requestSubmit();
    });
    line.append(button);
  }

  private tell(text: string): void {
    if (this.line) this.line.textContent = text;
  }

  private say(zh: string, en: string): string {
    return this.zh ? zh : en;
  }
}
