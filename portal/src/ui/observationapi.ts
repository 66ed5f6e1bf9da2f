/** Documents of drones, cameras and sensors, as far as the portal reads them. */
import { json } from "../api/client";
import type { Text } from "../api/types";

export interface Snapshot {
  id: number;
  camera: string;
  time: string;
  name: string;
  bytes: number;
  width: number;
  height: number;
  synthetic: boolean;
  href: string;
  thumbnail: string;
}

export interface CameraProperties {
  camera: string;
  name: string;
  water: string | null;
  azimuth_deg: number | null;
  fov_deg: number | null;
  height_m: number | null;
  range_m: number | null;
  status: string | null;
  stream: string | null;
  stream_refused?: Text;
  snapshots: number;
  last_snapshot: Snapshot | null;
}

export interface Camera {
  id: number;
  geometry: { type: "Point"; coordinates: [number, number] };
  properties: CameraProperties;
}

export interface Flight {
  site: string;
  title: string;
  title_en: string;
  time: string;
  gsd_m: number;
  platform: string;
  version: string;
  synthetic: boolean;
  bbox: [number, number, number, number];
  stac: string;
}

export interface Reading {
  station: string;
  field: string;
  time: string;
  value: number;
  flag: string;
}

export interface Overview {
  editing: string;
  cameras: string | null;
  flights: string | null;
  sectors: { radius_m: number };
  sensors: { layer: string; title: Text; synthetic: boolean }[];
}

const fresh: RequestInit = { cache: "no-cache" };

export const getOverview = (): Promise<Overview> => json("/api/v1/observation", fresh);

export const getFlights = async (): Promise<Flight[]> => (await json<{ flights: Flight[] }>("/api/v1/observation/flights", fresh)).flights;

export const getCameras = async (): Promise<Camera[]> => (await json<{ features: Camera[] }>("/api/v1/cameras", fresh)).features;

export const getSnapshots = async (camera: string): Promise<Snapshot[]> =>
  (await json<{ snapshots: Snapshot[] }>(`/api/v1/cameras/${encodeURIComponent(camera)}/snapshots?limit=500`, fresh)).snapshots;

/** Most readings that a chart shows. */
const MOST = 5000;

export interface Readings {
  units: Record<string, string>;
  synthetic: boolean;
  /** Oldest first. */
  readings: Reading[];
}

export async function getReadings(layer: string, station: string): Promise<Readings> {
  const found = await json<Readings>(`/api/v1/sensors/${encodeURIComponent(layer)}/readings?${new URLSearchParams({ station, limit: String(MOST) })}`, fresh);
  return { ...found, readings: found.readings.reverse() };
}

/** A view link that may stand in the page: nothing but https is opened by the browser, rtsp is a text for a player. */
export const openable = (link: string | null): boolean => {
  if (!link) return false;
  try {
    return new URL(link).protocol === "https:";
  } catch {
    return false;
  }
};
