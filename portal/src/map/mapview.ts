/** The map: view in CGCS2000 or Web Mercator, base map, active layers, pointer, swipe. Panels know this class only. */
import "ol/ol.css";
import OlMap from "ol/Map";
import View from "ol/View";
import Feature from "ol/Feature";
import Point from "ol/geom/Point";
import { fromExtent } from "ol/geom/Polygon";
import type BaseLayer from "ol/layer/Base";
import VectorLayer from "ol/layer/Vector";
import VectorSource from "ol/source/Vector";
import { defaults as defaultControls } from "ol/control/defaults";
import { transform, transformExtent } from "ol/proj";
import { getRenderPixel } from "ol/render";
import type RenderEvent from "ol/render/Event";
import CircleStyle from "ol/style/Circle";
import Fill from "ol/style/Fill";
import Stroke from "ol/style/Stroke";
import Style from "ol/style/Style";
import type { App } from "../app";
import type { LayerInfo } from "../api/types";
import { CGCS2000, TILE_SETS } from "../geo/crs";
import { scaleBar, type ScaleBar } from "../geo/scale";
import { baseParts } from "./basemap";
import { makeLayer, scenarioTemplate, setTemplate, tileTemplate, type DrawnLayer } from "./layers";
import { markStep, Watermark } from "./watermark";

export interface Place {
  lon: number;
  lat: number;
  zoom: number;
}

export class MapView {
  readonly map: OlMap;
  readonly watermark: Watermark;
  onMove: () => void = () => {};
  onPointer: (at: [number, number] | null) => void = () => {};
  onClick: (at: [number, number]) => void = () => {};
  onLoading: (busy: boolean) => void = () => {};
  /** Asked at each click whether something of theirs lies there; the first that says so takes the click. */
  readonly takers: ((pixel: number[]) => boolean)[] = [];
  /** Takes the next click in place of `onClick`. */
  private picking: ((at: [number, number]) => void) | null = null;

  private readonly drawn = new Map<string, DrawnLayer>();
  private baseLayers: DrawnLayer[] = [];
  private readonly marks = new VectorSource();

  constructor(
    private readonly app: App,
    private readonly host: HTMLElement,
    place: Partial<Place>,
  ) {
    this.map = new OlMap({
      target: host,
      controls: defaultControls({ zoom: false, rotate: false, attribution: false }),
      layers: [],
      view: this.makeView(),
      moveTolerance: 3,
    });
    const mark = new Style({
      image: new CircleStyle({
        radius: 7,
        fill: new Fill({ color: "rgba(217, 45, 32, 0.9)" }),
        stroke: new Stroke({ color: "#fff", width: 2.5 }),
      }),
      stroke: new Stroke({ color: "#d92d20", width: 2, lineDash: [8, 6] }),
    });
    const overlay = new VectorLayer({ source: this.marks, style: mark });
    overlay.setZIndex(10_000);
    this.map.addLayer(overlay);
    this.watermark = new Watermark(host);
    if (place.lon !== undefined && place.lat !== undefined) this.goTo(place.lon, place.lat, place.zoom);
    else this.fit(app.home);
    this.listen();
  }

  private listen(): void {
    const { map } = this;
    map.on("moveend", () => this.onMove());
    map.on("pointermove", (event) => {
      if (!event.dragging) this.onPointer(this.lonLat(event.coordinate));
    });
    this.host.addEventListener("pointerleave", () => this.onPointer(null));
    map.on("singleclick", (event) => {
      const { picking } = this;
      this.picking = null;
      if (!picking && this.takers.some((take) => take(event.pixel))) return;
      (picking ?? this.onClick)(this.lonLat(event.coordinate));
    });
    map.on("loadstart", () => this.onLoading(true));
    map.on("loadend", () => this.onLoading(false));
    map.on("rendercomplete", () => {
      for (const { layer, places } of [...this.drawn.values(), ...this.baseLayers])
        if (places?.takeMoved()) layer.changed();
    });
    this.app.on("layers", () => this.sync());
    this.app.on(["base", "catalogue"], () => this.syncBase());
    // Names on the map are in the language of the page.
    this.app.on("lang", () => {
      for (const { layer, places } of [...this.drawn.values(), ...this.baseLayers]) if (places) layer.changed();
    });
    this.app.on("tileSet", () => this.changeTileSet());
    this.app.on("swipe", () => map.render());
    this.app.on("scenario", () => this.sync());
    this.app.on("pictures", () => this.markSynthetic());
  }

