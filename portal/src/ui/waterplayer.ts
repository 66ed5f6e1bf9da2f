/** The picture of a day on the map: choice of scene, picture and second day, play and step, the strip of clouds. */
import { address } from "../api/client";
import type { App } from "../app";
import { lang, pick, t } from "../i18n";
import type { MapView } from "../map/mapview";
import { reducedMotion } from "../map/mapview";
import { PictureSlot, type PictureSource } from "../map/pictures";
import { fill, h, icon } from "./dom";
import type { Scene, SceneIndex, ScenesDocument } from "./waterapi";
import { bandOf, CLEAR, dayOf, nearest, type WatchRun } from "./waterdates";

/** Left of the divider; what `app.swipe` names while two days are compared. */
const BEFORE = "water-before";
const DAY = "water-day";
/** Tiles of scenes are drawn to this level; deeper views enlarge them. */
const MOST_ZOOM = 14;
/** The scene is seen through its water map. */
const MAP_OPACITY = 0.6;
/** A picture is seen at least so long, ms. */
const PAUSE = 900;
const CALM_PAUSE = 2000;

export const dayText = (day: string): string => {
  const [year, month, date] = day.split("-").map(Number);
  if (!year || !month || !date) return "—";
  return lang() === "zh" ? `${year}年${month}月${date}日` : day;
};

const cloudText = (scene: Scene): string =>
  scene.cloud_cover === null ? t("waterCloudUnknown") : t("waterCloud", { n: Math.round(scene.cloud_cover) });

export class WaterPlayer {
  readonly element = h("section", { class: "stack water-player", id: "water-player" });
  document: ScenesDocument | null = null;
  run: WatchRun | undefined;
  /** Called when another day is shown. */
  onDay: (scene: Scene) => void = () => {};

  private indices: SceneIndex[] = [];
  private at = 0;
  private picture = "true-color";
  private water = false;
  private before = -1;
  private playing = false;
  private timer = 0;
  private readonly slots: Record<"scene" | "map" | "sceneBefore" | "mapBefore", PictureSlot>;
  private readonly date = h("output", { class: "water-date", id: "water-date", "aria-live": "polite" });
  private readonly slider = h("input", { type: "range", id: "water-slider", min: "0", step: "1" });
  private readonly strip = h("div", { class: "water-strip", "aria-hidden": "true" });
  private readonly play = h("button", { type: "button", class: "button primary", id: "water-play" });
  private readonly trouble = h("p", { class: "hint", role: "status" });

  constructor(
    private readonly app: App,
    view: MapView,
  ) {
    const right = (): "right" | null => (this.comparing ? "right" : null);
    const left = (): "left" => "left";
    this.slots = {
      scene: new PictureSlot(app, view, 0, 1, right),
      map: new PictureSlot(app, view, 1, MAP_OPACITY, right),
      sceneBefore: new PictureSlot(app, view, 2, 1, left),
      mapBefore: new PictureSlot(app, view, 3, MAP_OPACITY, left),
    };
    this.slider.addEventListener("input", () => {
      this.pause();
      void this.go(Number(this.slider.value));
    });
    this.slider.addEventListener("keydown", (event) => {
      if (event.key !== " ") return;
      event.preventDefault();
      this.toggle();
    });
    this.play.addEventListener("click", () => this.toggle());
    // Another layer is swiped, or none: the second day has no side any more.
    app.on("swipe", () => {
      if (this.before >= 0 && !this.comparing) this.compare(-1);
    });
  }

  private get comparing(): boolean {
    return this.before >= 0 && this.app.swipe?.layer === BEFORE;
  }

  get scene(): Scene | undefined {
    return this.document?.scenes[this.at];
  }

