/** What the server tells by itself: server-sent events, with a quiet reconnect. */

import type { Sample } from "./api";

export type Topic = "runs" | "app" | "tenants" | "sample";
type Listener = (data: unknown) => void;

/** After so long without a word the connection counts as lost. */
const SILENCE_MS_MAX = 20_000;
const RETRY_MS = 2_000;

class Live {
  /** Whether the stream is open; what is shown may be old while it is not. */
  state = $state<"off" | "open" | "lost">("off");
  /** When the stream was lost. */
  since = $state<Date | null>(null);

  private source: EventSource | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly listeners = new Map<Topic, Set<Listener>>();

  start(): void {
    if (this.source !== undefined) return;
    const source = new EventSource("/v1/events");
    this.source = source;
    source.addEventListener("open", () => {
      const back = this.state === "lost";
      this.state = "open";
      this.since = null;
      this.heard();
      // What changed meanwhile was not heard of.
      if (back) for (const topic of ["runs", "app", "tenants"] as const) this.tell(topic, null);
    });
    source.addEventListener("error", () => {
      this.lost();
      if (source.readyState === EventSource.CLOSED) this.again();
    });
    source.addEventListener("sample", (event) => {
      this.heard();
      this.tell("sample", JSON.parse(event.data) as Sample);
    });
    source.addEventListener("changed", (event) => {
      this.heard();
      const { topics } = JSON.parse(event.data) as { topics: Topic[] };
      for (const topic of topics) this.tell(topic, null);
    });
  }

  stop(): void {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = undefined;
    this.state = "off";
    this.since = null;
  }

  /** Calls back at each word on a topic, until the answer is called. */
  on(topic: Topic, listener: Listener): () => void {
    const all = this.listeners.get(topic) ?? new Set();
    this.listeners.set(topic, all.add(listener));
    return () => all.delete(listener);
  }

  private tell(topic: Topic, data: unknown): void {
    for (const listener of this.listeners.get(topic) ?? []) listener(data);
  }

  private heard(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.lost();
      this.again();
    }, SILENCE_MS_MAX);
  }

  private lost(): void {
    if (this.state === "lost") return;
    this.state = "lost";
    this.since = new Date();
  }

  private again(): void {
    clearTimeout(this.timer);
    this.source?.close();
    this.timer = setTimeout(() => {
      this.source = undefined;
      this.start();
    }, RETRY_MS);
  }
}

export const live = new Live();
