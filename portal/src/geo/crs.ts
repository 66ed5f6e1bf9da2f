/**
 * CGCS2000 in OpenLayers and the Gauss–Krüger zones of Hubei.
 *
 * Inside the portal x is always longitude or easting. EPSG:4490 must be defined with `+axis=neu` before the first
 * `register()`: a projection that OpenLayers already knows keeps its axis order, and origin [90, -180] of a tile matrix set
 * would then be read swapped.
 */
import TileGrid from "ol/tilegrid/TileGrid";
import { get as getProjection } from "ol/proj";
import { register } from "ol/proj/proj4";
import proj4 from "proj4";

export const CGCS2000 = "EPSG:4490";
export const MERCATOR = "EPSG:3857";
const LONLAT = "+proj=longlat +ellps=GRS80 +no_defs";

export interface Zone {
  /** Number of the 3° zone (带号). */
  number: number;
  /** Central meridian (中央经线), degrees. */
  meridian: number;
  /** EPSG code whose easting carries the zone number. */
  withNumber: number;
  /** EPSG code whose easting does not. */
  plain: number;
}

/** The 3° Gauss–Krüger zones that cover Hubei. */
export const ZONES: readonly Zone[] = [
  { number: 36, meridian: 108, withNumber: 4524, plain: 4545 },
  { number: 37, meridian: 111, withNumber: 4525, plain: 4546 },
  { number: 38, meridian: 114, withNumber: 4526, plain: 4547 },
  { number: 39, meridian: 117, withNumber: 4527, plain: 4548 },
];

const gaussKruger = (zone: Zone, withNumber: boolean): string =>
  `+proj=tmerc +lat_0=0 +lon_0=${zone.meridian} +k=1 +x_0=${withNumber ? zone.number * 1e6 + 5e5 : 5e5} +y_0=0 ` +
  "+ellps=GRS80 +units=m +no_defs";

proj4.defs(CGCS2000, `${LONLAT} +axis=neu`);
register(proj4);
const cgcs2000 = getProjection(CGCS2000);
if (!cgcs2000) throw new Error("EPSG:4490 is not registered");
cgcs2000.setExtent([-180, -90, 180, 90]);
cgcs2000.setGlobal(true);

/** The 3° zone of a longitude, or undefined outside Hubei's zones. */
export const zoneOf = (lon: number): Zone | undefined => ZONES.find((z) => Math.abs(lon - z.meridian) <= 1.5);

export const zoneByNumber = (number: number): Zone | undefined => ZONES.find((z) => z.number === number);

/** Easting and northing (m) of a longitude and latitude (°) in a zone. */
export const toGaussKruger = (lon: number, lat: number, zone: Zone, withNumber = true): [number, number] =>
  proj4(LONLAT, gaussKruger(zone, withNumber), [lon, lat]) as [number, number];

/** Longitude and latitude (°) of an easting and northing (m) in a zone. */
export const fromGaussKruger = (easting: number, northing: number, zone: Zone, withNumber = true): [number, number] =>
  proj4(gaussKruger(zone, withNumber), LONLAT, [easting, northing]) as [number, number];

export type TileSet = "CGCS2000Quad" | "WebMercatorQuad";

interface TileSetInfo {
  projection: string;
  /** Units per pixel at level 0. */
  level0: number;
  origin: [number, number];
  extent: [number, number, number, number];
  /** Shown to the user. */
  label: string;
}

const HALF = 20037508.342789244;

export const TILE_SETS: Record<TileSet, TileSetInfo> = {
  CGCS2000Quad: {
    projection: CGCS2000,
    level0: 180 / 256,
    origin: [-180, 90],
    extent: [-180, -90, 180, 90],
    label: "CGCS2000 (EPSG:4490)",
  },
  WebMercatorQuad: {
    projection: MERCATOR,
    level0: (2 * HALF) / 256,
    origin: [-HALF, HALF],
    extent: [-HALF, -HALF, HALF, HALF],
    label: "Web Mercator (EPSG:3857)",
  },
};

/**
 * Tile grid of a set up to `maxZoom`.
 *
 * The tiles of a level are those of the set whatever `size` is; 512 draws each over 512 pixels, that is one level later.
 * Vector tiles carry 4,096 units a side, so they stay sharp and a quarter of them fills the screen.
 */
export function tileGrid(set: TileSet, maxZoom: number, size: 256 | 512 = 256): TileGrid {
  const info = TILE_SETS[set];
  return new TileGrid({
    extent: info.extent,
    origin: info.origin,
    resolutions: Array.from({ length: maxZoom + 1 }, (_, z) => ((info.level0 / 2 ** z) * 256) / size),
    tileSize: size,
  });
}
