/** «合成示例 SYNTHETIC» across the map while a synthetic layer is shown, on screen and on exported maps. */
import { FONT } from "./vectorstyle";

export const MARK = "合成示例 SYNTHETIC";

/** Distance of two marks along and across their line, CSS pixels. */
export type Step = readonly [along: number, across: number];
export const CLOSE: Step = [330, 130];
/** Where every synthetic layer is a picture whose tiles bear the mark themselves. */
export const WIDE: Step = [660, 260];
/** A picture that is fainter than this shows its own mark too faintly. */
const CLEAR_ENOUGH = 0.5;

export interface Shown {
  synthetic: boolean;
  /** True if its own picture bears the mark: tiles drawn by the server do, features drawn here do not. */
  marked: boolean;
  opacity: number;
}

/** Step of the mark over what is shown; null only if nothing of it is synthetic. */
export function markStep(shown: readonly Shown[]): Step | null {
  const synthetic = shown.filter((one) => one.synthetic);
  if (!synthetic.length) return null;
  return synthetic.every(({ marked, opacity }) => marked && opacity >= CLEAR_ENOUGH) ? WIDE : CLOSE;
}

/** Centres of the marks around the middle of a picture, on lines turned with them; one is always in the middle. */
export function markPlaces(width: number, height: number, [along, across]: Step): [number, number][] {
  const reach = Math.hypot(width, height) / 2;
  const lines = Math.ceil(reach / across);
  const columns = Math.ceil(reach / along) + 1;
  const places: [number, number][] = [];
  for (let line = -lines; line <= lines; line++)
    for (let column = -columns; column <= columns; column++)
      places.push([(column + (line % 2 ? 0.5 : 0)) * along, line * across]);
  return places;
}

export function drawWatermark(context: CanvasRenderingContext2D, width: number, height: number, step: Step = CLOSE): void {
  context.save();
  context.font = `600 22px ${FONT}`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.translate(width / 2, height / 2);
  context.rotate(-Math.PI / 8);
  for (const [x, y] of markPlaces(width, height, step)) {
    context.lineWidth = 3;
    context.strokeStyle = "rgba(255, 255, 255, 0.45)";
    context.strokeText(MARK, x, y);
    context.fillStyle = "rgba(153, 27, 27, 0.38)";
    context.fillText(MARK, x, y);
  }
  context.restore();
}

export class Watermark {
  readonly element = document.createElement("canvas");
  private step: Step | null = null;

  constructor(private readonly host: HTMLElement) {
    this.element.className = "watermark";
    this.element.setAttribute("role", "img");
    this.element.setAttribute("aria-label", MARK);
    this.element.hidden = true;
    host.append(this.element);
    new ResizeObserver(() => this.draw()).observe(host);
  }

  show(step: Step | null): void {
    if (step === this.step) return;
    this.step = step;
    this.element.hidden = !step;
    this.draw();
  }

  private draw(): void {
    if (!this.step) return;
    const { clientWidth, clientHeight } = this.host;
    const ratio = window.devicePixelRatio || 1;
    this.element.width = clientWidth * ratio;
    this.element.height = clientHeight * ratio;
    const context = this.element.getContext("2d");
    if (!context) return;
    context.scale(ratio, ratio);
    drawWatermark(context, clientWidth, clientHeight, this.step);
  }
}
