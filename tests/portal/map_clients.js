// OpenLayers and MapLibre as their manuals say, on whatever the server's own documents tell them.
import * as maplibre from "./npm/maplibre-gl/dist/maplibre-gl.mjs";

const { ol, proj4 } = window;

// OpenLayers has to be told of EPSG:4490, as of every projection that it does not bring itself: latitude comes first, and a
// degree is what the scale denominators of WMTS mean by it (OpenLayers takes a sphere of 6,370,997 m: 0.1 % less).
proj4.defs("EPSG:4490", "+proj=longlat +ellps=GRS80 +axis=neu +to_meter=111319.49079327358 +no_defs");
// The zones are northing first; the coordinates of OpenLayers are easting first all the same.
const zone = "+proj=tmerc +lat_0=0 +lon_0=114 +k=1 +x_0=500000 +y_0=0 +ellps=GRS80 +units=m +axis=neu +no_defs";
proj4.defs("EPSG:4547", zone);
ol.proj.proj4.register(proj4);

/** Waits until a source has read its document. */
function ready(source) {
  return new Promise((resolve, reject) => {
    const look = () => {
      if (source.getState() === "ready") resolve();
      if (source.getState() === "error") reject(new Error("the source could not read its document"));
    };
    source.on("change", look);
    look();
  });
}

/** Shows one layer of OpenLayers; resolves when everything is drawn. */
async function openLayersMap(layer, { projection, centre, resolution }) {
  const source = layer.getSource();
  await ready(source);
  const view = new ol.View({ projection, center: ol.proj.fromLonLat(centre, projection), resolution });
  const map = new ol.Map({ target: "map", layers: [layer], view, controls: [], pixelRatio: 1 });
  const pixel = (place) => map.getPixelFromCoordinate(ol.proj.fromLonLat(place, projection));
  await new Promise((resolve, reject) => {
    source.on("tileloaderror", (event) => reject(new Error(`tile ${event.tile.getTileCoord()}`)));
    map.once("rendercomplete", resolve);
  });
  return {
    features: (place) => map.getFeaturesAtPixel(pixel(place)).map((f) => ({ ...f.getProperties(), id: f.getId() })),
    colour: (place) => [...(layer.getData(pixel(place)) ?? [0, 0, 0, 0])],
    close: () => map.setTarget(undefined),
  };
}

const fill = new ol.style.Style({ fill: new ol.style.Fill({ color: "#ddd" }), stroke: new ol.style.Stroke({ color: "#333" }) });

window.clients = {
  /** ol/source/OGCVectorTile on the document of a tile set; it takes EPSG:3857 for granted unless told. */
  ogcVectorTiles(url, view, options = {}) {
    const format = new ol.format.MVT();
    const source = new ol.source.OGCVectorTile({ url, format, projection: view.projection, ...options });
    return openLayersMap(new ol.layer.VectorTile({ source, style: fill }), view);
  },

  /** ol/source/OGCMapTile on the document of a map tile set. */
  ogcMapTiles(url, view, options = {}) {
    const given = { url, crossOrigin: "anonymous", interpolate: false, ...options };
    return openLayersMap(new ol.layer.Tile({ source: new ol.source.OGCMapTile(given) }), view);
  },

  /** ol/source/WMTS from the capabilities. */
  async wmts(url, layer, matrixSet, view, options = {}) {
    const capabilities = new ol.format.WMTSCapabilities().read(await (await fetch(url)).text());
    const wanted = { layer, matrixSet, crossOrigin: "anonymous", ...options };
    const found = ol.source.WMTS.optionsFromCapabilities(capabilities, wanted);
    const source = new ol.source.WMTS({ ...found, interpolate: false });
    const shown = await openLayersMap(new ol.layer.Tile({ source }), view);
    return { ...shown, projection: source.getProjection().getCode() };
  },

  /** MapLibre on a style document. */
  mapLibre(style, { centre, zoom }) {
    const map = new maplibre.Map({
      container: "map",
      style,
      center: centre,
      zoom,
      attributionControl: false,
      fadeDuration: 0,
      canvasContextAttributes: { preserveDrawingBuffer: true },
    });
    const colour = (place) => {
      const { x, y } = map.project(place);
      const gl = map.getCanvas().getContext("webgl2");
      const found = new Uint8Array(4);
      gl.readPixels(Math.floor(x), gl.drawingBufferHeight - 1 - Math.floor(y), 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, found);
      return [...found];
    };
    const features = (place) =>
      map.queryRenderedFeatures(map.project(place)).map((f) => ({ ...f.properties, id: f.id, drawn: f.layer.id }));
    return new Promise((resolve, reject) => {
      map.on("error", (event) => reject(event.error));
      map.once("idle", () => resolve({ features, colour, close: () => map.remove() }));
    });
  },
};
