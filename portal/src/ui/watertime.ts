/** A collection of scenes through time: player, area of a water body, events. */
import type { App } from "../app";
import { lang, pick, t } from "../i18n";
import type { MapView } from "../map/mapview";
import { fill, h, type Child } from "./dom";
import { emptyBox, errorBox, loadingBox } from "./notice";
import { csvButton } from "./table";
import type { WaterPage } from "./water";
import { LakeCardBox } from "./watercard";
import { getCollections, getIndices, getItems, getScenes, type SceneCollection, type SceneIndex } from "./waterapi";
import { drawLines, type DrawnChart } from "./waterchart";
import { bodiesOf, boxOf, eventsOf, nearest, runOf, type AreaPoint, type Body, type WaterEvent, type WatchRun } from "./waterdates";
import { EventList, eventColor, eventName } from "./waterevents";
import { WaterPlayer } from "./waterplayer";
import { RunBox } from "./waterrun";

const BLUE = "#08519c";
const BROWN = "#9a5b13";

const number = (value: number | null, digits = 2): string =>
  value === null ? "—" : value.toLocaleString(lang() === "zh" ? "zh-CN" : "en-GB", { minimumFractionDigits: digits, maximumFractionDigits: digits });

export class TimePage implements WaterPage {
  readonly element = h("div", { class: "stack" });
  private collections: SceneCollection[] | null = null;
  private indices: SceneIndex[] = [];
  private chosen = "";
  private run: WatchRun | undefined;
  private bodies: Body[] = [];
  private body = "";
  private events: WaterEvent[] = [];
  private chart: DrawnChart | null = null;
  private failure: unknown = null;
  private readonly head = h("div", { class: "stack" });
  private readonly series = h("div", { class: "stack", id: "water-series" });
  private readonly player: WaterPlayer;
  private readonly card: LakeCardBox;
  private readonly list: EventList;
  private readonly box: RunBox;

  constructor(
    private readonly app: App,
    private readonly view: MapView,
    toDesk: (id: number) => void,
  ) {
    this.player = new WaterPlayer(app, view);
    this.player.onDay = (scene) => this.chart?.cursor(scene.time);
    this.card = new LakeCardBox((layer) => app.add(layer.id));
    this.list = new EventList({
      locate: (event) => this.locate(event),
      compare: (before, after) => this.player.compare(before, after),
      scenes: () => this.player.document?.scenes ?? [],
      toDesk,
    });
    this.box = new RunBox(
      "water-watch",
      async () => {
        await app.loadCatalogue();
      },
      () => this.renderSeries(),
    );
  }

  async open(): Promise<void> {
    if (this.collections) {
      // A chart that was due while the page was out of sight was not drawn.
      if (!this.chart && this.bodies.length) this.renderSeries();
      return;
    }
    fill(this.element, loadingBox(t("loading")));
    try {
      [this.collections, this.indices] = await Promise.all([getCollections(), getIndices()]);
    } catch (error) {
      fill(this.element, errorBox(error, () => void this.open()));
      return;
    }
    if (!this.collections.length) {
      this.collections = null;
      fill(this.element, emptyBox(h("p", {}, t("waterNoScenes")), h("button", { type: "button", class: "button small", onclick: () => void this.open() }, t("retry"))));
      return;
    }
    const { dated } = this.app;
    const known = (id: string | undefined): boolean => this.collections!.some((c) => c.id === id);
    this.chosen = known(dated?.collection) ? dated!.collection : known("honghu-scenes") ? "honghu-scenes" : this.collections[0]!.id;
    fill(this.element, this.head, this.player.element, this.series, this.card.element, this.list.element);
    await this.choose(dated?.collection !== this.chosen);
  }

  refresh(): void {
    if (!this.collections?.length) return;
    this.renderHead();
    this.player.render();
    void this.readRun();
  }

