/** Documents of the server, as far as the portal reads them. */

export type Lang = "zh" | "en";

export interface Text {
  zh: string;
  en: string;
}

export interface Theme {
  id: string;
  title: Text;
  children?: Theme[];
}

export interface Field {
  name: string;
  type: string;
  title: Text;
  unit: string | null;
  domain: Record<string, Text> | null;
}

export interface Band {
  name: string;
  title: Text;
  unit: string | null;
  domain: Record<string, Text> | null;
}

export interface Symbol {
  fill?: string;
  stroke?: string;
  width?: number;
  radius?: number;
}

export interface Label {
  field: string;
  min_zoom?: number;
}

export type VectorStyle =
  | ({ type: "single"; label?: Label } & Symbol)
  | {
      type: "categories";
      field: string;
      classes: ({ value: string | number | boolean; title: Text } & Symbol)[];
      default?: Symbol & { title?: Text };
      label?: Label;
    }
  | {
      type: "graduated";
      field: string;
      classes: ({ min: number | null; max: number | null; title: Text } & Symbol)[];
      default?: Symbol & { title?: Text };
      label?: Label;
    };

export interface LayerInfo {
  id: string;
  title: Text;
  description: Text;
  theme: string[];
  kind: "vector" | "raster" | "stations" | "scenes";
  version: string;
  published: string;
  synthetic: boolean;
  recipe: Text | null;
  grade: string;
  licence: string;
  attribution: Text;
  origin: string;
  extent: [number, number, number, number];
  count: number | null;
  geometry_type: string | null;
  fields: Field[];
  bands: Band[];
  style: Record<string, unknown> & { type: string };
  min_zoom: number;
  max_zoom: number;
  keywords: string[];
  tiles: Record<string, string>;
  legend: string;
  tilejson: string;
  collection?: string;
  items: string | null;
  file?: string | null;
  note?: Text | null;
  derived_from?: string[];
  /** Where a what-if scenario of the layer is described, if it has a chain. */
  whatif?: string | null;
}

/** What is shown of a what-if scenario. */
export type Shown = "class" | "grade" | "reason";

export interface Station {
  id: string;
  title: Text;
  kind: string;
  unit: string | null;
  /** Least and greatest value of the factor. */
  range: [number, number] | null;
  edges: number[];
  matrix: number[][] | null;
  left_out: boolean;
  change: { edges: boolean; matrix: boolean; shift: boolean; weights: boolean; off: boolean };
  source: string;
  tag: string;
}

export interface LeftOut {
  station: string;
  title: Text;
  reason: Text;
}

export interface WhatIf {
  layer: string;
  result_layer: string | null;
  title: Text;
  stations: Station[];
  left_out: LeftOut[];
  legends: Record<Shown, { value: number; color: string; label: Text }[]>;
}

export interface ExplainStep {
  station: string;
  title: Text;
  kind: string;
  value: number | null;
  unit: string | null;
  interval: string | null;
  level: number | null;
  /** Row and column of a judgement matrix, from 1. */
  cell: [number, number] | null;
  grade_before: number | null;
  grade_after: number | null;
  changed: boolean;
  ends: boolean;
  source: string;
  tag: string;
  weight?: number | null;
}

export interface ExplainedChain {
  chain: string;
  title: Text;
  layer: string;
  result_layer: string | null;
  changed: boolean;
  steps: ExplainStep[];
  grade: number | null;
  class: number | null;
  class_title: Text | null;
  reason: string | null;
  reason_title: Text | null;
  missing: { text: Text } | null;
  left_out: LeftOut[];
  from_run: { station: string; title: Text }[];
}

export interface Explained {
  lon: number;
  lat: number;
  chains: ExplainedChain[];
}

export interface Catalogue {
  revision: number;
  extent: [number, number, number, number] | null;
  crs: string;
  themes: Theme[];
  layers: LayerInfo[];
}

export interface IdentifiedLayer {
  id: string;
  title: Text;
  kind: string;
  version: string;
  attribution: Text;
  synthetic: boolean;
  features: { id: number | string; properties: Record<string, unknown> }[] | null;
  values: { band: string; title: Text; unit: string | null; value: number | null; label: Text | string | null }[] | null;
}

export interface Identified {
  lon: number;
  lat: number;
  crs: string;
  layers: IdentifiedLayer[];
}

export interface JsonSchema {
  type?: string | string[];
  title?: string;
  description?: string;
  default?: unknown;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
  multipleOf?: number;
  enum?: unknown[];
  const?: unknown;
  anyOf?: JsonSchema[];
  oneOf?: JsonSchema[];
  allOf?: JsonSchema[];
  items?: JsonSchema;
  [key: string]: unknown;
}

export interface ProcessInput {
  title?: string | Text;
  description?: string | Text;
  minOccurs?: number;
  schema: JsonSchema;
  metadata?: { title?: string; role?: string }[];
}

export interface ProcessDescription {
  id: string;
  version: string;
  title: string | Text;
  description?: string | Text;
  inputs: Record<string, ProcessInput>;
  outputs?: Record<string, { title?: string | Text }>;
}

export interface ProcessList {
  processes: { id: string }[];
}

export interface JobStatus {
  jobID: string;
  status: "accepted" | "running" | "successful" | "failed" | "dismissed";
  progress?: number;
  message?: string;
}

export interface Factor {
  id: string;
  title: Text;
  assessed: boolean;
  note: Text;
  source?: string;
}

export interface AnalysisResult {
  analysis?: string;
  layers: Record<string, string>;
  tables: Record<string, Record<string, unknown>[]>;
  factors: Factor[];
  notes?: Text[];
  provenance: Record<string, unknown>;
  /** Report of the run by kind (docx, pdf). */
  documents?: Record<string, { href: string; type: string; title: string }>;
}
