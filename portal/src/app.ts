/** What the portal holds in memory: catalogue, active layers, view settings; panels listen to topics. */
import { getCatalogue, Problem } from "./api/client";
import type { Catalogue, LayerInfo, Text } from "./api/types";
import type { TileSet } from "./geo/crs";
import { setLang } from "./i18n";
import type { ActiveLayer, Base, Dated, Scenario, ShareState, Swipe, Tool } from "./share";

export type Topic = "catalogue" | "layers" | "base" | "tileSet" | "tool" | "lang" | "swipe" | "scenario" | "tileErrors" | "pictures";

/** A dated picture on the map that is no layer of the catalogue: a scene of a day. */
export interface Picture {
  id: string;
  title: Text;
  synthetic: boolean;
  /** Takes it off the map. */
  remove: () => void;
}

/** Window of the data, until the catalogue says its own. */
export const HUBEI: [number, number, number, number] = [108.36, 29.02, 116.14, 33.28];

export class App {
  catalogue: Catalogue | null = null;
  /** Why there is no catalogue, if there is none. */
  problem: Problem | null = null;
  loading = false;
  /** Top first. */
  layers: ActiveLayer[] = [];
  /** Layers that a link names and the catalogue does not have. */
  missing: string[] = [];
  base: Base = "relief";
  tileSet: TileSet = "CGCS2000Quad";
  tool: Tool = "browse";
  swipe: Swipe | null = null;
  /** What-if scenario that is drawn instead of a result layer. */
  scenario: Scenario | null = null;
  /** Dated pictures on the map, top first. */
  pictures: Picture[] = [];
  /** Which days they show. */
  dated: Dated | null = null;
  /** Layer id → tiles that failed since it was switched on. */
  readonly tileErrors = new Map<string, number>();

  private readonly listeners = new Map<Topic, Set<() => void>>();

  on(topics: Topic | Topic[], listener: () => void): void {
    for (const topic of Array.isArray(topics) ? topics : [topics]) {
      const set = this.listeners.get(topic) ?? new Set();
      set.add(listener);
      this.listeners.set(topic, set);
    }
  }

  emit(topic: Topic): void {
    for (const listener of this.listeners.get(topic) ?? []) listener();
  }

  info(id: string): LayerInfo | undefined {
    return this.catalogue?.layers.find((layer) => layer.id === id);
  }

  isActive(id: string): boolean {
    return this.layers.some((layer) => layer.id === id);
  }

  /** Visible active layers, top first. */
  visible(): LayerInfo[] {
    return this.layers.filter((l) => l.visible).flatMap((l) => this.info(l.id) ?? []);
  }

  /** Extent of everything published. */
  get window(): [number, number, number, number] {
    return this.catalogue?.extent ?? HUBEI;
  }

  /** Extent of the province: the first view, and the most that an analysis covers. */
  get home(): [number, number, number, number] {
    const province = this.catalogue?.layers.find((l) => l.theme.includes("administrative") && /provinc/.test(l.id));
    return province?.extent ?? this.catalogue?.extent ?? HUBEI;
  }

  async loadCatalogue(): Promise<void> {
    this.loading = true;
    this.problem = null;
    this.emit("catalogue");
    try {
      this.catalogue = await getCatalogue();
      this.missing = this.layers.filter((l) => !this.info(l.id)).map((l) => l.id);
      this.layers = this.layers.filter((l) => this.info(l.id));
    } catch (error) {
      this.problem = error instanceof Problem ? error : new Problem(0, String(error), String(error));
    } finally {
      this.loading = false;
    }
    this.emit("catalogue");
    this.emit("layers");
  }

  add(id: string): void {
    if (this.isActive(id) || !this.info(id)) return;
    this.tileErrors.delete(id);
    this.layers = [{ id, opacity: 1, visible: true }, ...this.layers];
    this.emit("layers");
  }

  /** Shows one layer of a group, on top of it, and switches the others of the group off; all of them are listed. */
  showOne(id: string, group: readonly string[]): void {
    const known = group.filter((g) => this.info(g));
    const fresh = known.filter((g) => !this.isActive(g)).map((g) => ({ id: g, opacity: 1, visible: false }));
    for (const layer of fresh) this.tileErrors.delete(layer.id);
    this.layers = [...fresh, ...this.layers].map((l) => (known.includes(l.id) ? { ...l, visible: l.id === id } : l));
    this.emit("layers");
  }

  remove(id: string): void {
    this.layers = this.layers.filter((layer) => layer.id !== id);
    this.tileErrors.delete(id);
    if (this.swipe?.layer === id) this.setSwipe(null);
    if (this.scenario?.layer === id) this.setScenario(null);
    this.emit("layers");
  }

  toggle(id: string): void {
    if (this.isActive(id)) this.remove(id);
    else this.add(id);
  }

  update(id: string, change: Partial<Omit<ActiveLayer, "id">>): void {
    this.layers = this.layers.map((layer) => (layer.id === id ? { ...layer, ...change } : layer));
    this.emit("layers");
  }

  /** Moves a layer to an index of the list (0 = top). */
  move(id: string, to: number): void {
    const from = this.layers.findIndex((layer) => layer.id === id);
    const layer = this.layers[from];
    if (!layer) return;
    const rest = this.layers.filter((l) => l.id !== id);
    rest.splice(Math.min(Math.max(to, 0), rest.length), 0, layer);
    this.layers = rest;
    this.emit("layers");
  }

  setBase(base: Base): void {
    this.base = base;
    this.emit("base");
  }

  setTileSet(tileSet: TileSet): void {
    if (tileSet === this.tileSet) return;
    this.tileSet = tileSet;
    this.emit("tileSet");
  }

  setTool(tool: Tool): void {
    this.tool = tool;
    this.emit("tool");
  }

  setSwipe(swipe: Swipe | null): void {
    this.swipe = swipe;
    this.emit("swipe");
  }

  setPictures(dated: Dated | null, pictures: Picture[]): void {
    this.dated = dated;
    this.pictures = pictures;
    this.emit("pictures");
  }

  /** Title of what can be swiped: a visible layer or a dated picture. */
  swipeTitle(id: string): Text | undefined {
    return (this.visible().find((l) => l.id === id) ?? this.pictures.find((p) => p.id === id))?.title;
  }

  setScenario(scenario: Scenario | null): void {
    for (const id of [this.scenario?.layer, scenario?.layer]) if (id) this.tileErrors.delete(id);
    this.scenario = scenario;
    this.emit("scenario");
  }

  /** Parameters of the scenario of a layer, without what is shown of it; empty if it has none. */
  changes(id: string): Record<string, string> {
    if (this.scenario?.layer !== id) return {};
    return Object.fromEntries(Object.entries(this.scenario.params).filter(([name]) => name !== "band"));
  }

  setLanguage(language: "zh" | "en"): void {
    setLang(language);
    this.emit("lang");
  }

  tileFailed(id: string): void {
    this.tileErrors.set(id, (this.tileErrors.get(id) ?? 0) + 1);
    this.emit("tileErrors");
  }

  /** Takes over what a link says, without the view. */
  restore(state: Partial<ShareState>): void {
    if (state.lang) setLang(state.lang);
    if (state.tileSet) this.tileSet = state.tileSet;
    if (state.base) this.base = state.base;
    if (state.tool) this.tool = state.tool;
    if (state.layers) this.layers = state.layers;
    this.swipe = state.swipe ?? null;
    this.scenario = state.scenario ?? null;
    this.dated = state.dated ?? null;
  }
}
