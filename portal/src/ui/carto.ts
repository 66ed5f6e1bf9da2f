/** 专题制图: the current map as a picture with title, legend, scale, north arrow, coordinate system, sources and watermark. */
import type { App } from "../app";
import type { LayerInfo } from "../api/types";
import { TILE_SETS } from "../geo/crs";
import { lang, pick, t } from "../i18n";
import type { MapView } from "../map/mapview";
import { drawWatermark } from "../map/watermark";
import { FONT } from "../map/vectorstyle";
import { download, fill, h } from "./dom";
import { shownLegend, legendRows } from "./legend";
import { errorBox, toast } from "./notice";

const MOST_ROWS = 12;
const MARGIN = 28;
const LEGEND_WIDTH = 250;

export class CartoPanel {
  readonly element = h("section", { class: "stack" });
  private title = "";
  private approval = "";

  constructor(
    private readonly app: App,
    private readonly view: MapView,
  ) {
    this.render();
  }

  render(): void {
    const message = h("div", {});
    const title = h("input", {
      type: "text",
      id: "map-title",
      value: this.title,
      placeholder: this.defaultTitle(),
      maxLength: 60,
      oninput: () => (this.title = title.value),
    });
    const approval = h("input", {
      type: "text",
      id: "map-approval",
      value: this.approval,
      maxLength: 40,
      placeholder: t("approvalNone"),
      oninput: () => (this.approval = approval.value),
    });
    const button = h(
      "button",
      {
        type: "button",
        class: "button primary",
        id: "export-map",
        onclick: async () => {
          button.disabled = true;
          fill(message);
          try {
            const canvas = await this.draw();
            const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/png"));
            if (!blob) throw new Error(t("exportFailed"));
            download(`onemap-${new Date().toISOString().slice(0, 10)}.png`, blob);
            toast(t("exported"));
          } catch (error) {
            fill(message, errorBox(error));
          }
          button.disabled = false;
        },
      },
      t("exportMap"),
    );
    fill(
      this.element,
      h("h3", {}, t("mapLayout")),
      h("p", { class: "hint" }, t("mapLayoutHint")),
      h("label", { class: "field" }, h("span", {}, t("mapTitle")), title),
      h("label", { class: "field" }, h("span", {}, t("approval")), approval),
      button,
      message,
    );
  }

  private defaultTitle(): string {
    const first = this.app.visible()[0];
    return first ? t("defaultMapTitle", { layer: this.named(first) }) : t("appTitle");
  }

  /** Title of a layer; a what-if scenario must not leave the portal as a result. */
  private named(info: LayerInfo): string {
    return this.app.scenario?.layer === info.id ? t("whatIfTitle", { layer: pick(info.title) }) : pick(info.title);
  }

