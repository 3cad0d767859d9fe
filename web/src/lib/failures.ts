/** Failed runs, grouped by what went wrong. */

import type { Schemas } from "./api";

export interface Group {
  error: string;
  runs: Schemas["RunView"][];
  tenants: number;
}

/** The largest group first. Numbers and ids within errors make no groups of their own. */
export function grouped(runs: Schemas["RunView"][]): Group[] {
  const groups = new Map<string, Group>();
  for (const run of runs) {
    const error = run.error ?? "No reason was given.";
    const key = error.replace(/[0-9a-f]{8}-[0-9a-f-]{27}|\d+/gi, "#");
    const group = groups.get(key) ?? { error, runs: [], tenants: 0 };
    group.runs.push(run);
    groups.set(key, group);
  }
  const all = [...groups.values()];
  for (const group of all) group.tenants = new Set(group.runs.map(({ tenant }) => tenant)).size;
  return all.sort((a, b) => b.runs.length - a.runs.length);
}
