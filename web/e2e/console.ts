/** What the browser tests share: signing in, waiting, and the address of every page. */

import { type Page } from "playwright-core";
import type { Server } from "./server";

export async function signIn(page: Page, server: Server): Promise<void> {
  await page.goto(server.origin);
  await page.getByLabel("Email").fill(server.operator.email);
  await page.getByLabel("Password").fill(server.operator.password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Overview" }).waitFor();
}

/** Waits until nothing on the page says that it is loading. */
export async function settled(page: Page): Promise<void> {
  await page.locator("main h1").waitFor();
  await page.waitForFunction(() => document.querySelector(".skeleton") === null);
}

/** An answer of the API, for setting a test up and for looking behind the page. */
export async function call(
  server: Server,
  method: string,
  path: string,
  body?: unknown,
): Promise<unknown> {
  const login = await fetch(`${server.origin}/v1/auth/login`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(server.operator),
  });
  const { token } = (await login.json()) as { token: string };
  const raw = typeof body === "string";
  const answer = await fetch(server.origin + path, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      "content-type": raw ? "text/toml" : "application/json",
    },
    ...(body === undefined ? {} : { body: raw ? body : JSON.stringify(body) }),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
  return text === "" ? null : JSON.parse(text);
}

interface Items<T> {
  items: T[];
}

/** Asks until there is an item: what the demo's jobs make is not there at once. */
async function firstOf<T>(server: Server, path: string): Promise<T> {
  for (let patience = 60; patience > 0; patience--) {
    const [item] = ((await call(server, "GET", path)) as Items<T>).items;
    if (item !== undefined) return item;
    await new Promise((later) => setTimeout(later, 500));
  }
  throw new Error(`nothing came of ${path}`);
}

/** Every page of the console, by the name of its screenshot. */
export async function everyPage(server: Server): Promise<[name: string, path: string][]> {
  const records = "/v1/tenants/acme/records";
  const record = await firstOf<{ id: string }>(server, `${records}/ticket?limit=1`);
  const report = await firstOf<{ id: string }>(server, `${records}/report?limit=1`);
  const run = await firstOf<{ id: string }>(server, "/v1/runs?tenant=acme&limit=1");
  return [
    ["overview", "/"],
    ["tenants", "/tenants"],
    ["tenant", "/tenants/acme"],
    ["tenant-keys", "/tenants/acme?tab=keys"],
    ["tenant-jobs", "/tenants/acme?tab=jobs"],
    ["records-choose", "/records"],
    ["records", "/records/acme/ticket?_index=by_status&status=open"],
    ["records-all", "/records/acme/ticket?tier=all&limit=100"],
    ["record", `/records/acme/ticket/${record.id}`],
    ["record-json", `/records/acme/ticket/${record.id}?tab=json`],
    ["record-edit", `/records/acme/ticket/${record.id}?tab=edit`],
    ["record-edit-json", `/records/acme/ticket/${record.id}?tab=edit-json`],
    ["app", "/app"],
    ["app-jobs", "/app?tab=jobs"],
    ["app-costs", "/app?tab=costs&tenant=acme"],
    ["app-edit", "/app?tab=edit"],
    ["app-versions", "/app?tab=versions"],
    ["jobs", "/jobs"],
    ["jobs-queue", "/jobs?tab=queue"],
    ["jobs-pauses", "/jobs?tab=pauses"],
    ["job", "/jobs/daily-report"],
    ["job-failures", "/jobs/daily-report?tab=failures"],
    ["job-definition", "/jobs/daily-report?tab=definition"],
    ["runs", "/runs"],
    ["run", `/runs/${run.id}`],
    ["report", `/reports/acme/${report.id}`],
    ["archive", "/archive"],
    ["archive-tenant", "/archive/acme"],
    ["archive-plan", "/archive/acme?tab=plan"],
    ["archive-holds", "/archive/acme?tab=holds"],
    ["archive-receipts", "/archive/acme?tab=receipts"],
    ["backups", "/backups"],
    ["settings", "/settings"],
    ["settings-store", "/settings?tab=store"],
    ["settings-operators", "/settings?tab=operators"],
    ["not-found", "/settings/none"],
  ];
}

/** Opens a place of the console by its menu, which a phone folds away. */
export async function goTo(page: Page, place: string): Promise<void> {
  const menu = page.getByRole("button", { name: "Menu" });
  if (await menu.isVisible()) await menu.click();
  await page
    .getByRole("navigation", { name: "Console" })
    .getByRole("link", { name: place })
    .click();
  await page.getByRole("heading", { name: place, level: 1 }).waitFor();
}
