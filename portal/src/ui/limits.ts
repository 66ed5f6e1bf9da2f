/** Limits of a what-if station: slider steps, rising order, and the parameters of a scenario. */
import type { Shown, Station } from "../api/types";

/** What a user has changed at the stations of a layer. */
export interface Draft {
  edges: Record<string, number[]>;
  matrix: Record<string, number[][]>;
  off: string[];
  shown: Shown;
}

export const emptyDraft = (): Draft => ({ edges: {}, matrix: {}, off: [], shown: "class" });

/** A step of 1, 2 or 5 times a power of ten, about 1/200 of a span. */
export function stepOf(low: number, high: number): number {
  const rough = (high - low) / 200;
  if (!(rough > 0) || !Number.isFinite(rough)) return 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const factor = [1, 2, 5, 10].find((f) => f * power >= rough * 0.999) ?? 10;
  return Number((factor * power).toPrecision(1));
}

/** Ends and step of the sliders of a station: its values, widened so that every limit has room on both sides. */
export function spanOf(station: Station): { low: number; high: number; step: number } {
  const values = [...station.edges, ...(station.range ?? [])];
  const least = Math.min(...values);
  const most = Math.max(...values);
  const first = station.edges[0] ?? least;
  const last = station.edges.at(-1) ?? most;
  const room = Math.max(last - first, Math.abs(last) * 0.5, 1e-6) * 0.25;
  // A few extreme values must not leave the limits in the first pixels of the slider.
  const high = Math.min(Math.max(most, last + room), last + Math.max((last - first) * 2, Math.abs(last), 1e-6));
  const low = Math.max(Math.min(least, first - room), first - Math.max((last - first) * 2, Math.abs(first), 1e-6));
  const step = stepOf(low, high);
  const round = (v: number): number => Number((Math.round(v / step) * step).toPrecision(12));
  return { low: least >= 0 ? Math.max(0, round(low)) : round(low), high: round(high), step };
}

/** Limits with one moved; the others give way so that they still rise by at least a step. */
export function moved(edges: readonly number[], index: number, value: number, step: number): number[] {
  const out = [...edges];
  const exact = (v: number): number => Number(v.toPrecision(12));
  out[index] = value;
  for (let i = index + 1; i < out.length; i++) {
    const least = exact((out[i - 1] ?? 0) + step);
    if ((out[i] ?? 0) < least) out[i] = least;
  }
  for (let i = index - 1; i >= 0; i--) {
    const most = exact((out[i + 1] ?? 0) - step);
    if ((out[i] ?? 0) > most) out[i] = most;
  }
  return out;
}

const same = (a: readonly number[], b: readonly number[]): boolean => a.length === b.length && a.every((v, i) => v === b[i]);

/** Query parameters of a draft; only what differs from the stations as they are. */
export function paramsOf(draft: Draft, stations: readonly Station[]): Record<string, string> {
  const params: Record<string, string> = {};
  for (const station of stations) {
    const edges = draft.edges[station.id];
    if (edges && !same(edges, station.edges)) params[`edges.${station.id}`] = edges.join(",");
    const matrix = draft.matrix[station.id];
    if (matrix && station.matrix && !same(matrix.flat(), station.matrix.flat())) params[`matrix.${station.id}`] = matrix.flat().join(",");
  }
  if (draft.off.length) params["off"] = draft.off.join(",");
  if (draft.shown !== "class") params["band"] = draft.shown;
  return params;
}

/** The draft that query parameters stand for; what is no parameter of these stations is left out. */
export function draftOf(params: Record<string, string>, stations: readonly Station[]): Draft {
  const draft = emptyDraft();
  for (const station of stations) {
    const edges = params[`edges.${station.id}`]?.split(",").map(Number);
    if (edges?.length === station.edges.length && edges.every(Number.isFinite)) draft.edges[station.id] = edges;
    const cells = params[`matrix.${station.id}`]?.split(/[,;]/).map(Number);
    if (cells?.length === 25 && cells.every(Number.isInteger))
      draft.matrix[station.id] = [0, 5, 10, 15, 20].map((i) => cells.slice(i, i + 5));
  }
  draft.off = (params["off"] ?? "").split(",").filter((id) => stations.some((s) => s.id === id));
  const shown = params["band"];
  if (shown === "grade" || shown === "reason") draft.shown = shown;
  return draft;
}
