/**
 * Scale bar of a map in degrees or in Mercator metres.
 *
 * A map in EPSG:4490 has different scales west–east and south–north (1 : cos φ). The bar lies west–east, so it says the
 * west–east distance at the centre on the ellipsoid, not a mean of both.
 */
const A = 6378137;
const E2 = 0.0066943800229;

/** Metres on the CGCS2000 ellipsoid of one degree of longitude at a latitude. */
export function metresPerDegree(lat: number): number {
  const phi = (lat * Math.PI) / 180;
  return (Math.PI / 180) * (A / Math.sqrt(1 - E2 * Math.sin(phi) ** 2)) * Math.cos(phi);
}

export interface ScaleBar {
  pixels: number;
  text: string;
}

/** The longest of 1, 2, 5 × 10ⁿ metres that fits into `most` pixels. */
export function scaleBar(degreesPerPixel: number, lat: number, most: number): ScaleBar {
  const metres = degreesPerPixel * metresPerDegree(lat);
  if (!(metres > 0) || !Number.isFinite(metres)) return { pixels: 0, text: "" };
  const limit = metres * most;
  const power = 10 ** Math.floor(Math.log10(limit));
  const length = (limit >= 5 * power ? 5 : limit >= 2 * power ? 2 : 1) * power;
  return { pixels: length / metres, text: length >= 1000 ? `${length / 1000} km` : `${Number(length.toPrecision(1))} m` };
}
