/** Something read from the server: what it is, whether it is being read, why it failed. */

import { untrack } from "svelte";
import { problemOf, type Problem } from "./api";
import { live, type Topic } from "./live.svelte";

/** While the server does not answer it is asked again after this. */
const RETRY_MS = 2_000;

export class Resource<T> {
  value = $state.raw<T | undefined>();
  problem = $state.raw<Problem | undefined>();
  loading = $state(true);
  private turn = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly read: () => Promise<T>) {}

  /** Reads anew; what is there stays shown meanwhile. An older answer never replaces a newer. */
  async load(): Promise<void> {
    const turn = ++this.turn;
    clearTimeout(this.timer);
    this.loading = true;
    try {
      const value = await this.read();
      if (turn !== this.turn) return;
      this.value = value;
      this.problem = undefined;
    } catch (error) {
      if (turn !== this.turn) return;
      this.problem = problemOf(error);
      if (this.problem.status === 0) this.timer = setTimeout(() => void this.load(), RETRY_MS);
    }
    this.loading = false;
  }

  close(): void {
    this.turn++;
    clearTimeout(this.timer);
  }
}

/**
 * A resource of a component, read when it appears, when anything reactive that `read` uses
 * (before its first await) changes, and when the server says that one of `topics` changed.
 */
export function resource<T>(read: () => Promise<T>, topics: Topic[] = []): Resource<T> {
  const made = new Resource(read);
  $effect(() => {
    void made.load();
    return () => made.close();
  });
  $effect(() => {
    const again = () => untrack(() => void made.load());
    const stops = topics.map((topic) => live.on(topic, again));
    return () => stops.forEach((stop) => stop());
  });
  return made;
}
