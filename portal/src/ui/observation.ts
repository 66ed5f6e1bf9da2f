/** 四源: flights of drones by date, cameras with their snapshots through time, sensors with their series. */
import { address } from "../api/client";
import type { App } from "../app";
import { lang, pick, t, type Key } from "../i18n";
import type { MapView } from "../map/mapview";
import { PictureSlot } from "../map/pictures";
import { SectorLayer } from "../map/sectors";
import { fill, h, type Child } from "./dom";
import { emptyBox, errorBox, loadingBox } from "./notice";
import { SnapshotStrip } from "./observationcamera";
import { SensorPart } from "./observationsensor";
import { getCameras, getFlights, getOverview, openable, type Camera, type Flight, type Overview } from "./observationapi";
import { chinaTime } from "./observationtime";
import type { WaterPage } from "./water";
import "./observation.css";

const PICTURE = "uav-flight";
const COLOURS: Record<string, string> = { online: "#00695c", maintenance: "#f9a825", offline: "#757575" };
const STATUS: Record<string, Key> = { online: "obsOnline", maintenance: "obsMaintenance", offline: "obsOffline" };
/** Pictures of 0.05 m and finer are sharp to this level. */
const MOST_ZOOM = 22;

export class ObservationPage implements WaterPage {
  readonly element = h("div", { class: "stack", id: "observation" });
  private overview: Overview | null = null;
  private flights: Flight[] = [];
  private cameras: Camera[] = [];
  private shown = "";
  private camera = "";
  private readonly slot: PictureSlot;
  private readonly sectors: SectorLayer;
  private readonly strip = new SnapshotStrip();
  private readonly sensors: SensorPart;

  constructor(
    private readonly app: App,
    private readonly view: MapView,
  ) {
    this.slot = new PictureSlot(app, view, 20, 1, () => null);
    this.sectors = new SectorLayer(app, view, (id) => this.choose(id, false));
    this.sensors = new SensorPart(app, view);
  }

  async open(): Promise<void> {
    if (this.overview) return this.sensors.redraw();
    await this.read();
  }

  refresh(): void {
    if (this.overview) void this.read();
  }

  private async read(): Promise<void> {
    const first = !this.overview;
    if (first) fill(this.element, loadingBox(t("loading")));
    try {
      const overview = await getOverview();
      [this.flights, this.cameras] = await Promise.all([overview.flights ? getFlights() : [], overview.cameras ? getCameras() : []]);
      this.overview = overview;
    } catch (error) {
      return fill(this.element, errorBox(error, () => void this.read()));
    }
    const radius = this.overview.sectors.radius_m;
    this.sectors.show(
      this.cameras.map(({ geometry, properties: p }) => ({
        id: p.camera,
        at: geometry.coordinates,
        azimuth: p.azimuth_deg,
        fov: p.fov_deg,
        radius: p.range_m ?? radius,
        color: COLOURS[p.status ?? ""] ?? COLOURS["offline"]!,
      })),
    );
    if (first && this.cameras.length) this.sectors.visible = true;
    this.render();
    await this.sensors.open(this.overview.sensors);
  }

  private render(): void {
    const { overview } = this;
    if (!overview) return;
    const made = this.flights.some((f) => f.synthetic) || overview.sensors.some((s) => s.synthetic) || Boolean(this.app.info(overview.cameras ?? "")?.synthetic);
    fill(
      this.element,
      made ? h("p", {}, h("span", { class: "tag synthetic wide" }, t("syntheticLong"))) : null,
      h("p", { class: "hint" }, t("obsSatellite")),
      h("section", { class: "stack", id: "obs-flights" }, h("h3", {}, t("obsFlights")), this.flightList()),
      h("section", { class: "stack", id: "obs-cameras" }, h("h3", {}, t("obsCameras")), this.cameraList()),
      h("section", { class: "stack", id: "obs-sensors" }, h("h3", {}, t("obsSensors")), this.sensors.element),
    );
  }

  // --- flights ------------------------------------------------------------------------------------------------------

  private flightList(): Child {
    if (!this.flights.length) return emptyBox(h("p", {}, t("obsNoFlights")));
    const sites = [...new Set(this.flights.map((f) => f.site))];
    return sites.map((site) => {
      const own = this.flights.filter((f) => f.site === site);
      const name = lang() === "zh" ? own[0]!.title : own[0]!.title_en;
      return h(
        "div",
        { class: "obs-site", role: "group", "aria-label": name },
        h("strong", {}, name),
        h(
          "div",
          { class: "water-controls" },
          own.map((flight) => {
            const key = `${flight.site}@${flight.version}`;
            return h(
              "button",
              {
                type: "button",
                class: "button small",
                "data-flight": flight.version,
                "aria-pressed": String(this.shown === key),
                title: `${chinaTime(flight.time)} · ${flight.gsd_m} m · ${flight.platform}`,
                onclick: () => void this.fly(flight),
              },
              chinaTime(flight.time).slice(0, 10),
            );
          }),
        ),
        h("p", { class: "hint" }, t("obsFlightHint", { gsd: own.at(-1)!.gsd_m, platform: own.at(-1)!.platform })),
      );
    });
  }

