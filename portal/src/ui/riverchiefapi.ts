/** The addresses and documents of the river chief's desk, as far as the portal reads them. */
import { address, problemOf, Problem } from "../api/client";
import type { Text } from "../api/types";

const PATH = "/api/v1/river-chief";

export interface Named {
  id: string;
  title: Text;
}

/** A kind of 四乱: what it is, and the articles that forbid it. */
export interface Kind extends Named {
  note: Text;
  law: Text | null;
}

export interface Desk {
  editing: "off" | "key" | "open";
  states: (Named & { color: string; days: number | null })[];
  steps: (Named & { photos: number; role: string | null })[];
  kinds: Kind[];
  severities: Named[];
  units: string[];
  candidate_layers: (Named & { synthetic: boolean })[];
  layers: Record<"reaches" | "permits" | "range" | "cases", { id: string; published: boolean; synthetic: boolean }>;
  photos: { types: string[]; max_bytes: number };
}

export interface CaseProperties {
  number: string;
  version: number;
  title: string;
  state: string;
  state_title: Text;
  outcome: string | null;
  kind: string | null;
  kind_title: Text | null;
  severity_title: Text | null;
  water: string | null;
  reach_name: string | null;
  chainage: string | null;
  unit: string | null;
  chief: string | null;
  area_m2: number;
  area_mu: number;
  created: string;
  due: string | null;
  overdue: boolean;
  closed: string | null;
  round: number;
  flags: string[];
  synthetic: boolean;
}

export type Box = [number, number, number, number];

export interface CaseItem {
  id: number;
  bbox: Box;
  geometry: { coordinates: [number, number][][][] };
  properties: CaseProperties;
}

export interface Side {
  date: string | null;
  layer: string | null;
  image: string | null;
  bbox: Box | null;
  scene?: string | null;
  /** Why the scene is not shown. */
  reason?: Text | null;
}

interface Linked {
  case: number;
  number: string;
  share: number;
}

export interface Permit {
  number: string;
  purpose: string;
  valid: boolean;
  valid_to: string | null;
  share: number;
}

export interface Photo {
  id: number;
  at: string;
  role: string;
  actor: string;
  name: string;
  href: string;
  distance_m: number | null;
  warnings: string[];
  /** Of a picture that was drawn from a scene. */
  scene?: string;
  date?: string;
}

export interface CaseEvent {
  at: string;
  step: string;
  title: Text | null;
  actor: string;
  unit: string | null;
  note: string;
  late: boolean;
  to: string;
}

export interface AllowedStep {
  step: string;
  title: Text;
  photos: number;
  role: string | null;
  photos_on_file: number | null;
  ready: boolean;
}

export interface CaseDocument extends CaseItem {
  properties: CaseProperties & {
    description: string;
    before: Side;
    after: Side;
    checks: {
      range: { status: string; share?: number };
      permits: { status: string; share?: number; list: Permit[] };
      duplicates: Linked[];
      repeats?: Linked[];
      rebounds: Linked[];
    };
  };
  suggested_severity: string;
  steps: AllowedStep[];
  events: CaseEvent[];
  photos: Photo[];
}

export interface Opened {
  document: CaseDocument;
  tag: string;
}

export interface CaseList {
  features: CaseItem[];
  numberMatched: number;
}

export interface Candidates {
  features: { id: number; label: Text; geometry: { coordinates: unknown }; properties?: Record<string, unknown> }[];
  numberMatched: number;
  synthetic: boolean;
}

export interface Water {
  name: string;
  kind: string;
  reaches: number;
  open: number;
  overdue: number;
}

export type Figures = Record<string, number | null>;

export interface Patrol {
  id: number;
  geometry: { coordinates: [number, number][] };
  properties: { actor: string; unit: string | null; reach_name: string | null; started: string; length_m: number; speed_kmh: number; seen_share?: number; note: string; warnings: string[] };
}

