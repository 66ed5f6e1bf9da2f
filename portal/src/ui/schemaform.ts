/** A form from the JSON Schemas of a process's inputs. A field left empty is not sent: the server's default holds. */
import type { JsonSchema, ProcessInput } from "../api/types";
import { lang, t } from "../i18n";
import { h } from "./dom";

export type FieldKind = "number" | "integer" | "boolean" | "choice" | "text" | "json";

export interface FormField {
  name: string;
  kind: FieldKind;
  required: boolean;
  schema: JsonSchema;
  title: string;
  description: string;
}

const typesOf = (schema: JsonSchema): string[] =>
  Array.isArray(schema.type) ? schema.type : schema.type ? [schema.type] : [];

/** The schema without its «or null» alternative. */
export function core(schema: JsonSchema): JsonSchema {
  const alternatives = schema.anyOf ?? schema.oneOf;
  if (alternatives) {
    const real = alternatives.filter((s) => s.type !== "null");
    if (real.length === 1 && real[0]) return { ...schema, ...real[0], anyOf: [], oneOf: [] };
  }
  if (schema.allOf?.length === 1 && schema.allOf[0]) return { ...schema, ...schema.allOf[0] };
  return schema;
}

export function kindOf(schema: JsonSchema): FieldKind {
  const real = core(schema);
  if (real.enum) return "choice";
  const types = typesOf(real).filter((type) => type !== "null");
  if (types.includes("integer")) return "integer";
  if (types.includes("number")) return "number";
  if (types.includes("boolean")) return "boolean";
  if (types.includes("string")) return "text";
  return "json";
}

const CJK = /[\u3400-\u9fff]/;

/** The sentences of one language of a text that holds both («中文。 English.» or «English. 中文。»). */
export function inLanguage(text: string | { zh: string; en: string } | undefined, language: "zh" | "en"): string {
  if (!text) return "";
  if (typeof text !== "string") return text[language];
  const first = text.search(CJK);
  if (first < 0) return text;
  // English first: the Chinese begins after a full stop or a slash. A Chinese term inside a sentence is not a second text.
  const head = /^([^\u3400-\u9fff]*[a-z]{3}[^\u3400-\u9fff]*?[.;:)/])\s*(?=[\u3400-\u9fff])/i.exec(text);
  if (head?.[1]) return language === "en" ? clean(head[1]) : clean(text.slice(head[0].length));
  // «排队中 waiting in the queue»: no stop between, but no Latin letter in the Chinese part either.
  const short = /^([^a-z]*[\u3400-\u9fff][^a-z]*?)\s+([a-z][^\u3400-\u9fff]*)$/i.exec(text);
  if (short?.[1] && short[2] && /[a-z]{3}/.test(short[2])) return language === "en" ? short[2] : clean(short[1]);
  const tail = /^(.*[\u3400-\u9fff][^a-z]*?)\s+([A-Z][^\u3400-\u9fff]*[a-z]{2}[^\u3400-\u9fff]*)$/s.exec(text);
  if (tail?.[1] && tail[2]) return language === "en" ? clean(tail[2]) : clean(tail[1]);
  return text;
}

const clean = (text: string): string => text.replace(/^[\s/]+|[\s/]+$/g, "");