  /** Hands over the place of the next click, which then does nothing else. */
  pickOnce(take: (at: [number, number]) => void): void {
    this.picking = take;
  }

  private get set() {
    return TILE_SETS[this.app.tileSet];
  }

  private makeView(): View {
    return new View({
      projection: this.set.projection,
      center: transform([112.3, 31], CGCS2000, this.set.projection),
      // Level z of the view is level z of the tile set.
      maxResolution: this.set.level0,
      minResolution: this.set.level0 / 2 ** 19,
      zoom: 7,
      enableRotation: false,
      extent: transformExtent([95, 20, 130, 42], CGCS2000, this.set.projection),
    });
  }

  private lonLat(coordinate: number[]): [number, number] {
    return transform(coordinate, this.set.projection, CGCS2000) as [number, number];
  }

  get place(): Place {
    const view = this.map.getView();
    const [lon, lat] = this.lonLat(view.getCenter() ?? [0, 0]);
    return { lon, lat, zoom: view.getZoom() ?? 7 };
  }

  /** West, south, east, north of what is seen, degrees. */
  get bbox(): [number, number, number, number] {
    const size = this.map.getSize() ?? [this.host.clientWidth || 800, this.host.clientHeight || 600];
    return transformExtent(this.map.getView().calculateExtent(size), this.set.projection, CGCS2000) as [
      number,
      number,
      number,
      number,
    ];
  }

  /** Degrees that a number of pixels covers (the larger of the two axes). */
  degrees(pixels: number): number {
    const [west, , east] = this.bbox;
    return ((east - west) / (this.map.getSize()?.[0] ?? 800)) * pixels;
  }

  /** Scale bar at most `most` pixels long: ground distance west–east at the centre. */
  scaleBar(most: number): ScaleBar {
    return scaleBar(this.degrees(1), this.place.lat, most);
  }

  goTo(lon: number, lat: number, zoom?: number): void {
    const view = this.map.getView();
    view.setCenter(transform([lon, lat], CGCS2000, this.set.projection));
    if (zoom !== undefined) view.setZoom(zoom);
  }

  fit(extent: readonly [number, number, number, number]): void {
    this.map.updateSize();
    this.map.getView().fit(transformExtent([...extent], CGCS2000, this.set.projection), { padding: [24, 24, 40, 24] });
  }

  zoomBy(delta: number): void {
    const view = this.map.getView();
    view.animate({ zoom: (view.getZoom() ?? 7) + delta, duration: reducedMotion() ? 0 : 200 });
  }

  /** Marks a place, or a rectangle in degrees; null removes the mark. */
  mark(what: [number, number] | [number, number, number, number] | null): void {
    this.marks.clear();
    if (!what) return;
    const geometry =
      what.length === 2
        ? new Point(transform(what, CGCS2000, this.set.projection))
        : fromExtent(transformExtent(what, CGCS2000, this.set.projection));
    this.marks.addFeature(new Feature(geometry));
  }

  private changeTileSet(): void {
    const old = this.map.getView();
    if (old.getProjection().getCode() === this.set.projection) return;
    const [lon, lat] = transform(old.getCenter() ?? [0, 0], old.getProjection(), CGCS2000) as [number, number];
    const zoom = old.getZoom() ?? 7;
    this.map.setView(this.makeView());
    // A level of CGCS2000Quad shows what the next level of WebMercatorQuad shows: 2 × 1 tiles against 1 × 1 at level 0.
    this.goTo(lon, lat, this.app.tileSet === "CGCS2000Quad" ? zoom - 1 : zoom + 1);
    for (const { layer } of this.drawn.values()) this.map.removeLayer(layer);
    this.drawn.clear();
    this.marks.clear();
    this.syncBase();
    this.sync();
  }

