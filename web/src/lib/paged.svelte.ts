/** A list that is read page by page, by cursor. */

import { problemOf, type Problem } from "./api";
import { resource, type Resource } from "./resource.svelte";
import type { Topic } from "./live.svelte";

interface Page<T> {
  items: T[];
  next_cursor: string | null;
}

export class Paged<T, P extends Page<T>> {
  more = $state.raw<T[]>([]);
  cursor = $state.raw<string | null>(null);
  busy = $state(false);
  problem = $state.raw<Problem>();

  constructor(
    readonly first: Resource<P>,
    private readonly read: (cursor: string) => Promise<P>,
  ) {}

  get items(): T[] {
    return [...(this.first.value?.items ?? []), ...this.more];
  }

  async next(): Promise<void> {
    if (this.cursor === null || this.busy) return;
    this.busy = true;
    try {
      const page = await this.read(this.cursor);
      this.more = [...this.more, ...page.items];
      this.cursor = page.next_cursor;
      this.problem = undefined;
    } catch (error) {
      this.problem = problemOf(error);
    }
    this.busy = false;
  }
}

/** A list of a component; it starts over when what `read` uses changes. */
export function paged<T, P extends Page<T>>(
  read: (cursor: string | undefined) => Promise<P>,
  topics: Topic[] = [],
): Paged<T, P> {
  const first = resource(() => read(undefined), topics);
  const list = new Paged<T, P>(first, read);
  $effect(() => {
    list.more = [];
    list.cursor = first.value?.next_cursor ?? null;
  });
  return list;
}
