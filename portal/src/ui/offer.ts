/** Which processes of the server the portal can start by itself, and in what order it shows them. */
import type { ProcessDescription } from "../api/types";
import { kindOf } from "./schemaform";

const FIRST: readonly string[] = ["dual-evaluation", "urban-suitability"];

/** An analysis (it gives a result document) that needs no array or object. */
export function startable(process: ProcessDescription): boolean {
  return (
    "result" in (process.outputs ?? {}) &&
    Object.values(process.inputs).every((input) => !(input.minOccurs ?? 0) || kindOf(input.schema) !== "json")
  );
}

const rank = (process: ProcessDescription): number => {
  const at = FIRST.indexOf(process.id);
  return at < 0 ? FIRST.length : at;
};

/** Analyses that can be started, the dual evaluation first, then as the server lists them. */
export const offered = (processes: ProcessDescription[]): ProcessDescription[] =>
  processes.filter(startable).sort((a, b) => rank(a) - rank(b));
