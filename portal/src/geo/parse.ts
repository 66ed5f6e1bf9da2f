/**
 * Coordinates as people paste them: decimal degrees, degrees-minutes-seconds, Gauss–Krüger with and without zone number.
 *
 * Nothing is guessed silently: two degrees that cannot be told apart, metres without a zone, or a point outside the window
 * give a reason instead of a place.
 */
import { fromGaussKruger, zoneByNumber, ZONES, type Zone } from "./crs";

export type ParseReason = "empty" | "form" | "range" | "needZone" | "badZone" | "outside";

export type Parsed =
  | { ok: true; lon: number; lat: number; how: "decimal" | "dms" | "gk"; epsg: number; swapped: boolean }
  | { ok: false; reason: ParseReason };

/** Half-width digits and punctuation; Chinese words for the axes become letters. */
function normalise(text: string): string {
  return text
    .normalize("NFKC")
    .replace(/[，、；;|\t\n]/g, ",")
    .replace(/[：]/g, ":")
    .replace(/东经|经度|lon(?:gitude)?\s*[:=]?/gi, "E")
    .replace(/北纬|纬度|lat(?:itude)?\s*[:=]?/gi, "N")
    .replace(/度/g, "°")
    .replace(/[’‘′´`分]/g, "'")
    .replace(/[”“″秒]|''/g, '"')
    .trim();
}

const NUMBER = String.raw`[+-]?\d+(?:\.\d+)?`;
const ANGLE = new RegExp(
  String.raw`([NSEW])?\s*:?\s*(${NUMBER})\s*°?\s*(?:(\d+(?:\.\d+)?)\s*'\s*(?:(\d+(?:\.\d+)?)\s*"?)?)?\s*([NSEW](?![a-z]))?`,
  "iy",
);

interface Angle {
  value: number;
  letter: string | null;
  dms: boolean;
}

function angles(text: string): Angle[] | null {
  const found: Angle[] = [];
  let at = 0;
  while (at < text.length) {
    const gap = /[\s,]*/y;
    gap.lastIndex = at;
    gap.exec(text);
    at = gap.lastIndex;
    if (at >= text.length) break;
    ANGLE.lastIndex = at;
    const m = ANGLE.exec(text);
    if (!m || !m[2]) return null;
    // The letter before and the letter after belong to the same number, unless the one after opens the next number.
    let letter = m[1] ?? null;
    let end = ANGLE.lastIndex;
    if (m[5]) {
      if (letter) end -= m[5].length;
      else letter = m[5];
    }
    const minutes = m[3] ? Number(m[3]) : 0;
    const seconds = m[4] ? Number(m[4]) : 0;
    if (minutes >= 60 || seconds >= 60) return null;
    const degrees = Number(m[2]);
    const sign = degrees < 0 || m[2].startsWith("-") ? -1 : 1;
    letter = letter ? letter.toUpperCase() : null;
    const flip = letter === "S" || letter === "W" ? -1 : 1;
    found.push({
      value: sign * flip * (Math.abs(degrees) + minutes / 60 + seconds / 3600),
      letter,
      dms: m[3] !== undefined,
    });
    at = end;
  }
  return found;
}

const isEast = (a: Angle): boolean => a.letter === "E" || a.letter === "W";
const isNorth = (a: Angle): boolean => a.letter === "N" || a.letter === "S";

function degrees(first: Angle, second: Angle): Parsed {
  let lon = first;
  let lat = second;
  let swapped = false;
  if (isNorth(first) || isEast(second)) {
    if (isNorth(second) || isEast(first)) return { ok: false, reason: "form" };
    [lon, lat, swapped] = [second, first, true];
  } else if (!isEast(first) && !isNorth(second) && Math.abs(first.value) <= 90 && Math.abs(second.value) > 90) {
    // Latitude first can be told apart, because no latitude is over 90°.
    [lon, lat, swapped] = [second, first, true];
  }
  if (Math.abs(lon.value) > 180 || Math.abs(lat.value) > 90) return { ok: false, reason: "range" };
  const dms = lon.dms || lat.dms;
  return { ok: true, lon: lon.value, lat: lat.value, how: dms ? "dms" : "decimal", epsg: 4490, swapped };
}

function metres(first: number, second: number, zone: Zone | null): Parsed {
  // The easting with zone number has eight digits before the point; the northing of Hubei lies at 3.2–3.7 million.
  const numbered = (v: number): boolean => v >= 1e7 && v < 1e8;
  const northing = (v: number): boolean => v >= 1e6 && v < 1e7;
  const plain = (v: number): boolean => v >= 1e5 && v < 1e6;
  let [easting, north, swapped] = [first, second, false];
  if (northing(first) && (numbered(second) || plain(second))) [easting, north, swapped] = [second, first, true];
  if (!northing(north)) return { ok: false, reason: "range" };
  if (numbered(easting)) {
    const found = zoneByNumber(Math.floor(easting / 1e6));
    if (!found) return { ok: false, reason: "badZone" };
    const [lon, lat] = fromGaussKruger(easting, north, found, true);
    return { ok: true, lon, lat, how: "gk", epsg: found.withNumber, swapped };
  }
  if (!plain(easting)) return { ok: false, reason: "range" };
  if (!zone) return { ok: false, reason: "needZone" };
  const [lon, lat] = fromGaussKruger(easting, north, zone, false);
  return { ok: true, lon, lat, how: "gk", epsg: zone.plain, swapped };
}

/**
 * Reads one coordinate pair.
 *
 * @param text what the user typed
 * @param zoneNumber zone for metres without zone number; null = not chosen
 * @param window west, south, east, north (°) that the place must lie in
 */
export function parseCoordinates(
  text: string,
  zoneNumber: number | null,
  window: readonly [number, number, number, number],
): Parsed {
  const clean = normalise(text);
  if (!clean) return { ok: false, reason: "empty" };
  const plain = clean.replace(/\b[XY]\s*[:=]?\s*/gi, "").replace(/(\d)\s*(?:m|米)(?=[\s,]|$)/gi, "$1");
  const found = angles(plain);
  if (!found || found.length !== 2) return { ok: false, reason: "form" };
  const [first, second] = found as [Angle, Angle];
  const zone = ZONES.find((z) => z.number === zoneNumber) ?? null;
  const inMetres = Math.abs(first.value) > 1000 && Math.abs(second.value) > 1000;
  const result = inMetres ? metres(first.value, second.value, zone) : degrees(first, second);
  if (!result.ok) return result;
  const [west, south, east, north] = window;
  if (result.lon < west || result.lon > east || result.lat < south || result.lat > north)
    return { ok: false, reason: "outside" };
  return result;
}
