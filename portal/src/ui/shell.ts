/** The page: header with the tool groups, tool panel, map with its bars, active layers. */
import type { App } from "../app";
import type { LayerInfo } from "../api/types";
import { TILE_SETS, type TileSet } from "../geo/crs";
import { gaussKrugerText, lonLatText } from "../geo/format";
import { lang, pick, t, type Key } from "../i18n";
import { baseParts } from "../map/basemap";
import { MapView, type Place } from "../map/mapview";
import { BASES, encode, TOOLS, type Base, type ShareState, type Tool } from "../share";
import { AnalysisPanel } from "./analysis";
import { CartoPanel } from "./carto";
import { SwipePanel } from "./compare";
import { fill, h, icon, iconButton } from "./dom";
import { errorBox, loadingBox } from "./notice";
import { QueryPanel } from "./query";
import type { RiverChiefPanel } from "./riverchief";
import { SharePanel } from "./sharepanel";
import { LayerTree } from "./tree";
import type { WaterPanel } from "./water";
import { WhatIfPanel } from "./whatif";
import { Workbench } from "./workbench";

const TOOL_NAMES: Record<Tool, [Key, string]> = {
  browse: ["toolBrowse", "layers"],
  query: ["toolQuery", "search"],
  compare: ["toolCompare", "compare"],
  water: ["water", "waves"],
  chief: ["riverChief", "river"],
  carto: ["toolCarto", "print"],
  share: ["toolShare", "link"],
};

const BASE_NAMES: Record<Base, Key> = { relief: "baseRelief", plain: "basePlain", none: "baseNone" };

export class Shell {
  readonly view: MapView;
  private readonly header = h("header", { class: "header" });
  private readonly panel = h("aside", { class: "panel", id: "panel" });
  private readonly side = h("aside", { class: "side", id: "side" });
  private readonly mapHost = h("div", { class: "map", id: "map", tabindex: "0" });
  private readonly controls = h("div", { class: "map-controls" });
  private readonly status = h("footer", { class: "status" });
  private readonly coordinates = h("span", { class: "coordinates", id: "pointer" });
  private readonly scale = h("span", { class: "scale", id: "scale" });
  private readonly progress = h("div", { class: "map-progress", hidden: true, "aria-hidden": "true" });
  private readonly query: QueryPanel;
  private readonly analysis: AnalysisPanel;
  private readonly swipe: SwipePanel;
  private readonly whatIf: WhatIfPanel;
  private riverChief: RiverChiefPanel | null = null;
  private readonly riverChiefHost = h("div", { class: "stack" });
  private water: WaterPanel | null = null;
  private readonly waterHost = h("div", { class: "stack" });
  private tree!: LayerTree;
  private workbench!: Workbench;
  private carto!: CartoPanel;
  private share!: SharePanel;
  private panelOpen = true;
  private sideOpen: boolean;

  constructor(
    private readonly app: App,
    root: HTMLElement,
    place: Partial<Place>,
  ) {
    const narrow = window.matchMedia("(max-width: 760px)").matches;
    this.panelOpen = !narrow;
    this.sideOpen = !narrow;
    const stage = h("main", { class: "stage", id: "stage" }, this.mapHost, this.controls, this.progress);
    fill(root, this.header, h("div", { class: "body" }, this.panel, stage, this.side), this.status);
    this.view = new MapView(app, this.mapHost, place);
    this.query = new QueryPanel(app, this.view);
    this.analysis = new AnalysisPanel(app, this.view);
    this.swipe = new SwipePanel(app, stage);
    this.whatIf = new WhatIfPanel(app);
    this.listen();
    this.renderAll();
  }

