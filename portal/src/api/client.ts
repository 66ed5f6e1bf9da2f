/** The HTTP addresses of the server; every failure becomes a `Problem` that can be shown. */
import type { AnalysisResult, Catalogue, Explained, Identified, JobStatus, Lang, ProcessDescription, ProcessList, WhatIf } from "./types";

/** Address of a path of the server, below whatever prefix the portal is served from. */
export const address = (path: string): string => new URL(path.replace(/^\//, ""), document.baseURI).href;

/** An RFC 9457 answer, or a network that does not answer (status 0). */
export class Problem extends Error {
  readonly status: number;
  readonly zh: string;
  readonly en: string;

  constructor(status: number, zh: string, en: string) {
    super(`${zh} / ${en}`);
    this.status = status;
    this.zh = zh;
    this.en = en;
  }

  text(lang: Lang): string {
    return lang === "zh" ? this.zh : this.en;
  }
}

export async function problemOf(response: Response): Promise<Problem> {
  let body: Record<string, unknown> = {};
  try {
    body = (await response.json()) as Record<string, unknown>;
  } catch {
    // Not JSON (a proxy's page): the status alone is what is known.
  }
  const fallback = `HTTP ${response.status} ${response.statusText}`.trim();
  const detail = String(body["detail"] ?? body["description"] ?? body["title"] ?? fallback);
  return new Problem(response.status, String(body["detail_zh"] ?? detail), String(body["detail_en"] ?? detail));
}

async function request(path: string, init?: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(address(path), init);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Problem(0, "无法连接服务器，请检查网络后重试", "the server does not answer; check the network and try again");
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

/** A JSON document of the server. */
export const json = async <T>(path: string, init?: RequestInit): Promise<T> => (await request(path, init)).json() as Promise<T>;

export const getCatalogue = (): Promise<Catalogue> => json("/api/v1/catalogue", { cache: "no-cache" });

export const getLegend = (path: string): Promise<unknown> => json(path);

export function identify(
  lon: number,
  lat: number,
  layers: string[],
  tolerance: number,
  signal: AbortSignal,
): Promise<Identified> {
  const query = new URLSearchParams({
    lon: lon.toFixed(9),
    lat: lat.toFixed(9),
    layers: layers.join(","),
    tolerance: String(tolerance),
  });
  return json(`/api/v1/identify?${query}`, { signal });
}

/** Why a cell has its class; `changes` are the parameters of a scenario. */
export function explain(layer: string, lon: number, lat: number, changes: Record<string, string>): Promise<Explained> {
  const query = new URLSearchParams({ layer, lon: lon.toFixed(9), lat: lat.toFixed(9), ...changes });
  return json(`/api/v1/explain?${query}`);
}

/** What can be changed in a scenario; a change that the server refuses is a `Problem`. */
export const getWhatIf = (path: string, changes: Record<string, string> = {}): Promise<WhatIf> => {
  const query = new URLSearchParams(changes).toString();
  return json(query ? `${path}?${query}` : path);
};

export const getProcess = (id: string, lang: Lang): Promise<ProcessDescription> =>
  json(`/ogc/processes/${id}?f=json&lang=${lang}`);

/** Descriptions of all processes, in the order of the server. */
export async function getProcesses(lang: Lang): Promise<ProcessDescription[]> {
  const { processes } = await json<ProcessList>(`/ogc/processes?f=json&lang=${lang}`);
  return Promise.all(processes.map((p) => getProcess(p.id, lang)));
}

/** Starts a run; the answer is the job. */
export const execute = (id: string, inputs: Record<string, unknown>): Promise<JobStatus> =>
  json(`/ogc/processes/${id}/execution`, {
    method: "POST",
    headers: { "Content-Type": "application/json", Prefer: "respond-async" },
    body: JSON.stringify({ inputs }),
  });

export const getJob = (id: string): Promise<JobStatus> => json(`/ogc/jobs/${id}?f=json`, { cache: "no-store" });

export const dismissJob = (id: string): Promise<unknown> => json(`/ogc/jobs/${id}`, { method: "DELETE" });

export async function getResult(id: string): Promise<AnalysisResult> {
  const document = await json<{ result?: AnalysisResult } & AnalysisResult>(`/ogc/jobs/${id}/results?f=json`);
  return document.result ?? document;
}
