/** Numbers and coordinates as people read them. */
import { toGaussKruger, zoneOf, type Zone } from "./crs";

const UNITS: Record<string, string> = { degree: "°", "m3/km2": "m³/km²", celsius: "°C", degC: "°C" };

/** A unit as a reader expects it; «grade 1-5» and «level 1-5» say nothing beside the number. */
export function unitText(unit: string | null): string {
  if (!unit || /^(grade|level)\b/.test(unit)) return "";
  return UNITS[unit] ?? unit;
}

/** 114.305500°E, 30.592800°N; six decimals are about 0.1 m. */
export const lonLatText = (lon: number, lat: number, digits = 6): string =>
  `${Math.abs(lon).toFixed(digits)}°${lon < 0 ? "W" : "E"}  ${Math.abs(lat).toFixed(digits)}°${lat < 0 ? "S" : "N"}`;

/** 114°18′19.80″E form; seconds with two decimals, carried over correctly (never 60.00″). */
export function dmsText(value: number, axis: "lon" | "lat"): string {
  const letter = axis === "lon" ? (value < 0 ? "W" : "E") : value < 0 ? "S" : "N";
  const hundredths = Math.round(Math.abs(value) * 360000);
  const d = Math.floor(hundredths / 360000);
  const m = Math.floor((hundredths % 360000) / 6000);
  const s = (hundredths % 6000) / 100;
  return `${d}°${String(m).padStart(2, "0")}′${s.toFixed(2).padStart(5, "0")}″${letter}`;
}

/** Easting and northing with zone number in the zone of the longitude, or null outside Hubei's zones. */
export function gaussKrugerText(lon: number, lat: number): { zone: Zone; x: string; y: string } | null {
  const zone = zoneOf(lon);
  if (!zone) return null;
  const [easting, northing] = toGaussKruger(lon, lat, zone);
  return { zone, x: easting.toFixed(1), y: northing.toFixed(1) };
}

export type AreaUnit = "km2" | "hm2" | "mu";

/** Square metres in one unit; 1 亩 = 10000/15 m². */
export const SQUARE_METRES: Record<AreaUnit, number> = { km2: 1e6, hm2: 1e4, mu: 10000 / 15 };

/** An area of `km2` square kilometres in another unit, grouped, with fitting decimals. */
export function areaText(km2: number, unit: AreaUnit, lang: string): string {
  const value = (km2 * 1e6) / SQUARE_METRES[unit];
  const digits = unit === "km2" ? 2 : unit === "hm2" ? 1 : 0;
  return value.toLocaleString(lang === "zh" ? "zh-CN" : "en-GB", {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}

/** A property value as text; numbers keep at most six significant decimals. */
export function valueText(value: unknown, lang: string): string {
  if (value === null || value === undefined || value === "") return "—";
  if (typeof value === "boolean") return lang === "zh" ? (value ? "是" : "否") : value ? "yes" : "no";
  if (typeof value === "number") {
    if (!Number.isFinite(value)) return "—";
    return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(8)));
  }
  if (typeof value === "object") return JSON.stringify(value);
  return String(value);
}
