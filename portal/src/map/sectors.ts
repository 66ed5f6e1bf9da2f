/** Cameras on the map with the sector that they look at (视域扇形). */
import Feature from "ol/Feature";
import Point from "ol/geom/Point";
import Polygon from "ol/geom/Polygon";
import VectorLayer from "ol/layer/Vector";
import VectorSource from "ol/source/Vector";
import { transform } from "ol/proj";
import CircleStyle from "ol/style/Circle";
import Fill from "ol/style/Fill";
import Stroke from "ol/style/Stroke";
import Style from "ol/style/Style";
import type { App } from "../app";
import { CGCS2000, TILE_SETS } from "../geo/crs";
import type { MapView } from "./mapview";

export interface Sector {
  id: string;
  at: [number, number];
  azimuth: number | null;
  fov: number | null;
  radius: number;
  color: string;
}

const METRES_A_DEGREE = 111_195;
const STEP = 4;
const PICK_PX = 12;

/**
 * Corners of a sector in degrees, the camera first; null where a direction is missing. On a sphere of mean radius: to a
 * few kilometres the error is far below the width of the line.
 */
export function sectorCorners({ at, azimuth, fov, radius }: Sector): [number, number][] | null {
  if (azimuth === null || fov === null) return null;
  const [lon, lat] = at;
  const steps = Math.max(2, Math.ceil(fov / STEP));
  const arc = Array.from({ length: steps + 1 }, (_, k): [number, number] => {
    const angle = ((azimuth - fov / 2 + (fov * k) / steps) * Math.PI) / 180;
    const north = (radius * Math.cos(angle)) / METRES_A_DEGREE;
    const east = (radius * Math.sin(angle)) / (METRES_A_DEGREE * Math.cos((lat * Math.PI) / 180));
    return [lon + east, lat + north];
  });
  return fov >= 360 ? arc : [at, ...arc, at];
}

export class SectorLayer {
  private readonly source = new VectorSource();
  private readonly layer: VectorLayer;
  private sectors: Sector[] = [];
  private chosen = "";
  private wanted = false;

  constructor(
    private readonly app: App,
    view: MapView,
    onPick: (id: string) => void,
  ) {
    this.layer = new VectorLayer({ source: this.source, zIndex: 9_000, visible: false });
    view.map.addLayer(this.layer);
    // By distance: to look for features in the drawn picture costs a read of the canvas at each click.
    view.takers.push(([x = 0, y = 0]) => {
      if (!this.layer.getVisible()) return false;
      const { projection } = TILE_SETS[app.tileSet];
      const near = this.sectors
        .map(({ id, at }) => {
          const [px = Infinity, py = Infinity] = view.map.getPixelFromCoordinate(transform(at, CGCS2000, projection)) ?? [];
          return { id, apart: Math.hypot(px - x, py - y) };
        })
        .filter(({ apart }) => apart <= PICK_PX)
        .sort((a, b) => a.apart - b.apart)[0];
      if (near) onPick(near.id);
      return Boolean(near);
    });
    app.on("tileSet", () => this.draw());
    // With another tool a click asks for something else, and nothing there could take the cameras off.
    app.on("tool", () => this.update());
  }

  show(sectors: Sector[]): void {
    this.sectors = sectors;
    this.draw();
  }

  choose(id: string): void {
    this.chosen = id;
    this.draw();
  }

  set visible(on: boolean) {
    this.wanted = on;
    this.update();
  }

  get visible(): boolean {
    return this.wanted;
  }

  private update(): void {
    this.layer.setVisible(this.wanted && this.app.tool === "water");
  }

  private draw(): void {
    const { projection } = TILE_SETS[this.app.tileSet];
    const placed = (at: [number, number]): number[] => transform(at, CGCS2000, projection);
    this.source.clear();
    for (const sector of this.sectors) {
      const strong = sector.id === this.chosen;
      const corners = sectorCorners(sector);
      if (corners) {
        const area = new Feature(new Polygon([corners.map(placed)]));
        area.setStyle(new Style({ fill: new Fill({ color: `${sector.color}${strong ? "66" : "2e"}` }), stroke: new Stroke({ color: sector.color, width: strong ? 2 : 1 }) }));
        this.source.addFeature(area);
      }
      const point = new Feature(new Point(placed(sector.at)));
      point.setStyle(
        new Style({
          image: new CircleStyle({ radius: strong ? 9 : 7, fill: new Fill({ color: sector.color }), stroke: new Stroke({ color: "#fff", width: 2 }) }),
          zIndex: 2,
        }),
      );
      this.source.addFeature(point);
    }
  }
}
