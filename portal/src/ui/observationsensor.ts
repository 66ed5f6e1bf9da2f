/** Sensors: newest values, and the series of one station with its flags. */
import type { LayerInfo } from "../api/types";
import { address } from "../api/client";
import type { App } from "../app";
import { pick, t, type Key } from "../i18n";
import type { MapView } from "../map/mapview";
import { unitText } from "../geo/format";
import { fill, h } from "./dom";
import { emptyBox, errorBox, loadingBox } from "./notice";
import { getReadings, type Overview, type Reading, type Readings } from "./observationapi";
import { chinaTime } from "./observationtime";
import { getItems, type Item } from "./waterapi";
import { drawLines, type DrawnChart } from "./waterchart";

const COLOURS = ["#08519c", "#9a5b13"];
const BAD = "#d92d20";
const FLAGS: Record<string, Key> = {
  out_of_range: "obsOutOfRange",
  spike: "obsSpike",
  spike_unconfirmed: "obsUnconfirmed",
  flatline: "obsFlatline",
};

/** How often each flag stands in a series. */
export function flagCounts(readings: readonly Reading[]): Map<string, number> {
  const found = new Map<string, number>();
  for (const { flag } of readings) if (flag) found.set(flag, (found.get(flag) ?? 0) + 1);
  return found;
}

export class SensorPart {
  readonly element = h("div", { class: "stack" });
  private info: LayerInfo | undefined;
  private stations: Item[] = [];
  private station = "";
  private found: Readings | null = null;
  private chart: DrawnChart | null = null;

  constructor(
    private readonly app: App,
    private readonly view: MapView,
  ) {}

  async open(layers: Overview["sensors"]): Promise<void> {
    const first = layers.find((l) => l.layer === this.info?.id) ?? layers[0];
    this.info = first && this.app.info(first.layer);
    if (!this.info) return fill(this.element, emptyBox(h("p", {}, t("obsNoSensors"))));
    if (!this.stations.length) fill(this.element, loadingBox(t("loading")));
    try {
      this.stations = await getItems(this.info);
    } catch (error) {
      return fill(this.element, errorBox(error, () => void this.open(layers)));
    }
    if (!this.stations.some((s) => this.code(s) === this.station)) this.station = this.stations[0] ? this.code(this.stations[0]) : "";
    await this.read();
  }

  /** A chart that was due while the page was out of sight was not drawn. */
  redraw(): void {
    if (this.found && !this.chart) this.render();
  }

  private code(item: Item): string {
    // The field that names the station is the first one.
    return String(item.properties[this.info?.fields[0]?.name ?? ""] ?? item.id);
  }

  private async read(): Promise<void> {
    const { info, station } = this;
    if (!info || !station) return;
    try {
      const found = await getReadings(info.id, station);
      if (station !== this.station) return;
      this.found = found;
    } catch (error) {
      return fill(this.element, errorBox(error, () => void this.read()));
    }
    this.render();
  }

  private render(): void {
    this.chart?.dispose();
    this.chart = null;
    const { info, found } = this;
    if (!info || !found) return;
    const select = h(
      "select",
      {
        id: "obs-station",
        onchange: () => {
          this.station = select.value;
          void this.read().then(() => document.getElementById("obs-station")?.focus());
        },
      },
      this.stations.map((s) => h("option", { value: this.code(s), selected: this.code(s) === this.station }, String(s.properties["name"] ?? this.code(s)))),
    );
    const host = h("div", { class: "water-chart", id: "obs-chart" });
    const fields = Object.keys(found.units).filter((name) => found.readings.some((r) => r.field === name));
    const newest = fields.map((name) => {
      const last = found.readings.findLast((r) => r.field === name)!;
      const field = info.fields.find((f) => f.name === name);
      return `${field ? pick(field.title) : name} ${last.value} ${unitText(found.units[name] ?? "")} (${chinaTime(last.time)})`;
    });
    const counts = flagCounts(found.readings);
    const csv = new URLSearchParams({ station: this.station, f: "csv", limit: "10000" });
    fill(
      this.element,
      h("label", { class: "field" }, h("span", {}, t("obsStation")), select),
      newest.length ? h("p", { role: "status", id: "obs-newest" }, newest.join(" · ")) : h("p", { class: "hint" }, t("obsNoReadings")),
      fields.length ? host : null,
      counts.size
        ? h("p", { class: "hint", id: "obs-flags" }, t("obsFlagged"), [...counts].map(([flag, n]) => ` ${t(FLAGS[flag] ?? "obsSpike")} ${n}`).join(" ·"))
        : null,
      h(
        "div",
        { class: "water-controls" },
        h("button", { type: "button", class: "button small", onclick: () => this.onMap() }, t("waterOnMap")),
        h("a", { class: "button small", href: address(`/api/v1/sensors/${info.id}/readings?${csv}`), download: `${this.station}.csv` }, t("downloadCsv")),
      ),
    );
    if (fields.length) void this.draw(host, info, found, fields.slice(0, 2));
  }

  private async draw(host: HTMLElement, info: LayerInfo, found: Readings, fields: string[]): Promise<void> {
    const chart = await drawLines(host, {
      series: fields.map((name, index) => {
        const field = info.fields.find((f) => f.name === name);
        return {
          name: field ? pick(field.title) : name,
          unit: unitText(found.units[name] ?? ""),
          color: COLOURS[index]!,
          second: index === 1,
          points: found.readings
            .filter((r) => r.field === name)
            .map((r) => ({ time: r.time, value: r.value, ...(r.flag ? { color: BAD, large: true, text: `${r.value} ${t(FLAGS[r.flag] ?? "obsSpike")}` } : {}) })),
        };
      }),
      hourly: true,
      description: t("obsChartText", { station: this.station, n: found.readings.length }),
    });
    if (!host.isConnected) return chart.dispose();
    this.chart = chart;
  }

  private onMap(): void {
    const { info } = this;
    const place = this.stations.find((s) => this.code(s) === this.station)?.geometry?.coordinates as [number, number] | undefined;
    if (!info || !place) return;
    this.app.add(info.id);
    this.view.fit([place[0] - 0.02, place[1] - 0.02, place[0] + 0.02, place[1] + 0.02]);
    this.view.mark(place);
  }
}