  private async choose(zoom: boolean): Promise<void> {
    const id = this.chosen;
    const collection = this.collections?.find((c) => c.id === id);
    if (!collection) return;
    this.renderHead();
    try {
      const document = await getScenes(id);
      if (id !== this.chosen) return;
      if (zoom) this.view.fit(collection.bbox);
      this.run = runOf(this.app.catalogue?.layers ?? [], id);
      this.bodies = [];
      this.events = [];
      void this.player.open(document, this.indices, this.run);
      await this.readRun(true);
    } catch (error) {
      fill(this.series, errorBox(error, () => void this.choose(false)));
    }
  }

  /** Series and events of the newest run over the collection. */
  private async readRun(again = false): Promise<void> {
    const id = this.chosen;
    const run = runOf(this.app.catalogue?.layers ?? [], id);
    if (!again && run?.id === this.run?.id) {
      this.renderSeries();
      void this.list.refresh();
      return;
    }
    this.run = run;
    this.player.setRun(run);
    this.failure = null;
    fill(this.series, loadingBox(t("loading")));
    try {
      const [series, events, cards] = await Promise.all([run?.series, run?.events, run?.cards].map((layer) => (layer ? getItems(layer) : [])));
      if (id !== this.chosen) return;
      this.bodies = bodiesOf(series!);
      this.events = eventsOf(events!);
      this.card.take(run, cards!);
      if (!this.bodies.some((b) => b.id === this.body)) this.body = this.bodies[0]?.id ?? "";
    } catch (error) {
      this.failure = error;
    }
    this.renderSeries();
    this.list.show(run, this.events, this.bodies);
  }

  private renderHead(): void {
    const collection = this.collections?.find((c) => c.id === this.chosen);
    const select = h(
      "select",
      {
        id: "water-collection",
        onchange: () => {
          this.chosen = select.value;
          void this.choose(true);
        },
      },
      this.collections?.map((c) => h("option", { value: c.id, selected: c.id === this.chosen }, pick(c.title))),
    );
    fill(
      this.head,
      h("label", { class: "field" }, h("span", {}, t("waterCollection")), select),
      collection?.synthetic ? h("p", {}, h("span", { class: "tag synthetic wide" }, t("syntheticLong"))) : null,
      collection ? h("p", { class: "hint" }, t("waterCount", { n: collection.count, first: collection.first, last: collection.last }), ` · ${pick(collection.attribution)} · ${collection.licence}`) : null,
    );
  }

  private renderSeries(): void {
    this.chart?.dispose();
    this.chart = null;
    const { run, bodies } = this;
    const title = h("h3", {}, t("waterArea"));
    this.card.show(this.failure || !run?.series ? undefined : (bodies.find((b) => b.id === this.body) ?? bodies[0]), this.chosen);
    if (this.failure) return fill(this.series, title, errorBox(this.failure, () => void this.readRun(true)));
    if (!run?.series || !bodies.length)
      return fill(
        this.series,
        title,
        h("p", { class: "hint" }, t(run && !this.box.running ? "waterNoSeries" : "waterNoRun")),
        this.box.running
          ? null
          : [
              h("button", { type: "button", class: "button primary", id: "water-run", onclick: () => void this.box.start({ collection: this.chosen }) }, t("waterRun")),
              h("button", { type: "button", class: "button", id: "water-refresh", onclick: () => void this.app.loadCatalogue() }, t("waterRefresh")),
            ],
        this.box.element,
      );
    const body = bodies.find((b) => b.id === this.body) ?? bodies[0]!;
    const select = h(
      "select",
      {
        id: "water-body",
        onchange: () => {
          this.body = select.value;
          this.renderSeries();
          document.getElementById("water-body")?.focus();
        },
      },
      bodies.map((b) => h("option", { value: b.id, selected: b.id === body.id }, `${this.bodyName(b)} (${t("waterLargest", { n: number(b.largest, b.largest < 1 ? 2 : 1) })})`)),
    );
    const host = h("div", { class: "water-chart", id: "water-chart" });
    fill(
      this.series,
      title,
      h("label", { class: "field" }, h("span", {}, t("waterBody")), select),
      host,
      h("p", { class: "hint" }, t("waterChartHint")),
      this.table(body),
      h(
        "details",
        {},
        h("summary", {}, t("waterAgain")),
        h("p", { class: "hint" }, t("waterResultOf", { id: run.id, day: run.published.slice(0, 10) })),
        h("button", { type: "button", class: "button small", disabled: this.box.running, onclick: () => void this.box.start({ collection: this.chosen }) }, t("waterRun")),
        this.box.element,
      ),
    );
    void this.draw(host, body);
  }