  /** Takes a collection; shows the day that a link names, or the newest. */
  async open(document: ScenesDocument, indices: SceneIndex[], run: WatchRun | undefined): Promise<void> {
    this.pause();
    const { dated, swipe } = this.app;
    const link = dated?.collection === document.id ? dated : null;
    const index = (id: string): number => document.scenes.findIndex((s) => s.id === id);
    this.document = document;
    this.indices = indices;
    this.run = run;
    this.at = link ? index(link.scene) : -1;
    // The newest clear day tells more than the newest.
    if (this.at < 0) this.at = document.scenes.findLastIndex((s) => (s.cloud_cover ?? 0) <= CLEAR);
    if (this.at < 0) this.at = document.scenes.length - 1;
    this.before = link?.before ? index(link.before) : -1;
    if (link) [this.picture, this.water] = [link.picture, link.water];
    else this.water = Boolean(run?.extent);
    if (this.before >= 0 && swipe?.layer !== BEFORE) this.app.setSwipe({ layer: BEFORE, at: 0.5 });
    this.slider.max = String(document.scenes.length - 1);
    this.render();
    await this.show();
  }

  /** A run came to its end: its water maps can be drawn. */
  setRun(run: WatchRun | undefined): void {
    if (run?.id === this.run?.id) return;
    this.water ||= !this.run && Boolean(run?.extent);
    this.run = run;
    this.render();
    void this.show();
  }

  async goTime(time: string): Promise<void> {
    this.pause();
    await this.go(nearest(this.document?.scenes ?? [], time));
  }

  /** Two days side by side: −1 ends it. */
  compare(before: number, after = this.at): void {
    this.pause();
    this.before = before;
    const { swipe } = this.app;
    if (before >= 0 && swipe?.layer !== BEFORE) this.app.setSwipe({ layer: BEFORE, at: 0.5 });
    if (before < 0 && swipe?.layer === BEFORE) this.app.setSwipe(null);
    this.at = Math.max(0, after);
    this.render();
    void this.show();
  }

  private async go(index: number): Promise<boolean> {
    const last = (this.document?.scenes.length ?? 0) - 1;
    if (index < 0 || index > last) return false;
    this.at = index;
    return this.show();
  }

  private toggle(): void {
    if (this.playing) return this.pause();
    const last = (this.document?.scenes.length ?? 0) - 1;
    if (last < 1) return;
    this.playing = true;
    this.label();
    // From the end it begins anew.
    if (this.at >= last) void this.go(0).then(() => this.next());
    else this.next();
  }

  private pause(): void {
    window.clearTimeout(this.timer);
    if (!this.playing) return;
    this.playing = false;
    this.label();
  }

  /** The next picture, when it is drawn and the one of now was seen long enough. */
  private next(): void {
    window.clearTimeout(this.timer);
    if (!this.playing) return;
    if (this.at >= (this.document?.scenes.length ?? 0) - 1) return this.pause();
    this.timer = window.setTimeout(
      () => void this.go(this.at + 1).then(() => this.next()),
      reducedMotion() ? CALM_PAUSE : PAUSE,
    );
  }

  private picturesOf(index: number): PictureSource | null {
    const { document, picture } = this;
    const scene = document?.scenes[index];
    if (!document || !scene || picture === "none") return null;
    const path = document.tiles.replace("{scene}", scene.id).replace("{index}", picture);
    return {
      template: (set) => decodeURI(address(path.replace("{tms}", set))),
      extent: document.bbox,
      maxZoom: MOST_ZOOM,
    };
  }

  private mapOf(index: number): PictureSource | null {
    const layer = this.run?.extent;
    const scene = this.document?.scenes[index];
    if (!this.water || !layer || !scene) return null;
    const band = bandOf(dayOf(scene.time));
    if (!layer.bands.some((b) => b.name === band)) return null;
    return {
      template: (set) => (layer.tiles[set] ? `${decodeURI(address(layer.tiles[set]))}&band=${band}` : undefined),
      extent: layer.extent,
      maxZoom: layer.max_zoom,
    };
  }

