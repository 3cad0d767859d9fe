/** The tenants and the app: read once, shared by all pages, fresh while the console is open. */

import { api, ok, type App, type Entity, type Schemas } from "./api";
import { live } from "./live.svelte";
import { Resource } from "./resource.svelte";

const PAGE = 500;

/** Every tenant, read in pages; by id. */
async function readTenants(): Promise<Schemas["Tenant"][]> {
  const all: Schemas["Tenant"][] = [];
  let cursor: string | null = null;
  do {
    const query: { limit: number; cursor?: string } = { limit: PAGE };
    if (cursor !== null) query.cursor = cursor;
    const page: Schemas["TenantList"] = await ok(api.GET("/v1/tenants", { params: { query } }));
    all.push(...page.items);
    cursor = page.next_cursor;
  } while (cursor !== null);
  return all;
}

export const tenants = new Resource(readTenants);
export const app = new Resource<App>(() => ok(api.GET("/v1/app")));

live.on("tenants", () => tenants.value && void tenants.load());
live.on("app", () => app.value && void app.load());

/** Reads what is not there yet; pages call it when they appear. */
export function need(...wanted: Resource<unknown>[]): void {
  for (const resource of wanted) if (resource.value === undefined) void resource.load();
}

/** An entity of the app, where there is one of this name. */
export function entityOf(name: string | undefined): Entity | undefined {
  return app.value?.entities.find((entity) => entity.name === name);
}

/** The name of a tenant beside its id. */
export function nameOf(id: string): string {
  return tenants.value?.find((tenant) => tenant.id === id)?.name ?? id;
}
