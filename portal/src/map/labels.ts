/**
 * One label per polygon, although a polygon comes in pieces, one per tile: the largest piece at a resolution carries it.
 */
import type { FeatureLike } from "ol/Feature";
import RenderFeature from "ol/render/Feature";

export class LabelPlaces {
  private readonly best = new Map<string, { area: number; piece: FeatureLike }>();
  private moved = false;

  /** True if this piece is the largest one met so far of its feature at this resolution. */
  holds(feature: FeatureLike, resolution: number): boolean {
    const id = feature.getId();
    if (id === undefined || !(feature instanceof RenderFeature)) return true;
    const key = `${resolution.toPrecision(6)} ${id}`;
    const held = this.best.get(key);
    if (held?.piece === feature) return true;
    const [west, south, east, north] = feature.getExtent() as [number, number, number, number];
    const area = (east - west) * (north - south);
    if (held && held.area >= area) return false;
    if (held) this.moved = true;
    this.best.set(key, { area, piece: feature });
    return true;
  }

  /** True once after a label moved to a larger piece: the pieces drawn before must be drawn again. */
  takeMoved(): boolean {
    const moved = this.moved;
    this.moved = false;
    return moved;
  }
}
