/** JSON whose numbers stay as they were written, also those that JavaScript's cannot hold. */

/** A number that JavaScript's cannot hold: its digits as they were written. */
interface RawNumber {
  rawJSON: string;
}

// The language has these since 2025 (ECMAScript's "JSON.parse source text access"); TypeScript's
// library does not name them yet. An older browser rounds such numbers in what it shows.
const json = JSON as typeof JSON & {
  rawJSON?: (text: string) => RawNumber;
  isRawJSON?: (value: unknown) => boolean;
};
type Reviver = (
  this: unknown,
  key: string,
  value: unknown,
  context?: { source?: string },
) => unknown;

export function parse(text: string): unknown {
  const reviver: Reviver = (_, value, context) => {
    if (typeof value !== "number" || context?.source === undefined) return value;
    return isExact(value, context.source) ? value : (json.rawJSON?.(context.source) ?? value);
  };
  return JSON.parse(text, reviver as Parameters<typeof JSON.parse>[1]);
}

/** Whether a double says the same number as the text. */
function isExact(value: number, source: string): boolean {
  return String(value) === source || (!/^-?\d{16,}$/.test(source) && source.length < 17);
}

/** A value as a short text: for cells and headings. */
export function shown(value: unknown): string {
  if (value === null || value === undefined) return "–";
  if (typeof value === "string") return value;
  if (typeof value === "boolean") return value ? "Yes" : "No";
  return JSON.stringify(value);
}

export const pretty = (value: unknown) => JSON.stringify(value, null, 2);

export type Fields = Record<string, unknown>;

export function isObject(value: unknown): value is Fields {
  const plain = typeof value === "object" && value !== null && !Array.isArray(value);
  return plain && json.isRawJSON?.(value) !== true;
}

/** Reads an object that somebody typed; says what is wrong and where. */
export function parseObject(text: string): { value: Fields } | { fault: string } {
  try {
    const value = parse(text);
    return isObject(value) ? { value } : { fault: "Expected a JSON object: { … }" };
  } catch (error) {
    return { fault: error instanceof Error ? error.message : String(error) };
  }
}