  private syncBase(): void {
    for (const { layer } of this.baseLayers) this.map.removeLayer(layer);
    this.baseLayers = [];
    const { catalogue } = this.app;
    if (!catalogue) return;
    baseParts(catalogue, this.app.base).forEach((part, index) => {
      const drawn = makeLayer(part.info, this.app.tileSet, () => this.app.tileFailed("base"), part.style);
      if (!drawn) return;
      // Relief and waters lie below every layer, boundaries and names above.
      const above = part.info.theme.includes("administrative");
      drawn.layer.setZIndex(above ? 5_000 + index : index);
      drawn.layer.setOpacity(part.opacity);
      this.baseLayers.push(drawn);
      this.map.addLayer(drawn.layer);
    });
  }

  private sync(): void {
    const { app } = this;
    const wanted = new Map<string, LayerInfo>();
    for (const { id } of app.layers) {
      const info = app.info(id);
      if (info) wanted.set(`${id}@${info.version}`, info);
    }
    for (const [key, { layer }] of this.drawn)
      if (!wanted.has(key)) {
        this.map.removeLayer(layer);
        this.drawn.delete(key);
      }
    app.layers.forEach((active, index) => {
      const info = app.info(active.id);
      if (!info) return;
      const key = `${active.id}@${info.version}`;
      let drawn = this.drawn.get(key);
      if (!drawn) {
        const made = makeLayer(info, app.tileSet, () => app.tileFailed(active.id));
        if (!made) return;
        drawn = made;
        this.clip(drawn.layer, () => (app.swipe?.layer === active.id ? "left" : null));
        this.drawn.set(key, drawn);
        this.map.addLayer(drawn.layer);
      }
      if (info.whatif) {
        const url = app.scenario?.layer === info.id
          ? scenarioTemplate(info, app.tileSet, app.scenario.params)
          : tileTemplate(info, app.tileSet);
        if (url) setTemplate(drawn, url);
      }
      drawn.layer.setZIndex(100 + app.layers.length - index);
      drawn.layer.setOpacity(active.opacity);
      drawn.layer.setVisible(active.visible);
    });
    this.markSynthetic();
  }

  /** Applies the opacity of one layer without touching the others. */
  refreshOpacity(id: string): void {
    const active = this.app.layers.find((l) => l.id === id);
    const info = this.app.info(id);
    if (active && info) this.drawn.get(`${id}@${info.version}`)?.layer.setOpacity(active.opacity);
    this.markSynthetic();
  }

  private markSynthetic(): void {
    const { app } = this;
    const layers = app.layers.flatMap(({ id, visible, opacity }) => {
      const info = visible ? app.info(id) : undefined;
      return info ? [{ synthetic: info.synthetic, marked: info.kind === "raster", opacity }] : [];
    });
    const pictures = app.pictures.map(({ synthetic }) => ({ synthetic, marked: false, opacity: 1 }));
    this.watermark.show(markStep([...layers, ...pictures]));
  }

  /** Draws a layer on one side of the divider only, as long as `side` names one. */
  clip(layer: BaseLayer, side: () => "left" | "right" | null): void {
    const target = layer as BaseLayer & {
      on(type: "prerender" | "postrender", listener: (event: RenderEvent) => void): unknown;
    };
    let clipped = false;
    target.on("prerender", (event) => {
      const context = event.context as CanvasRenderingContext2D | undefined;
      const { swipe } = this.app;
      const part = swipe ? side() : null;
      clipped = part !== null && Boolean(context);
      if (!clipped || !context || !swipe) return;
      const [width = 0, height = 0] = this.map.getSize() ?? [];
      const [from, to] = part === "left" ? [0, width * swipe.at] : [width * swipe.at, width];
      const corners = [
        [from, 0],
        [to, 0],
        [to, height],
        [from, height],
      ].map((pixel) => getRenderPixel(event, pixel));
      context.save();
      context.beginPath();
      corners.forEach(([x = 0, y = 0], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
      context.closePath();
      context.clip();
    });
    target.on("postrender", (event) => {
      if (clipped) (event.context as CanvasRenderingContext2D).restore();
      clipped = false;
    });
  }
}

export const reducedMotion = (): boolean => window.matchMedia("(prefers-reduced-motion: reduce)").matches;
