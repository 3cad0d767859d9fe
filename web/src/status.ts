/**
 * What the server says of itself, as one value that the page can draw.
 *
 * `/healthz` answers whenever the process runs; `/readyz` answers 200 when the
 * server takes requests and 503 with `reasons` when it does not. Whoever
 * answers may also be a proxy in front of a server that is gone, so no body is
 * trusted to have that shape.
 */

/** The answer to one probe; `null` where none came. */
export interface Probe {
  status: number;
  /** The parsed body, or `undefined` where it is no JSON. */
  body: unknown;
}

export type ServerState =
  | { kind: "loading" }
  | { kind: "ready"; version: string | undefined }
  | { kind: "not-ready"; version: string | undefined; reasons: string[] }
  | { kind: "unreachable" };

export interface Reading {
  state: ServerState;
  health: Probe | null;
  ready: Probe | null;
}

const ANSWER_MS_MAX = 4_000;

/** Asks both probes at once. Never rejects: silence is an answer too. */
export async function readServer(ask: typeof fetch = fetch): Promise<Reading> {
  const [health, ready] = await Promise.all([probe(ask, "/healthz"), probe(ask, "/readyz")]);
  return { state: interpret(health, ready), health, ready };
}

/** Decides what the two answers mean together. */
export function interpret(health: Probe | null, ready: Probe | null): ServerState {
  if (health === null && ready === null) return { kind: "unreachable" };
  const version = textOf(health?.body, "version");
  if (health?.status === 200 && ready?.status === 200) return { kind: "ready", version };

  const reasons = reasonsOf(ready?.body);
  if (reasons.length === 0) {
    if (health?.status !== 200) reasons.push(describeProbe("/healthz", health));
    if (ready?.status !== 200) reasons.push(describeProbe("/readyz", ready));
  }
  return { kind: "not-ready", version, reasons };
}

async function probe(ask: typeof fetch, path: string): Promise<Probe | null> {
  try {
    const answer = await ask(path, {
      headers: { accept: "application/json" },
      cache: "no-store",
      signal: AbortSignal.timeout(ANSWER_MS_MAX),
    });
    return { status: answer.status, body: parsed(await answer.text()) };
  } catch {
    return null;
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The `reasons` of a readiness answer, each a text or an object with a `detail`. */
function reasonsOf(body: unknown): string[] {
  const reasons = fieldOf(body, "reasons");
  if (Array.isArray(reasons)) {
    return reasons
      .map((reason) => (typeof reason === "string" ? reason : textOf(reason, "detail")))
      .filter((reason) => reason !== undefined && reason !== "") as string[];
  }
  const detail = textOf(body, "detail");
  return detail === undefined ? [] : [detail];
}

function describeProbe(path: string, answer: Probe | null): string {
  return answer === null ? `${path} did not answer` : `${path} answered ${answer.status}`;
}

function textOf(body: unknown, field: string): string | undefined {
  const value = fieldOf(body, field);
  return typeof value === "string" ? value : undefined;
}

function fieldOf(body: unknown, field: string): unknown {
  if (typeof body !== "object" || body === null) return undefined;
  return (body as Record<string, unknown>)[field];
}
