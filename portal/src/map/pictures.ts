/** Dated pictures under the layers of the catalogue: a slot shows one picture at a time and changes it without a gap. */
import type TileLayer from "ol/layer/Tile";
import type XYZ from "ol/source/XYZ";
import { transformExtent } from "ol/proj";
import type { App } from "../app";
import { CGCS2000, TILE_SETS, type TileSet } from "../geo/crs";
import { rasterLayer } from "./layers";
import type { MapView } from "./mapview";

export interface PictureSource {
  /** Absolute template of the tiles of a set; undefined if it has none. */
  template: (set: TileSet) => string | undefined;
  extent: readonly [number, number, number, number];
  maxZoom: number;
}

/** Pictures kept beside the one that is seen: the next, and the one before. */
const MOST_KEPT = 3;

type Side = "left" | "right" | null;

export class PictureSlot {
  /** Address → layer, the last used at the end. */
  private readonly kept = new Map<string, TileLayer<XYZ>>();
  private wanted: PictureSource | null = null;
  private shown: string | null = null;
  private turn = 0;
  failures = 0;

  /**
   * @param depth order among the pictures; they lie above the base map and below the layers.
   * @param side which side of the divider is drawn, null for both.
   */
  constructor(
    private readonly app: App,
    private readonly view: MapView,
    private readonly depth: number,
    private readonly opacity: number,
    private readonly side: () => Side,
  ) {
    // The view is changed by a listener that was there before this one.
    app.on("tileSet", () => {
      const { wanted } = this;
      this.clear();
      void this.show(wanted);
    });
  }

  /** Shows a picture as soon as it is drawn; the one of before stays until then. True if it was not overtaken. */
  async show(source: PictureSource | null): Promise<boolean> {
    const turn = ++this.turn;
    this.wanted = source;
    const url = source?.template(this.app.tileSet);
    if (!source || !url) {
      this.clear();
      return true;
    }
    if (url === this.shown) return true;
    const layer = this.layer(url, source);
    // Nothing to keep in its place: it may come tile by tile.
    if (this.shown === null) layer.setOpacity(this.opacity);
    await this.drawn();
    if (turn !== this.turn || !this.kept.has(url)) return false;
    const before = this.shown === null ? undefined : this.kept.get(this.shown);
    layer.setOpacity(this.opacity);
    before?.setOpacity(0);
    this.shown = url;
    this.thin();
    return true;
  }

  /** Fetches a picture that will be asked for next. */
  prepare(source: PictureSource): void {
    const url = source.template(this.app.tileSet);
    if (url && this.shown !== null) this.layer(url, source);
  }

  private layer(url: string, source: PictureSource): TileLayer<XYZ> {
    let layer = this.kept.get(url);
    if (!layer) {
      const set = this.app.tileSet;
      const extent = transformExtent([...source.extent], CGCS2000, TILE_SETS[set].projection);
      layer = rasterLayer(url, set, source.maxZoom, { extent, opacity: 0, zIndex: 50 + this.depth }, () => this.failures++);
      this.view.clip(layer, this.side);
      this.view.map.addLayer(layer);
    }
    this.kept.delete(url);
    this.kept.set(url, layer);
    this.thin();
    return layer;
  }

  private thin(): void {
    for (const [url, layer] of this.kept) {
      if (this.kept.size <= MOST_KEPT) return;
      if (url === this.shown) continue;
      this.view.map.removeLayer(layer);
      this.kept.delete(url);
    }
  }

  private drawn(): Promise<void> {
    const { map } = this.view;
    return new Promise((resolve) => {
      map.once("rendercomplete", () => resolve());
      map.render();
    });
  }

  private clear(): void {
    this.turn++;
    for (const layer of this.kept.values()) this.view.map.removeLayer(layer);
    this.kept.clear();
    this.shown = null;
  }
}
