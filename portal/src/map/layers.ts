/** OpenLayers layers of the catalogue's layers: vector tiles styled here, raster tiles as the server draws them. */
import type BaseLayer from "ol/layer/Base";
import type { Options } from "ol/layer/BaseTile";
import TileLayer from "ol/layer/Tile";
import VectorTileLayer from "ol/layer/VectorTile";
import MVT from "ol/format/MVT";
import type RenderFeature from "ol/render/Feature";
import VectorTileSource from "ol/source/VectorTile";
import XYZ from "ol/source/XYZ";
import TileState from "ol/TileState";
import type VectorTile from "ol/VectorTile";
import type Tile from "ol/Tile";
import { transformExtent } from "ol/proj";
import type Projection from "ol/proj/Projection";
import { address } from "../api/client";
import type { LayerInfo, VectorStyle } from "../api/types";
import { CGCS2000, TILE_SETS, tileGrid, type TileSet } from "../geo/crs";
import { LabelPlaces } from "./labels";
import { styleFunction } from "./vectorstyle";

export interface DrawnLayer {
  layer: BaseLayer;
  places: LabelPlaces | null;
}

/** Tiles of a layer as an absolute template; the braces must survive `new URL`. */
export const tileTemplate = (info: LayerInfo, set: TileSet): string | undefined => {
  const path = info.tiles[set];
  return path ? decodeURI(address(path)) : undefined;
};

/** Tiles of a what-if scenario of a layer, as an absolute template. */
export const scenarioTemplate = (info: LayerInfo, set: TileSet, params: Record<string, string>): string => {
  const query = Object.entries({ version: info.version, ...params }).map(([name, value]) => `${name}=${value}`);
  return decodeURI(address(`/tiles/${info.id}/whatif/${set}/{z}/{x}/{y}.png?${query.join("&")}`));
};

/** Draws a raster layer from other addresses; tiles of before stay until the new ones are there. */
export function setTemplate(drawn: DrawnLayer, url: string): void {
  const source = drawn.layer instanceof TileLayer ? (drawn.layer.getSource() as unknown) : null;
  if (source instanceof XYZ && source.getUrls()?.[0] !== url) source.setUrl(url);
}

export function makeLayer(
  info: LayerInfo,
  set: TileSet,
  failed: () => void,
  style: VectorStyle = info.style as unknown as VectorStyle,
): DrawnLayer | null {
  const url = tileTemplate(info, set);
  if (!url) return null;
  const tiles = TILE_SETS[set];
  const vector = info.kind === "vector" || info.kind === "stations";
  // A stroke or a point symbol on the edge of the data reaches over it.
  const margin = vector ? 0.02 : 0;
  const [west, south, east, north] = info.extent;
  const extent = transformExtent([west - margin, south - margin, east + margin, north + margin], CGCS2000, tiles.projection);
  const options = {
    extent,
    ...(info.min_zoom > 0 ? { maxResolution: (tiles.level0 / 2 ** info.min_zoom) * 1.42 } : {}),
  };
  if (!vector) return { layer: rasterLayer(url, set, info.max_zoom, options, failed), places: null };
  const grid = tileGrid(set, info.max_zoom, 512);
  const format = new MVT();
  const source = new VectorTileSource<RenderFeature>({
    url,
    format,
    projection: tiles.projection,
    tileGrid: grid,
    transition: 0,
    tileLoadFunction: (tile: Tile, src: string) => loadVectorTile(tile as VectorTile<RenderFeature>, src, format),
  });
  source.on("tileloaderror", failed);
  const places = new LabelPlaces();
  const zoomOf = (resolution: number): number => Math.log2(tiles.level0 / resolution);
  const layer = new VectorTileLayer({
    source,
    style: styleFunction(style, zoomOf, places),
    declutter: true,
    renderBuffer: 60,
    ...options,
  });
  return { layer, places };
}

/** Raster tiles of a tile set. */
export function rasterLayer(url: string, set: TileSet, maxZoom: number, options: Options<XYZ>, failed: () => void): TileLayer<XYZ> {
  const source = new XYZ({ url, projection: TILE_SETS[set].projection, tileGrid: tileGrid(set, maxZoom), transition: 0 });
  const layer = new TileLayer({ source, ...options });
  source.on("tileloaderror", ({ tile }) => {
    void isEmpty(source, tile).then((empty) => {
      if (!empty) return failed();
      // An error would leave a coarser tile in its place; here is nothing.
      tile.setState(TileState.EMPTY);
      layer.changed();
    });
  });
  return layer;
}

/** True if a raster tile failed only because there is nothing on it: to an image, 204 is an error like every other. */
async function isEmpty(source: XYZ, tile: Tile): Promise<boolean> {
  const src = source.getTileUrlFunction()(tile.tileCoord, 1, source.getProjection() as Projection);
  if (!src) return false;
  try {
    return (await fetch(src)).status === 204;
  } catch {
    return false;
  }
}

function loadVectorTile(tile: VectorTile<RenderFeature>, src: string, format: MVT): void {
  tile.setLoader((extent, _resolution, projection) => {
    fetch(src)
      .then(async (response) => {
        // 204: the server says that nothing is here; 404: beside the layer. Both are an empty tile, not a failure.
        if (response.status === 204 || response.status === 404) return tile.setFeatures([]);
        if (!response.ok) throw new Error(`HTTP ${response.status}`);
        const bytes = await response.arrayBuffer();
        tile.setFeatures(format.readFeatures(bytes, { extent, featureProjection: projection }) as RenderFeature[]);
      })
      .catch(() => tile.setState(TileState.ERROR));
  });
}
