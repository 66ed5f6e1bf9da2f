/** Layer tree by theme with search: 资源浏览. */
import type { App } from "../app";
import type { LayerInfo, Theme } from "../api/types";
import { pick, t } from "../i18n";
import { showCard } from "./card";
import { fill, h, iconButton } from "./dom";
import { emptyBox, errorBox, loadingBox } from "./notice";

/** True if every word of the query stands in the layer's id, titles, description or keywords. */
export function matches(layer: LayerInfo, themes: string, query: string): boolean {
  const words = query.normalize("NFKC").toLowerCase().split(/\s+/).filter(Boolean);
  const { title, description } = layer;
  const text = [layer.id, title.zh, title.en, description.zh, description.en, themes, ...layer.keywords]
    .join(" ")
    .normalize("NFKC")
    .toLowerCase();
  return words.every((word) => text.includes(word));
}

const same = (a: readonly string[], b: readonly string[]): boolean => a.length === b.length && a.every((v, i) => v === b[i]);

export class LayerTree {
  readonly element: HTMLElement;
  private query = "";
  private readonly closed = new Set<string>();
  private readonly list = h("div", { class: "tree", id: "layer-tree" });
  private readonly count = h("p", { class: "hint", role: "status", "aria-live": "polite" });

  constructor(
    private readonly app: App,
    private readonly zoomTo: (layer: LayerInfo) => void,
  ) {
    const input = h("input", {
      type: "search",
      class: "search",
      id: "layer-search",
      placeholder: t("searchLayers"),
      "aria-label": t("searchLayers"),
      autocomplete: "off",
      oninput: () => {
        this.query = input.value.trim();
        this.render();
      },
    });
    this.element = h("section", { class: "stack" }, input, this.count, this.list);
    this.render();
  }

  render(): void {
    const { app } = this;
    const focused = (document.activeElement as HTMLElement | null)?.dataset["layer"];
    if (!app.catalogue) {
      fill(this.count);
      if (app.problem) fill(this.list, errorBox(app.problem, () => void app.loadCatalogue()));
      else fill(this.list, loadingBox(t("loadingCatalogue")));
      return;
    }
    const nodes = app.catalogue.themes.map((theme) => this.theme(theme, [], ""));
    const found = nodes.reduce((sum, [, n]) => sum + n, 0);
    fill(this.count, this.query ? t("found", { n: found }) : t("layerCount", { n: app.catalogue.layers.length }));
    const none = app.catalogue.layers.length === 0 ? t("emptyCatalogue") : t("nothingFound", { q: this.query });
    fill(this.list, found === 0 ? emptyBox(none) : nodes.map(([node]) => node));
    if (focused) this.list.querySelector<HTMLElement>(`input[data-layer="${focused}"]`)?.focus();
  }

  private theme(theme: Theme, above: string[], names: string): [HTMLElement | null, number] {
    const path = [...above, theme.id];
    const text = `${names} ${theme.title.zh} ${theme.title.en}`;
    const layers = (this.app.catalogue?.layers ?? []).filter(
      (layer) => same(layer.theme, path) && matches(layer, text, this.query),
    );
    const children = (theme.children ?? []).map((child) => this.theme(child, path, text));
    const total = layers.length + children.reduce((sum, [, n]) => sum + n, 0);
    if (total === 0) return [null, 0];
    const key = path.join("/");
    const details = h(
      "details",
      { open: this.query !== "" || !this.closed.has(key), class: above.length ? "subtheme" : "theme" },
      h("summary", {}, h("span", {}, pick(theme.title)), h("span", { class: "badge" }, total)),
      layers.map((layer) => this.row(layer)),
      children.map(([node]) => node),
    );
    details.addEventListener("toggle", () => {
      if (this.query) return;
      if (details.open) this.closed.delete(key);
      else this.closed.add(key);
    });
    return [details, total];
  }

  private row(layer: LayerInfo): HTMLElement {
    const box = h("input", {
      type: "checkbox",
      checked: this.app.isActive(layer.id),
      "data-layer": layer.id,
      onchange: () => this.app.toggle(layer.id),
    });
    const kind = layer.kind === "raster" ? t("kindRaster") : t("kindVector");
    return h(
      "div",
      { class: "tree-row" },
      h(
        "label",
        {},
        box,
        h("span", { class: `kind ${layer.kind}`, role: "img", title: kind, "aria-label": kind }),
        h("span", { class: "name" }, pick(layer.title)),
        layer.synthetic ? h("span", { class: "tag synthetic" }, t("synthetic")) : null,
      ),
      iconButton("info", t("aboutLayer", { layer: pick(layer.title) }), () =>
        showCard(layer, () => this.zoomTo(layer)),
      ),
    );
  }
}
