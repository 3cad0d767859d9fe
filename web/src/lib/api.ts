/** The server's API, typed by its own OpenAPI document. */

import createClient from "openapi-fetch";
import type { components, paths } from "../generated/api";
import { session } from "./session.svelte";

export type Schemas = components["schemas"];

/** What a GET of a path answers. */
export type Got<Path extends keyof paths> = paths[Path] extends {
  get: { responses: { 200: { content: { "application/json": infer Body } } } };
}
  ? Body
  : never;
export type App = Got<"/v1/app">;
export type Entity = App["entities"][number];
export type Index = Entity["indexes"][number];
export type Overview = Got<"/v1/overview">;
export type Sample = Overview["samples"][number];

export const api = createClient<paths>({ baseUrl: "", fetch: (request) => fetch(request) });

/** One thing that is wrong with what was sent: a field, or a place in an app file. */
export interface Fault {
  message: string;
  pointer?: string;
  line?: number;
  column?: number;
  key?: string;
}

/** Why a request was refused (RFC 9457), or why there is no answer (status 0). */
export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly title: string;
  readonly faults: Fault[];
  readonly suggestion: string | undefined;
  readonly requestId: string | undefined;

  constructor(status: number, body: unknown) {
    const said = (typeof body === "object" && body !== null ? body : {}) as Record<string, unknown>;
    const text = (name: string) => (typeof said[name] === "string" ? said[name] : undefined);
    super(text("detail") ?? text("title") ?? `The server answered ${status}.`);
    this.status = status;
    this.code = text("code") ?? "";
    this.title = text("title") ?? "The request failed";
    this.faults = Array.isArray(said.problems) ? (said.problems as Fault[]) : [];
    this.suggestion = text("suggestion");
    this.requestId = text("request_id");
  }

  /** The server gave no answer at all. */
  static unreachable(): Problem {
    return new Problem(0, {
      title: "The server does not answer",
      detail: "No answer came from the server. It may be restarting; this page tries again.",
    });
  }
}

type Answer<T> = { data?: T; error?: unknown; response: Response };

/** The answer's body; a refusal is thrown as a `Problem`. */
export async function ok<T>(call: Promise<Answer<T>>): Promise<T> {
  return (await answered(call)).data as T;
}

/** The answer with its headers; a refusal is thrown as a `Problem`. */
export async function answered<T>(call: Promise<Answer<T>>): Promise<Answer<T>> {
  let answer: Answer<T>;
  try {
    answer = await call;
  } catch {
    throw Problem.unreachable();
  }
  if (answer.response.ok) return answer;
  if (answer.response.status === 401) session.isOver();
  throw new Problem(answer.response.status, answer.error);
}

/** A request of the kind that the typed client has no words for: streams, files, TOML. */
export async function request(path: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, init);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw Problem.unreachable();
  }
  if (response.ok) return response;
  if (response.status === 401) session.isOver();
  throw new Problem(response.status, await response.json().catch(() => undefined));
}

/** Whatever was thrown, as a problem to show. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error;
  return new Problem(-1, { title: "The console failed", detail: String(error) });
}