  private async draw(): Promise<HTMLCanvasElement> {
    const map = this.view.map;
    const [width = 0, height = 0] = map.getSize() ?? [];
    const layers = this.app.visible();
    const legends = await Promise.all(
      layers.map(async (info) => ({ info, rows: legendRows(await shownLegend(info, this.app.scenario), lang()) })),
    );
    const top = 64;
    const bottom = 62;
    const canvas = h("canvas", {
      width: width + 2 * MARGIN + (layers.length ? LEGEND_WIDTH : 0),
      height: height + top + bottom,
    });
    const pen = canvas.getContext("2d");
    if (!pen) throw new Error(t("exportFailed"));
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.save();
    pen.translate(MARGIN, top);
    pen.beginPath();
    pen.rect(0, 0, width, height);
    pen.clip();
    pen.fillStyle = "#eef2f5";
    pen.fillRect(0, 0, width, height);
    for (const part of (map.getTargetElement() ?? document).querySelectorAll<HTMLCanvasElement>(".ol-layer canvas, canvas.ol-layer")) {
      if (!part.width) continue;
      pen.save();
      const opacity = part.parentElement?.style.opacity || part.style.opacity;
      pen.globalAlpha = opacity === "" ? 1 : Number(opacity);
      const matrix = /^matrix\(([^)]*)\)$/.exec(part.style.transform);
      if (matrix?.[1]) pen.transform(...(matrix[1].split(",").map(Number) as [number, number, number, number, number, number]));
      else pen.scale(width / part.width, height / part.height);
      pen.drawImage(part, 0, 0);
      pen.restore();
    }
    if ([...layers, ...this.app.pictures].some((l) => l.synthetic)) drawWatermark(pen, width, height);
    this.north(pen, width - 34, 50);
    pen.restore();
    pen.strokeStyle = "#1f2a37";
    pen.strokeRect(MARGIN - 0.5, top - 0.5, width + 1, height + 1);
    pen.fillStyle = "#111827";
    pen.font = `700 26px ${FONT}`;
    pen.textAlign = "center";
    pen.fillText(this.title || this.defaultTitle(), MARGIN + width / 2, 42, width);
    pen.textAlign = "left";
    this.legend(pen, legends, MARGIN + width + 20, top + 8);
    this.foot(pen, layers, width, top + height);
    return canvas;
  }

  private north(pen: CanvasRenderingContext2D, x: number, y: number): void {
    pen.fillStyle = "#1f2a37";
    pen.beginPath();
    pen.moveTo(x, y - 30);
    pen.lineTo(x + 10, y + 6);
    pen.lineTo(x, y - 1);
    pen.lineTo(x - 10, y + 6);
    pen.fill();
    pen.font = `700 14px ${FONT}`;
    pen.textAlign = "center";
    pen.fillText("N", x, y + 22);
    pen.textAlign = "left";
  }

  private legend(
    pen: CanvasRenderingContext2D,
    legends: { info: LayerInfo; rows: { fill: string; stroke: string; text: string }[] }[],
    x: number,
    y: number,
  ): void {
    if (!legends.length) return;
    pen.font = `700 15px ${FONT}`;
    pen.fillText(t("legend"), x, (y += 12));
    for (const { info, rows } of legends) {
      pen.font = `700 12px ${FONT}`;
      pen.fillStyle = "#111827";
      pen.fillText(this.named(info), x, (y += 26), LEGEND_WIDTH - 30);
      pen.font = `12px ${FONT}`;
      for (const row of rows.slice(0, MOST_ROWS)) {
        y += 19;
        pen.fillStyle = row.fill;
        pen.fillRect(x, y - 10, 20, 12);
        pen.strokeStyle = row.stroke;
        pen.strokeRect(x, y - 10, 20, 12);
        pen.fillStyle = "#1f2a37";
        pen.fillText(row.text, x + 28, y, LEGEND_WIDTH - 60);
      }
      if (rows.length > MOST_ROWS) pen.fillText(t("moreRows", { n: rows.length - MOST_ROWS }), x + 28, (y += 19));
    }
  }

  private foot(pen: CanvasRenderingContext2D, layers: LayerInfo[], width: number, y: number): void {
    const bar = this.view.scaleBar(120);
    pen.strokeStyle = "#111827";
    pen.lineWidth = 2;
    pen.beginPath();
    pen.moveTo(MARGIN, y + 14);
    pen.lineTo(MARGIN, y + 20);
    pen.lineTo(MARGIN + bar.pixels, y + 20);
    pen.lineTo(MARGIN + bar.pixels, y + 14);
    pen.stroke();
    pen.fillStyle = "#1f2a37";
    pen.font = `12px ${FONT}`;
    pen.fillText(bar.text, MARGIN + bar.pixels + 8, y + 21);
    const date = new Date().toISOString().slice(0, 10);
    const sources = [...new Set(layers.map((l) => `${pick(l.attribution)} (${l.version})`))].join("; ");
    const scenario = layers.some((l) => l.id === this.app.scenario?.layer) ? ` · ${t("whatIfShown")}` : "";
    const crs = TILE_SETS[this.app.tileSet].label;
    pen.fillText(`${crs} · ${t("made")} ${date}${this.approval ? ` · ${t("approval")} ${this.approval}` : ""} · ${t("notOfficial")}${scenario}`, MARGIN, y + 39, width);
    if (sources) pen.fillText(`${t("source")}: ${sources}`, MARGIN, y + 56, width + LEGEND_WIDTH);
  }
}