  private async show(): Promise<boolean> {
    const { document, scene, slots } = this;
    if (!document || !scene) return false;
    this.label();
    this.announce();
    this.onDay(scene);
    const shown = await Promise.all([
      slots.scene.show(this.picturesOf(this.at)),
      slots.map.show(this.mapOf(this.at)),
      slots.sceneBefore.show(this.before < 0 ? null : this.picturesOf(this.before)),
      slots.mapBefore.show(this.before < 0 ? null : this.mapOf(this.before)),
    ]);
    const failures = Object.values(slots).reduce((sum, slot) => sum + slot.failures, 0);
    fill(this.trouble, failures ? t("tilesFailed", { n: failures }) : "");
    const next = this.picturesOf(this.at + 1);
    if (next && shown.every(Boolean)) {
      slots.scene.prepare(next);
      const map = this.mapOf(this.at + 1);
      if (map) slots.map.prepare(map);
    }
    return shown.every(Boolean);
  }

  /** Says to the rest of the portal what is on the map. */
  private announce(): void {
    const { app, document, scene, before } = this;
    if (!document || !scene) return;
    const nothing = this.picture === "none" && !this.water;
    const earlier = document.scenes[before];
    const title = (of: Scene): { zh: string; en: string } => ({
      zh: `${dayOf(of.time)} ${document.title.zh}`,
      en: `${dayOf(of.time)} ${document.title.en}`,
    });
    const { synthetic } = document;
    const others = app.pictures.filter((p) => p.id !== BEFORE && p.id !== DAY);
    app.setPictures(
      { collection: document.id, scene: scene.id, picture: this.picture, water: this.water, before: earlier?.id ?? "" },
      nothing
        ? others
        : [
            ...others,
            ...(earlier ? [{ id: BEFORE, title: title(earlier), synthetic, remove: () => this.compare(-1) }] : []),
            { id: DAY, title: title(scene), synthetic, remove: () => this.hide() },
          ],
    );
  }

  private hide(): void {
    this.picture = "none";
    this.water = false;
    this.compare(-1);
  }

  /** What changes with the day, without taking a control out of the user's hand. */
  private label(): void {
    const { scene, slider, play, playing } = this;
    if (!scene) return;
    const text = `${dayText(dayOf(scene.time))} · ${cloudText(scene)}`;
    if (this.date.textContent !== text) this.date.textContent = text;
    this.date.setAttribute("aria-live", playing ? "off" : "polite");
    slider.value = String(this.at);
    slider.setAttribute("aria-label", t("waterDate"));
    slider.setAttribute("aria-valuetext", text);
    fill(play, playing ? "❚❚ " : "▶ ", t(playing ? "waterPause" : "waterPlay"));
    play.setAttribute("aria-pressed", String(playing));
    [...this.strip.children].forEach((bar, index) => bar.classList.toggle("now", index === this.at));
    for (const [id, step] of [["water-previous", -1], ["water-next", 1]] as const) {
      const button = this.element.querySelector<HTMLButtonElement>(`#${id}`);
      const to = this.at + step;
      button?.setAttribute("aria-disabled", String(to < 0 || to >= (this.document?.scenes.length ?? 0)));
    }
  }