/** A short Chinese name from a description («产水系数（无量纲）：…» → 产水系数), for schemas whose titles are English only. */
function shortName(title: string, description: string): string {
  if (lang() === "en" || CJK.test(title) || !CJK.test(description)) return title.charAt(0).toUpperCase() + title.slice(1);
  return description.split(/[（(：:；;，,。]/)[0] ?? title;
}

export function fieldsOf(inputs: Record<string, ProcessInput>, skip: readonly string[] = []): FormField[] {
  return Object.entries(inputs)
    // Layers that may be replaced by others are a matter of the API, not of this form.
    .filter(([name, input]) => !skip.includes(name) && input.schema.format !== "ogc-collection")
    .map(([name, input]) => {
      const schema = core(input.schema);
      const language = lang();
      const description = inLanguage(input.description ?? schema.description, language);
      return {
        name,
        kind: kindOf(input.schema),
        required: (input.minOccurs ?? (schema.default === undefined ? 1 : 0)) > 0 && schema.default === undefined,
        schema,
        title: shortName(inLanguage(input.title ?? schema.title, language) || name, description),
        description,
      };
    });
}

/** What a field's text means; throws a `RangeError` whose message is for the user. */
export function readField(field: FormField, text: string): unknown {
  const { schema } = field;
  if (text.trim() === "") {
    if (field.required) throw new RangeError(t("fieldRequired", { name: field.title }));
    return undefined;
  }
  switch (field.kind) {
    case "number":
    case "integer": {
      const value = Number(text);
      const low = schema.minimum ?? schema.exclusiveMinimum;
      const high = schema.maximum ?? schema.exclusiveMaximum;
      const bad =
        !Number.isFinite(value) ||
        (field.kind === "integer" && !Number.isInteger(value)) ||
        (schema.minimum !== undefined && value < schema.minimum) ||
        (schema.maximum !== undefined && value > schema.maximum) ||
        (schema.exclusiveMinimum !== undefined && value <= schema.exclusiveMinimum) ||
        (schema.exclusiveMaximum !== undefined && value >= schema.exclusiveMaximum);
      if (bad) throw new RangeError(t("fieldRange", { name: field.title, low: low ?? "−∞", high: high ?? "∞" }));
      return value;
    }
    case "boolean":
      return text === "true";
    case "choice":
      return schema.enum?.find((v) => String(v) === text) ?? text;
    case "json":
      try {
        return JSON.parse(text) as unknown;
      } catch {
        throw new RangeError(t("fieldJson", { name: field.title }));
      }
    case "text":
      return text;
  }
}

export interface BuiltForm {
  element: HTMLElement;
  /** Inputs that the user set; throws `RangeError`. */
  read: () => Record<string, unknown>;
}

/** A value that the user can choose from, for a field that names a layer. */
export interface Suggestion {
  value: string;
  title: string;
}

const LAYER_PATTERN = "^[a-z][a-z0-9-]";

export function buildForm(
  fields: FormField[],
  values: Record<string, string> = {},
  layers: readonly Suggestion[] = [],
): BuiltForm {
  const controls = fields.map((field) => {
    const control = makeControl(field, values[field.name]);
    control.id = `input-${field.name}`;
    const toggle = control instanceof HTMLInputElement && control.type === "checkbox" ? control : null;
    // What is no number at all leaves `value` empty; it must not pass for «not given».
    const text = (): string => (toggle ? String(toggle.checked) : control.validity.badInput ? "?" : control.value);
    control.addEventListener("change", () => (values[field.name] = text()));
    const unit = typeof field.schema["x-unit"] === "string" ? ` (${String(field.schema["x-unit"])})` : "";
    const name = h("span", {}, `${field.title}${unit}${field.required ? " *" : ""}`);
    const hint = field.description && field.description !== field.title ? h("small", { class: "hint" }, field.description) : null;
    const namesLayer = String(field.schema["pattern"] ?? "").startsWith(LAYER_PATTERN) && layers.length > 0;
    const choices = namesLayer
      ? h("datalist", { id: `layers-${field.name}` }, layers.map((l) => h("option", { value: l.value }, l.title)))
      : null;
    if (choices) control.setAttribute("list", choices.id);
    const box = h("label", { class: toggle ? "field toggle" : "field", title: field.name }, toggle ? [control, name, hint] : [name, control, hint], choices);
    return { field, control, text, box };
  });
  return {
    element: h("div", { class: "stack" }, controls.map((c) => c.box)),
    read: () => {
      const inputs: Record<string, unknown> = {};
      for (const { field, control, text } of controls) {
        control.removeAttribute("aria-invalid");
        try {
          const value = readField(field, text());
          // What the server does anyway is not sent.
          if (value !== undefined && value !== field.schema.default) inputs[field.name] = value;
        } catch (error) {
          control.setAttribute("aria-invalid", "true");
          // A field inside a closed «details» cannot take the focus.
          control.closest("details")?.setAttribute("open", "");
          control.focus();
          throw error;
        }
      }
      return inputs;
    },
  };
}

function makeControl(field: FormField, value: string | undefined): HTMLInputElement | HTMLSelectElement {
  const { schema } = field;
  const initial = value ?? "";
  const fallback = schema.default;
  const shown = fallback === undefined || fallback === null ? "" : typeof fallback === "object" ? JSON.stringify(fallback) : String(fallback);
  if (field.kind === "boolean" && shown)
    return h("input", { type: "checkbox", role: "switch", checked: (value ?? shown) === "true" });
  if (field.kind === "boolean" || field.kind === "choice") {
    const options = field.kind === "boolean" ? ["true", "false"] : (schema.enum ?? []).map(String);
    const name = (v: string): string => (field.kind === "boolean" ? t(v === "true" ? "yes" : "no") : v);
    return h(
      "select",
      {},
      shown ? null : h("option", { value: "" }, "—"),
      options.map((v) =>
        h("option", { value: v, selected: v === (initial || shown) }, v === shown ? t("optionDefault", { value: name(v) }) : name(v)),
      ),
    );
  }
  if (field.kind === "number" || field.kind === "integer")
    return h("input", {
      type: "number",
      step: field.kind === "integer" ? "1" : "any",
      min: schema.minimum ?? schema.exclusiveMinimum,
      max: schema.maximum ?? schema.exclusiveMaximum,
      value: initial,
      placeholder: shown ? t("defaultIs", { value: shown }) : "",
    });
  return h("input", { type: "text", value: initial, placeholder: shown ? t("defaultIs", { value: shown }) : "" });
}
