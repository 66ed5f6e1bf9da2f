/** «合成示例 SYNTHETIC» across the map while a synthetic layer is shown, on screen and on exported maps. */
import { FONT } from "./vectorstyle";

export const MARK = "合成示例 SYNTHETIC";

export function drawWatermark(context: CanvasRenderingContext2D, width: number, height: number): void {
  context.save();
  context.font = `600 22px ${FONT}`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.translate(width / 2, height / 2);
  context.rotate(-Math.PI / 8);
  const reach = Math.hypot(width, height) / 2;
  let shifted = false;
  for (let y = -reach; y <= reach; y += 130) {
    shifted = !shifted;
    for (let x = -reach + (shifted ? 150 : 0); x <= reach; x += 330) {
      context.lineWidth = 3;
      context.strokeStyle = "rgba(255, 255, 255, 0.45)";
      context.strokeText(MARK, x, y);
      context.fillStyle = "rgba(153, 27, 27, 0.38)";
      context.fillText(MARK, x, y);
    }
  }
  context.restore();
}

export class Watermark {
  readonly element = document.createElement("canvas");
  private shown = false;

  constructor(private readonly host: HTMLElement) {
    this.element.className = "watermark";
    this.element.setAttribute("role", "img");
    this.element.setAttribute("aria-label", MARK);
    this.element.hidden = true;
    host.append(this.element);
    new ResizeObserver(() => this.draw()).observe(host);
  }

  show(shown: boolean): void {
    if (shown === this.shown) return;
    this.shown = shown;
    this.element.hidden = !shown;
    this.draw();
  }

  private draw(): void {
    if (!this.shown) return;
    const { clientWidth, clientHeight } = this.host;
    const ratio = window.devicePixelRatio || 1;
    this.element.width = clientWidth * ratio;
    this.element.height = clientHeight * ratio;
    const context = this.element.getContext("2d");
    if (!context) return;
    context.scale(ratio, ratio);
    drawWatermark(context, clientWidth, clientHeight);
  }
}