  private listen(): void {
    const { app, view } = this;
    view.onMove = () => this.moved();
    view.onPointer = (at) => this.pointer(at);
    view.onClick = (at) => this.identify(at);
    view.onLoading = (busy) => {
      this.progress.hidden = !busy;
      this.mapHost.setAttribute("aria-busy", String(busy));
    };
    this.mapHost.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.target !== this.mapHost) return;
      const { lon, lat } = view.place;
      this.identify([lon, lat]);
    });
    app.on("lang", () => this.renderAll());
    this.mapHost.setAttribute("aria-busy", "false");
    app.on("catalogue", () => {
      if (app.catalogue) this.mapHost.dataset["revision"] = String(app.catalogue.revision);
      this.tree.render();
      this.workbench.render();
      this.renderStatus();
      // The panel that the link opens, or whose picture it shows, could not be filled before.
      if (app.catalogue && !this.water && (app.dated || (app.tool === "water" && this.panelOpen))) void this.openWater();
    });
    app.on("pictures", () => {
      this.workbench.render();
      this.countLayers();
      this.moved();
    });
    app.on("layers", () => {
      this.tree.render();
      this.workbench.render();
      this.swipe.render();
      this.whatIf.layersChanged();
      this.carto.render();
      this.share.render();
      this.countLayers();
      this.moved();
    });
    app.on("tileErrors", () => this.workbench.render());
    app.on("tool", () => {
      this.panelOpen = true;
      this.renderHeader();
      this.renderPanel();
      this.moved();
    });
    app.on(["base", "tileSet"], () => {
      this.renderControls();
      this.renderStatus();
      this.moved();
    });
    app.on("swipe", () => this.moved());
    app.on("scenario", () => {
      this.workbench.render();
      this.moved();
    });
  }

  private renderAll(): void {
    const { app } = this;
    const zoomTo = (layer: LayerInfo): void => this.view.fit(layer.extent);
    document.title = `${t("appTitle")}${lang() === "zh" ? " OneMap Hubei" : " 湖北一张图"}`;
    this.tree = new LayerTree(app, zoomTo);
    this.workbench = new Workbench(app, zoomTo);
    this.workbench.onOpacity = (id) => {
      this.view.refreshOpacity(id);
      this.moved();
    };
    this.workbench.onWhatIf = (id) => {
      this.whatIf.choose(id);
      app.setTool("compare");
      this.whatIf.element.scrollIntoView({ block: "start" });
    };
    this.carto = new CartoPanel(app, this.view);
    this.share = new SharePanel(app, () => this.link());
    this.query.render();
    this.analysis.render();
    this.swipe.render();
    this.whatIf.render();
    this.mapHost.setAttribute("aria-label", t("mapHelp"));
    this.mapHost.setAttribute("role", "application");
    this.renderHeader();
    this.renderPanel();
    this.renderSide();
    this.renderControls();
    this.renderStatus();
    this.moved();
  }

  private renderHeader(): void {
    const { app } = this;
    fill(
      this.header,
      h("a", { class: "skip", href: "#map", onclick: (event: Event) => {
        event.preventDefault();
        this.mapHost.focus();
      } }, t("skipToMap")),
      h(
        "div",
        { class: "brand" },
        h("img", { src: "./favicon.svg", alt: "", width: 30, height: 30 }),
        h("div", {}, h("h1", {}, t("appTitle")), h("p", {}, t("appSubtitle"))),
      ),
      h(
        "nav",
        { class: "tools", "aria-label": t("tools") },
        TOOLS.map((tool) => {
          const [key, picture] = TOOL_NAMES[tool];
          const current = tool === app.tool && this.panelOpen;
          return h(
            "button",
            {
              type: "button",
              id: `tool-${tool}`,
              "aria-pressed": String(current),
              onclick: () => {
                if (current) this.setPanel(false);
                else app.setTool(tool);
                document.getElementById(`tool-${tool}`)?.focus();
              },
            },
            icon(picture),
            h("span", {}, t(key)),
          );
        }),
      ),
      h(
        "button",
        {
          type: "button",
          class: "language",
          id: "language",
          "aria-label": t("languageLabel"),
          lang: lang() === "zh" ? "en" : "zh-CN",
          onclick: () => {
            app.setLanguage(lang() === "zh" ? "en" : "zh");
            document.getElementById("language")?.focus();
          },
        },
        t("language"),
      ),
    );
  }

  private setPanel(open: boolean): void {
    this.panelOpen = open;
    this.renderHeader();
    this.renderPanel();
  }

  private renderPanel(): void {
    const { tool } = this.app;
    this.panel.hidden = !this.panelOpen;
    this.panel.setAttribute("aria-label", t(TOOL_NAMES[tool][0]));
    const body: Record<Tool, HTMLElement[]> = {
      browse: [this.tree.element],
      query: [this.query.element],
      compare: [this.analysis.element, this.whatIf.element, this.swipe.element],
      water: [this.waterHost],
      chief: [this.riverChiefHost],
      carto: [this.carto.element],
      share: [this.share.element],
    };
    fill(
      this.panel,
      h(
        "div",
        { class: "panel-head" },
        h("h2", {}, t(TOOL_NAMES[tool][0])),
        iconButton("close", t("closePanel"), () => {
          this.setPanel(false);
          document.getElementById(`tool-${tool}`)?.focus();
        }),
      ),
      h("div", { class: "panel-body" }, ...body[tool]),
    );
    if (tool === "compare" && this.panelOpen) void this.analysis.open();
    if (tool === "water" && this.panelOpen) void this.openWater();
    if (tool === "chief" && this.panelOpen) void this.openRiverChief();
    if (tool === "share") this.share.refresh();
  }

  /** Fetches a panel when it is first opened: until then its place says so, and after a failure what to do. */
  private async fetched<M>(host: HTMLElement, module: Promise<M>, again: () => void): Promise<M | null> {
    if (!host.firstChild) fill(host, loadingBox(t("loading")));
    try {
      return await module;
    } catch (error) {
      fill(host, errorBox(error, again));
      return null;
    }
  }

  private async openWater(): Promise<void> {
    if (!this.app.catalogue) return;
    if (!this.water) {
      const loaded = await this.fetched(this.waterHost, import("./water"), () => void this.openWater());
      if (!loaded) return;
      const { WaterPanel } = loaded;
      this.water ??= new WaterPanel(this.app, this.view, (id) => void this.showCase(id));
      fill(this.waterHost, this.water.element);
    }
    await this.water.open();
  }

  private async showCase(id: number): Promise<void> {
    this.app.setTool("chief");
    await this.openRiverChief();
    this.riverChief?.openCase(id);
  }

  /** The desk is fetched when it is first opened. */
  private async openRiverChief(): Promise<void> {
    if (!this.riverChief) {
      const loaded = await this.fetched(this.riverChiefHost, import("./riverchief"), () => void this.openRiverChief());
      if (!loaded) return;
      const { RiverChiefPanel } = loaded;
      this.riverChief ??= new RiverChiefPanel(this.app, this.view);
      fill(this.riverChiefHost, this.riverChief.element);
    }
    await this.riverChief.open();
  }

  private renderSide(): void {
    this.side.setAttribute("aria-label", t("activeLayers"));
    this.side.classList.toggle("folded", !this.sideOpen);
    const toggle = h(
      "button",
      {
        type: "button",
        class: "side-head",
        id: "side-toggle",
        "aria-expanded": String(this.sideOpen),
        "aria-controls": "workbench",
        onclick: () => {
          this.sideOpen = !this.sideOpen;
          this.renderSide();
          document.getElementById("side-toggle")?.focus();
        },
      },
      icon("layers"),
      h("span", {}, t("activeLayers")),
      h("span", { class: "badge" }, this.app.layers.length + this.app.pictures.length),
    );
    fill(this.side, toggle, this.sideOpen ? this.workbench.element : null);
  }

  private countLayers(): void {
    const badge = this.side.querySelector(".side-head .badge");
    if (badge) badge.textContent = String(this.app.layers.length + this.app.pictures.length);
  }

  private renderControls(): void {
    const { app, view } = this;
    const sets: [TileSet, Key][] = [
      ["CGCS2000Quad", "projC"],
      ["WebMercatorQuad", "projW"],
    ];
    fill(
      this.controls,
      h(
        "div",
        { class: "buttons" },
        iconButton("plus", t("zoomIn"), () => view.zoomBy(1), { id: "zoom-in" }),
        iconButton("minus", t("zoomOut"), () => view.zoomBy(-1), { id: "zoom-out" }),
        iconButton("home", t("home"), () => view.fit(app.home), { id: "home" }),
      ),
      h(
        "div",
        { class: "segmented", role: "group", "aria-label": t("projection") },
        sets.map(([set, key]) =>
          h(
            "button",
            {
              type: "button",
              id: `set-${set}`,
              title: TILE_SETS[set].label,
              "aria-pressed": String(app.tileSet === set),
              onclick: () => {
                app.setTileSet(set);
                document.getElementById(`set-${set}`)?.focus();
              },
            },
            t(key),
          ),
        ),
      ),
      h(
        "div",
        { class: "segmented", role: "group", "aria-label": t("base") },
        BASES.map((base) =>
          h(
            "button",
            {
              type: "button",
              id: `base-${base}`,
              "aria-pressed": String(app.base === base),
              onclick: () => {
                app.setBase(base);
                document.getElementById(`base-${base}`)?.focus();
              },
            },
            t(BASE_NAMES[base]),
          ),
        ),
      ),
    );
  }

  private renderStatus(): void {
    const { app } = this;
    const parts = app.catalogue ? baseParts(app.catalogue, app.base) : [];
    const credits = [...new Set(parts.map((part) => pick(part.info.attribution)))].join("; ");
    const base = credits
      ? t("credits", { text: credits })
      : app.catalogue && app.base !== "none"
        ? t("baseMissing")
        : "";
    fill(
      this.status,
      this.scale,
      this.coordinates,
      h("span", { class: "crs" }, TILE_SETS[app.tileSet].label),
      // The disclaimer first: what does not fit is cut at the end, and a pointer shows it whole.
      h("span", { class: "credits", title: base }, [t("disclaimer"), base].filter(Boolean).join(" · ")),
    );
    this.pointer(null);
    this.showScale();
  }

  private pointer(at: [number, number] | null): void {
    if (!at) {
      this.coordinates.textContent = t("pointerNone");
      return;
    }
    const [lon, lat] = at;
    const gk = gaussKrugerText(lon, lat);
    const metres = gk ? `   GK${gk.zone.number} (EPSG:${gk.zone.withNumber})  E ${gk.x}  N ${gk.y}` : "";
    this.coordinates.textContent = `${lonLatText(lon, lat, 5)}${metres}`;
  }

  private showScale(): void {
    const bar = this.view.scaleBar(110);
    this.scale.title = t("scaleHint");
    fill(this.scale, h("i", { style: { width: `${bar.pixels.toFixed(0)}px` } }), bar.text);
  }

  private identify(at: [number, number]): void {
    if (this.app.tool !== "query" || !this.panelOpen) this.app.setTool("query");
    void this.query.at(at);
  }

  /** State of the portal, as a link holds it. */
  state(): ShareState {
    const { app } = this;
    return { ...this.view.place, tileSet: app.tileSet, base: app.base, layers: app.layers, lang: lang(), tool: app.tool, swipe: app.swipe, ...(app.scenario ? { scenario: app.scenario } : {}), ...(app.dated ? { dated: app.dated } : {}) };
  }

  private link(): string {
    return new URL(encode(this.state()), document.baseURI).href;
  }

  private moved(): void {
    const hash = encode(this.state());
    // Before the catalogue is there the layers of a link cannot be told; the link stays as it came.
    if (this.app.catalogue && location.hash !== hash) history.replaceState(null, "", hash);
    this.share?.refresh();
    this.showScale();
  }
}
