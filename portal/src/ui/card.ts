/** Metadata card of a layer (来源·时间·版本·授权·合成标记) and its addresses (`</>`). */
import { address } from "../api/client";
import type { LayerInfo } from "../api/types";
import { lang, pick, t } from "../i18n";
import { h, type Child } from "./dom";
import { copyWithToast, dialog } from "./notice";

const dateText = (iso: string): string => {
  const date = new Date(iso);
  return Number.isNaN(date.getTime())
    ? iso
    : date.toLocaleString(lang() === "zh" ? "zh-CN" : "en-GB", { dateStyle: "medium", timeStyle: "short" });
};

const row = (name: string, ...value: Child[]): Child => [h("dt", {}, name), h("dd", {}, ...value)];

export function showCard(layer: LayerInfo, zoomTo: () => void): void {
  const extent = layer.extent.map((v) => v.toFixed(3));
  const columns = [...layer.fields.map((f) => ({ ...f, type: f.type })), ...layer.bands.map((b) => ({ ...b, type: "band" }))];
  dialog(pick(layer.title), [
    layer.synthetic
      ? h(
          "p",
          { class: "box warning" },
          h("strong", {}, t("syntheticLong")),
          layer.recipe ? ` ${pick(layer.recipe)}` : "",
        )
      : null,
    h("p", {}, pick(layer.description)),
    h(
      "dl",
      { class: "card" },
      row(t("source"), pick(layer.attribution)),
      row(t("origin"), layer.origin),
      row(t("licence"), layer.licence),
      row(t("version"), layer.version),
      row(t("published"), dateText(layer.published)),
      row(t("grade"), layer.grade),
      layer.count !== null ? row(t("features"), layer.count.toLocaleString("en")) : null,
      row(t("extent"), `${extent[0]}–${extent[2]}°E, ${extent[1]}–${extent[3]}°N`),
      row("id", h("code", {}, layer.id)),
      layer.note ? row(t("note"), pick(layer.note)) : null,
      layer.derived_from?.length ? row(t("derivedFrom"), layer.derived_from.join(", ")) : null,
    ),
    columns.length
      ? h(
          "details",
          {},
          h("summary", {}, layer.bands.length ? t("bands") : t("fields"), ` (${columns.length})`),
          h(
            "table",
            { class: "grid" },
            h("thead", {}, h("tr", {}, h("th", {}, t("name")), h("th", {}, t("meaning")), h("th", {}, t("unit")))),
            h(
              "tbody",
              {},
              columns.map((c) =>
                h("tr", {}, h("td", {}, h("code", {}, c.name)), h("td", {}, pick(c.title)), h("td", {}, c.unit ?? "—")),
              ),
            ),
          ),
        )
      : null,
    h("button", { type: "button", class: "button", onclick: zoomTo }, t("zoomToLayer")),
    h("h3", {}, t("asApi")),
    apiLines(layer),
  ]);
}

/** Addresses and lines that work as they stand. */
export function apiOf(layer: LayerInfo): { name: string; text: string }[] {
  const lines: { name: string; text: string }[] = [];
  const items = layer.items ? address(layer.items) : null;
  const file = layer.file ? address(layer.file) : null;
  const collection = address(layer.collection ?? `/ogc/collections/${layer.id}`);
  if (items) lines.push({ name: "OGC API Features", text: `${items}?limit=100` });
  else lines.push({ name: "OGC API", text: collection });
  lines.push({ name: "TileJSON", text: `${address(layer.tilejson)}?tms=WebMercatorQuad` });
  const tiles = layer.tiles["CGCS2000Quad"];
  if (tiles) lines.push({ name: "XYZ (CGCS2000Quad)", text: decodeURI(address(tiles)) });
  if (file) lines.push({ name: "COG (GeoTIFF)", text: file });
  if (items) {
    lines.push({ name: "curl", text: `curl -s "${items}?bbox=114,30,115,31&limit=100" -o ${layer.id}.geojson` });
    lines.push({
      name: "Python",
      text: `import geopandas as gpd\ngdf = gpd.read_file("${items}?limit=1000")`,
    });
  } else if (file) {
    lines.push({ name: "curl", text: `curl -s "${file}" -o ${layer.id}.tif` });
    lines.push({
      name: "Python",
      text: `import rasterio\nwith rasterio.open("${file}") as src:\n    band = src.read(1, masked=True)`,
    });
  }
  return lines;
}

export const apiLines = (layer: LayerInfo): HTMLElement =>
  h(
    "div",
    { class: "api-lines" },
    apiOf(layer).map(({ name, text }) =>
      h(
        "div",
        { class: "api-line" },
        h(
          "div",
          { class: "api-head" },
          h("span", {}, name),
          h(
            "button",
            {
              type: "button",
              class: "button small",
              "aria-label": `${t("copy")} ${name}`,
              onclick: () => void copyWithToast(text),
            },
            t("copy"),
          ),
        ),
        h("pre", { tabindex: "0" }, text),
      ),
    ),
  );

export const showApi = (layer: LayerInfo): void => dialog(`</> ${pick(layer.title)}`, [apiLines(layer)]);