export interface WaterFile {
  name: string;
  kind: string;
  bbox: Box;
  register: { layer: string; version: string; synthetic: boolean };
  reaches: { code: string; name: string; from: string; to: string; chief: string | null; unit: string | null; check_days: number | null; rectify_days: number | null; open: number; overdue: number; last_patrol: string | null; bbox: Box }[];
  figures: Figures;
  lookback_days: number;
  range: { area_km2: number } | null;
  permits: { count: number; valid: number } | null;
  cases: CaseItem[];
  patrols: Patrol[];
}

export interface Assessment {
  definitions: Record<string, Text>;
  units: (Figures & { unit: string | null })[];
  total: Figures;
  synthetic: boolean;
}

/** A case that has to do with an alert. */
export interface AlertCase {
  case: number;
  number: string;
  state: string;
  state_title: Text;
  color: string;
  outcome: string | null;
  rebound: boolean;
}

/** How far an alert is: its own case, and those of its place. */
export interface AlertState {
  feature: number;
  case: AlertCase | null;
  open: AlertCase[];
  repeats: AlertCase[];
  rebounds: AlertCase[];
}

/** Who acts, and the key where the server wants one; the key is never stored. */
export const identity = { actor: "", key: "" };

function authorization(): Record<string, string> {
  if (!identity.key) return {};
  const bytes = new TextEncoder().encode(`${identity.actor}:${identity.key}`);
  return { Authorization: `Basic ${btoa(String.fromCharCode(...bytes))}` };
}

async function ask(path: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(address(PATH + path), { cache: "no-cache", ...init });
  } catch {
    throw new Problem(0, "无法连接服务器，请检查网络后重试", "the server does not answer; check the network and try again");
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

const read = async <T>(path: string): Promise<T> => (await ask(path)).json() as Promise<T>;

const send = (path: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> =>
  ask(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...authorization(), ...headers },
    body: JSON.stringify(body),
  });

const opened = async (response: Response): Promise<Opened> => ({
  document: (await response.json()) as CaseDocument,
  tag: response.headers.get("etag") ?? "",
});

export const getDesk = (): Promise<Desk> => read("");
export const getCases = (query: URLSearchParams): Promise<CaseList> => read(`/cases?${query}`);
export const getCase = async (id: number): Promise<Opened> => opened(await ask(`/cases/${id}`));
export const getCandidates = (layer: string): Promise<Candidates> => read(`/candidates?${new URLSearchParams({ layer, limit: "200" })}`);
export const getAlerts = async (layer: string): Promise<Map<string, AlertState>> => {
  const { features } = await read<{ features: AlertState[] }>(`/alerts?${new URLSearchParams({ layer })}`);
  return new Map(features.map((one) => [String(one.feature), one]));
};
export const getWaters = (): Promise<{ waters: Water[] }> => read("/waters");
export const getWater = (name: string): Promise<WaterFile> => read(`/waters/${encodeURIComponent(name)}`);
export const getPatrols = (): Promise<{ features: Patrol[] }> => read("/patrols?limit=50");
export const getAssessment = (query: URLSearchParams): Promise<Assessment> => read(`/assessment?${query}`);
export const issueCase = async (body: object): Promise<Opened> => opened(await send("/cases", { actor: identity.actor, ...body }));
export const recordPatrol = async (body: object): Promise<Patrol> => (await send("/patrols", { actor: identity.actor, ...body })).json() as Promise<Patrol>;

/** One step on the version that was read; somebody else's step in between is a `Problem` 412. */
export const takeStep = async (at: Opened, body: object): Promise<Opened> =>
  opened(await send(`/cases/${at.document.id}/steps`, { actor: identity.actor, ...body }, { "If-Match": at.tag }));

export const addPhoto = (id: number, role: string, file: File): Promise<unknown> =>
  ask(`/cases/${id}/photos?${new URLSearchParams({ role, actor: identity.actor, name: file.name })}`, {
    method: "POST",
    headers: { "Content-Type": file.type, ...authorization() },
    body: file,
  });

export const ledgerAddress = (ending: "xlsx" | "docx", query: URLSearchParams): string => address(`${PATH}/ledger.${ending}?${query}`);