  private bodyName(body: Body): string {
    const kind = this.run?.series?.fields.find((f) => f.name === "kind")?.domain?.[body.kind];
    return body.name || `${kind ? pick(kind) : body.kind} ${body.id}`;
  }

  private async draw(host: HTMLElement, body: Body): Promise<void> {
    const { points } = body;
    const level = points.some((p) => p.level !== null);
    const observed = points.filter((p) => p.flag === "observed").length;
    const chart = await drawLines(host, {
      series: [
        {
          name: t("waterArea"),
          unit: "km²",
          color: BLUE,
          points: points.map((p) => ({ time: p.time, value: p.area, low: p.low, high: p.high, hollow: p.flag !== "observed" })),
        },
        ...(level ? [{ name: t("waterLevel"), unit: "m", color: BROWN, second: true, points: points.map((p) => ({ time: p.time, value: p.level })) }] : []),
      ],
      intervalName: t("waterInterval"),
      marks: this.events
        .filter((e) => e.body === body.id && e.first)
        .map((e) => ({ time: e.first, name: eventName(e), color: eventColor(e) })),
      description: t("waterChartText", { body: this.bodyName(body), n: points.length, observed }),
      onPick: (time) => void this.player.goTime(time),
    });
    if (!host.isConnected) return chart.dispose();
    this.chart = chart;
    const now = this.player.scene;
    if (now) chart.cursor(now.time);
  }

  /** Every point of the chart in a table; a day leads to the map. */
  private table(body: Body): HTMLElement {
    const flag = (point: AreaPoint): string => {
      const title = this.run?.series?.fields.find((f) => f.name === "flag")?.domain?.[point.flag];
      return title ? pick(title) : point.flag;
    };
    const row = (p: AreaPoint): Child =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, h("button", { type: "button", class: "link", onclick: () => void this.player.goTime(p.time) }, p.day)),
        h("td", {}, number(p.area)),
        h("td", {}, p.low === null || p.high === null ? "—" : `${number(p.low)}–${number(p.high)}`),
        h("td", {}, number(p.level)),
        h("td", {}, p.seen === null ? "—" : `${Math.round(100 * p.seen)}%`),
        h("td", {}, flag(p)),
      );
    return h(
      "details",
      { id: "water-table" },
      h("summary", {}, t("waterTable", { n: body.points.length })),
      h(
        "div",
        { class: "scroll", tabindex: "0" },
        h(
          "table",
          { class: "grid numbers" },
          h("caption", {}, this.bodyName(body)),
          h("thead", {}, h("tr", {}, [t("waterDate"), `${t("waterArea")} km²`, t("waterInterval"), `${t("waterLevel")} m`, t("waterSeen"), t("waterFlag")].map((c) => h("th", { scope: "col" }, c)))),
          h("tbody", {}, body.points.map(row)),
        ),
      ),
      csvButton(`water-area-${body.id}.csv`, () => body.points.map((p) => ({ body: body.id, name: body.name, ...p }))),
    );
  }

  private locate(event: WaterEvent): void {
    const box = boxOf(event.geometry);
    if (!box) return;
    const [west, south, east, north] = box;
    const pad = Math.max(east - west, north - south, 0.008) * 1.2;
    this.view.fit([west - pad, south - pad, east + pad, north + pad]);
    this.view.mark(box);
    if (this.run?.events) this.app.add(this.run.events.id);
    if (event.first && nearest(this.player.document?.scenes ?? [], event.first) >= 0 && this.app.dated?.before === "") void this.player.goTime(event.confirmed || event.first);
  }
}