  render(): void {
    const { document, indices, scene } = this;
    if (!document || !scene) return;
    const focus = window.document.activeElement?.id;
    const possible = indices.filter((index) => index.bands.every((band) => scene.bands.includes(band)));
    const picture = h(
      "select",
      {
        id: "water-picture",
        onchange: () => {
          this.picture = picture.value;
          this.render();
          void this.show();
        },
      },
      possible.map((index) => h("option", { value: index.id, selected: index.id === this.picture }, pick(index.title))),
      h("option", { value: "none", selected: this.picture === "none" }, t("waterNoPicture")),
    );
    const water = h("input", {
      type: "checkbox",
      id: "water-map",
      checked: this.water,
      disabled: !this.run?.extent,
      onchange: () => {
        this.water = water.checked;
        void this.show();
      },
    });
    const step = (id: string, by: number, key: "waterPrevious" | "waterNext", name: string): HTMLElement =>
      h(
        "button",
        {
          type: "button",
          id,
          class: "icon-button",
          "aria-label": t(key),
          title: t(key),
          onclick: () => {
            this.pause();
            void this.go(this.at + by);
          },
        },
        icon(name),
      );
    fill(this.strip, document.scenes.map((s) => h("i", { style: { opacity: String(0.12 + 0.88 * ((s.cloud_cover ?? 0) / 100)) } })));
    fill(
      this.element,
      h("label", { class: "field" }, h("span", {}, t("waterPicture")), picture),
      h("label", { class: "check" }, water, h("span", {}, t("waterMap"))),
      h(
        "div",
        { class: "water-controls" },
        step("water-previous", -1, "waterPrevious", "back"),
        this.play,
        step("water-next", 1, "waterNext", "forward"),
        this.date,
      ),
      h("div", {}, this.slider, this.strip, h("div", { class: "water-ends", "aria-hidden": "true" }, h("span", {}, document.first), h("span", {}, t("waterStrip")), h("span", {}, document.last))),
      this.second(document),
      this.legend(indices),
      this.trouble,
    );
    this.label();
    if (focus) this.element.querySelector<HTMLElement>(`#${CSS.escape(focus)}`)?.focus();
  }

  /** Two days by swipe. */
  private second(document: ScenesDocument): HTMLElement {
    const days = (id: string, chosen: number, change: (index: number) => void): HTMLSelectElement => {
      const select = h(
        "select",
        { id, onchange: () => change(Number(select.value)) },
        document.scenes.map((s, index) => h("option", { value: String(index), selected: index === chosen }, `${dayOf(s.time)} ☁${s.cloud_cover === null ? "?" : Math.round(s.cloud_cover)}%`)),
      );
      return select;
    };
    const on = h("input", {
      type: "checkbox",
      id: "water-compare",
      checked: this.before >= 0,
      onchange: () => this.compare(on.checked ? this.sameSeason() : -1),
    });
    return h(
      "div",
      { class: "stack" },
      h("label", { class: "check" }, on, h("span", {}, t("waterCompare"))),
      this.before < 0
        ? null
        : h(
            "div",
            { class: "water-pair" },
            h("label", { class: "field" }, h("span", {}, t("waterLeft")), days("water-before", this.before, (index) => this.compare(index))),
            h("label", { class: "field" }, h("span", {}, t("waterRight")), days("water-after", this.at, (index) => this.compare(this.before, index))),
          ),
    );
  }

  /** The clear scene of the first year that is nearest in the year to the day shown. */
  private sameSeason(): number {
    const scenes = this.document?.scenes ?? [];
    const now = this.scene;
    if (!now) return 0;
    const year = (text: string): string => text.slice(0, 4);
    const early = scenes.filter((s) => year(s.time) === year(scenes[0]?.time ?? "") && (s.cloud_cover ?? 0) <= CLEAR);
    const best = early[nearest(early, year(scenes[0]?.time ?? "") + now.time.slice(4))];
    return best ? scenes.indexOf(best) : 0;
  }

  private legend(indices: SceneIndex[]): HTMLElement | null {
    const index = indices.find((i) => i.id === this.picture);
    if (!index?.stops.length) return null;
    const low = index.stops[0]!.value;
    const high = index.stops[index.stops.length - 1]!.value;
    const stops = index.stops.map((s) => `${s.color} ${((100 * (s.value - low)) / (high - low)).toFixed(1)}%`);
    return h(
      "div",
      { class: "water-legend", role: "img", "aria-label": `${pick(index.title)} ${low} – ${high}` },
      h("span", {}, String(low)),
      h("i", { style: { background: `linear-gradient(90deg, ${stops.join(", ")})` } }),
      h("span", {}, String(high)),
    );
  }
}
