/** 成果共享: the link of this view, the service addresses, and what each layer offers. */
import { address } from "../api/client";
import type { App } from "../app";
import { pick, t } from "../i18n";
import { apiLines } from "./card";
import { fill, h } from "./dom";
import { copyWithToast } from "./notice";

/** Each answers as it stands: a test of the API asks them all. */
const SERVICES: readonly [string, string][] = [
  ["OGC API", "/ogc"],
  ["OGC API Records", "/ogc/collections/catalogue/items"],
  ["OGC API Processes", "/ogc/processes"],
  ["STAC", "/stac"],
  ["WMTS", "/tiles/wmts/1.0.0/WMTSCapabilities.xml"],
  ["WMS", "/tiles/wms?SERVICE=WMS&REQUEST=GetCapabilities"],
  ["OpenAPI", "/ogc/openapi"],
];

export class SharePanel {
  readonly element = h("section", { class: "stack" });
  private readonly link = h("input", { type: "text", readOnly: true, id: "share-link" });

  constructor(
    private readonly app: App,
    private readonly url: () => string,
  ) {
    this.render();
  }

  /** The view changed: so did the link. */
  refresh(): void {
    this.link.value = this.url();
  }

  render(): void {
    const layers = this.app.visible();
    this.link.setAttribute("aria-label", t("shareLink"));
    fill(
      this.element,
      h("h3", {}, t("shareLink")),
      h("p", { class: "hint" }, t("shareHint")),
      h(
        "div",
        { class: "inline" },
        this.link,
        h("button", { type: "button", class: "button primary", id: "copy-link", onclick: () => void copyWithToast(this.url()) }, t("copy")),
      ),
      h("h3", {}, t("services")),
      h("ul", { class: "services" }, SERVICES.map(([name, path]) => h("li", {}, h("a", { href: address(path), target: "_blank", rel: "noopener" }, name), h("code", {}, path)))),
      h("h3", {}, `</> ${t("activeLayers")}`),
      layers.length
        ? layers.map((layer) => h("details", {}, h("summary", {}, pick(layer.title)), apiLines(layer)))
        : h("p", { class: "hint" }, t("noActiveLayers")),
    );
    this.refresh();
  }
}
