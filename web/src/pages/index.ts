/** Every page of the console, by path; each is loaded when it is opened. */

import type { Component } from "svelte";
import { match } from "../lib/path";

// A page's component takes the parts of its path as properties.
// eslint-disable-next-line @typescript-eslint/no-explicit-any
type AnyPage = Component<any>;
type Load = () => Promise<{ default: AnyPage }>;

const PAGES: [pattern: string, load: Load][] = [
  ["/", () => import("./Overview.svelte")],
  ["/sign-in", () => import("./Overview.svelte")],
  ["/tenants", () => import("./Tenants.svelte")],
  ["/tenants/:tenant", () => import("./Tenant.svelte")],
  ["/records", () => import("./Records.svelte")],
  ["/records/:tenant", () => import("./Records.svelte")],
  ["/records/:tenant/:entity", () => import("./Records.svelte")],
  ["/records/:tenant/:entity/:id", () => import("./Record.svelte")],
  ["/app", () => import("./AppFile.svelte")],
  ["/jobs", () => import("./Jobs.svelte")],
  ["/jobs/:job", () => import("./Job.svelte")],
  ["/runs", () => import("./Runs.svelte")],
  ["/runs/:run", () => import("./Run.svelte")],
  ["/reports/:tenant/:id", () => import("./Report.svelte")],
  ["/archive", () => import("./Archive.svelte")],
  ["/archive/:tenant", () => import("./ArchiveTenant.svelte")],
  ["/backups", () => import("./Backups.svelte")],
  ["/settings", () => import("./Settings.svelte")],
];

export interface Found {
  path: string;
  /** Pages with the same key keep their state while their parameters change. */
  key: string;
  params: Record<string, string>;
  load: Load;
}

export type Loaded = Found & { component: AnyPage };

export function pageOf(path: string): Found {
  for (const [pattern, load] of PAGES) {
    const params = match(pattern, path);
    if (params === null) continue;
    const key = pattern.startsWith("/records") && !("id" in params) ? "/records" : path;
    return { path, key, params, load };
  }
  return { path, key: path, params: {}, load: () => import("./NotFound.svelte") };
}
