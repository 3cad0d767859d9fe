/** What a form needs to know of an entity's JSON Schema. */

import { isObject, type Fields } from "./json";

export type Control =
  "text" | "long" | "choice" | "number" | "integer" | "boolean" | "moment" | "day" | "json";

export interface Field {
  name: string;
  control: Control;
  required: boolean;
  title: string;
  hint: string;
  /** Where only these values are allowed. */
  choices: unknown[];
  maxLength?: number;
}

const LONG_TEXT = 200;

/** The fields of an object's schema, those it requires first, and whatever `data` has beyond. */
export function fieldsOf(schema: unknown, data: Fields = {}): Field[] {
  const root = isObject(schema) ? schema : {};
  const properties = isObject(root.properties) ? root.properties : {};
  const required = Array.isArray(root.required) ? root.required : [];
  const names = [...Object.keys(properties)];
  for (const name of [...required, ...Object.keys(data)]) {
    if (typeof name === "string" && !names.includes(name)) names.push(name);
  }
  const isNeeded = (name: string) => Number(required.includes(name));
  names.sort((a, b) => isNeeded(b) - isNeeded(a));
  return names.map((name) => {
    const field = fieldOf(name, properties[name], required.includes(name));
    // A value that no control but this one can show and keep.
    const odd = name in data && typeof data[name] === "object" && data[name] !== null;
    return odd ? { ...field, control: "json" } : field;
  });
}

/** The field at a path such as `address.city`. */
export function fieldAt(schema: unknown, path: string): Field {
  let at: unknown = schema;
  for (const part of path.split(".")) {
    at = isObject(at) && isObject(at.properties) ? at.properties[part] : undefined;
  }
  // An index has a row for each item of a list.
  if (isObject(at) && at.type === "array") at = at.items;
  return fieldOf(path, path in SYSTEM ? SYSTEM[path] : at, false);
}

const SYSTEM: Record<string, Fields> = {
  id: { type: "string" },
  created_at: { type: "string", format: "date-time" },
  updated_at: { type: "string", format: "date-time" },
};

function fieldOf(name: string, given: unknown, required: boolean): Field {
  const schema = isObject(given) ? given : {};
  const text = (value: unknown) => (typeof value === "string" ? value : "");
  const types = [schema.type].flat().filter((type) => type !== "null");
  const type = types.length === 1 ? types[0] : undefined;
  const choices =
    "const" in schema ? [schema.const] : Array.isArray(schema.enum) ? schema.enum : [];
  const field: Field = {
    name,
    control: controlOf(schema, type, choices),
    required,
    title: text(schema.title) || name,
    hint: text(schema.description),
    choices,
  };
  if (typeof schema.maxLength === "number") field.maxLength = schema.maxLength;
  return field;
}

function controlOf(schema: Fields, type: unknown, choices: unknown[]): Control {
  if (choices.length > 0) return "choice";
  switch (type) {
    case "string":
      if (schema.format === "date-time") return "moment";
      if (schema.format === "date") return "day";
      return Number(schema.maxLength ?? 0) > LONG_TEXT ? "long" : "text";
    case "integer":
    case "number":
    case "boolean":
      return type;
    default:
      return "json";
  }
}

/** What stands in a control for a value. */
export function textOf(field: Field, value: unknown): string {
  if (value === undefined) return "";
  if (field.control === "json" || field.control === "choice") return JSON.stringify(value, null, 2);
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** The value that a control's text stands for: absent where it is empty. */
export function valueOf(field: Field, text: string): { value: unknown } | { fault: string } {
  if (text === "") return { value: undefined };
  switch (field.control) {
    case "text":
    case "long":
    case "moment":
    case "day":
      return { value: text };
    case "integer":
      if (!/^-?\d+$/.test(text.trim())) return { fault: "Expected a whole number." };
      return { value: Number(text) };
    case "number": {
      const value = Number(text);
      return Number.isFinite(value) ? { value } : { fault: "Expected a number." };
    }
    default:
      try {
        return { value: JSON.parse(text) };
      } catch (error) {
        return { fault: `Not JSON: ${error instanceof Error ? error.message : String(error)}` };
      }
  }
}

/** The top-level field that a JSON Pointer of a refusal leads into. */
export function fieldOfPointer(pointer: string | undefined): string | undefined {
  const part = pointer?.split("/").filter(Boolean)[0];
  return part?.replaceAll("~1", "/").replaceAll("~0", "~");
}