  /** Shows a flight on the map, or takes it off. */
  private async fly(flight: Flight): Promise<void> {
    const key = `${flight.site}@${flight.version}`;
    const off = this.shown === key;
    const moved = !this.shown.startsWith(`${flight.site}@`);
    this.shown = off ? "" : key;
    this.render();
    this.element.querySelector<HTMLElement>(`[data-flight="${flight.version}"]`)?.focus();
    const others = this.app.pictures.filter((p) => p.id !== PICTURE);
    const day = chinaTime(flight.time).slice(0, 10);
    const title = { zh: `${flight.title} ${day}`, en: `${flight.title_en} ${day}` };
    this.app.setPictures(this.app.dated, off ? others : [...others, { id: PICTURE, title, synthetic: flight.synthetic, remove: () => void this.fly(flight) }]);
    if (off) return void (await this.slot.show(null));
    if (moved) this.view.fit(flight.bbox);
    await this.slot.show({
      template: (set) => decodeURI(address(`/tiles/${flight.site}/${set}/{z}/{x}/{y}.webp?version=${flight.version}`)),
      extent: flight.bbox,
      maxZoom: MOST_ZOOM,
    });
  }

  // --- cameras ------------------------------------------------------------------------------------------------------

  private cameraList(): Child {
    if (!this.cameras.length) return emptyBox(h("p", {}, t("obsNoCameras")));
    const box = h("input", {
      type: "checkbox",
      id: "obs-sectors",
      checked: this.sectors.visible,
      onchange: () => {
        this.sectors.visible = box.checked;
      },
    });
    return [
      h("label", { class: "check" }, box, h("span", {}, t("obsSectors"))),
      h(
        "ul",
        { class: "water-list" },
        this.cameras.map(({ properties: p }) =>
          h(
            "li",
            {},
            h(
              "button",
              { type: "button", class: "obs-camera", "data-camera": p.camera, "aria-pressed": String(p.camera === this.camera), onclick: () => this.choose(p.camera, true) },
              h("i", { style: { background: COLOURS[p.status ?? ""] ?? COLOURS["offline"]! }, "aria-hidden": "true" }),
              h("span", {}, p.name),
              h("span", { class: "hint" }, `${t(STATUS[p.status ?? ""] ?? "obsOffline")} · ${t("obsShots", { n: p.snapshots })}`),
            ),
            p.camera === this.camera ? this.cameraCard(p) : null,
          ),
        ),
      ),
    ];
  }

  private cameraCard(p: Camera["properties"]): HTMLElement {
    const figure = (value: number | null, unit: string): string => (value === null ? "—" : `${value}${unit}`);
    return h(
      "div",
      { class: "obs-card", id: "obs-camera" },
      h("p", { class: "hint" }, `${p.camera}${p.water ? ` · ${p.water}` : ""} · ${t("obsAzimuth")} ${figure(p.azimuth_deg, "°")} · ${t("obsFov")} ${figure(p.fov_deg, "°")} · ${t("obsHeight")} ${figure(p.height_m, " m")}`),
      p.stream_refused
        ? h("p", { class: "hint" }, pick(p.stream_refused))
        : p.stream
          ? h(
              "p",
              {},
              openable(p.stream)
                ? h("a", { href: p.stream, target: "_blank", rel: "noopener noreferrer", class: "link" }, t("obsOpenLink"))
                : [h("span", {}, `${t("obsPlayerLink")} `), h("code", {}, p.stream)],
            )
          : h("p", { class: "hint" }, t("obsNoLink")),
      this.strip.element,
    );
  }

  private choose(id: string, fly: boolean): void {
    const found = this.cameras.find((c) => c.properties.camera === id);
    if (!found) return;
    const again = fly && this.camera === id;
    this.camera = again ? "" : id;
    this.sectors.choose(this.camera);
    this.render();
    const button = this.element.querySelector<HTMLElement>(`[data-camera="${id}"]`);
    button?.focus({ preventScroll: !fly });
    if (again) return;
    if (!fly) button?.scrollIntoView({ block: "nearest" });
    const [lon, lat] = found.geometry.coordinates;
    const pad = (2 * (found.properties.range_m ?? this.overview?.sectors.radius_m ?? 300)) / 111_000;
    if (fly) this.view.fit([lon - pad, lat - pad, lon + pad, lat + pad]);
    void this.strip.open(found.properties);
  }
}
