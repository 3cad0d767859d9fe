/**
 * A help desk's real log in the console: its largest customers' tickets are found, counted and
 * corrected. Skipped where the file is not there; TENANTRY_TEST_DATA names its folder.
 */

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openPage, startBrowser, type Browser } from "./browser";
import { call, settled, signIn } from "./console";
import { startServer, type Server } from "./server";

const FOLDER = process.env.TENANTRY_TEST_DATA ?? resolve("../../shared/data");
const FILE = join(FOLDER, "incident_event_log.csv.gz");
const THERE = existsSync(FILE);
const TENANTS = 5;
const PRIORITY = "3 - Moderate";
const MONTH = "2016-05";
const APP = `
[entity.incident]
title = "number"

[entity.incident.schema]
properties.opened = { type = "string", format = "date-time" }
properties.number = { type = "string" }
properties.priority = { enum = ["1 - Critical", "2 - High", "3 - Moderate", "4 - Low"] }

[[entity.incident.index]]
name = "by_priority"
fields = ["priority", "opened"]
count = true
`;

if (!THERE) console.log(`SKIPPED: ${FILE} is not there; TENANTRY_TEST_DATA names another folder`);

type Ticket = Record<string, string>;

/** The last version of every ticket, of the tenants that have most. The file quotes nothing. */
function tickets(): Map<string, Ticket[]> {
  const [head = "", ...rows] = gunzipSync(readFileSync(FILE)).toString().trim().split(/\r?\n/);
  const names = head.split(",");
  const last = new Map<string, Ticket>();
  for (const row of rows) {
    const values = row.split(",");
    const ticket: Ticket = Object.fromEntries(names.map((name, at) => [name, values[at] ?? ""]));
    const [day = "", month = "", year, time] = (ticket.opened_at ?? "").split(/[/ ]/);
    ticket.opened = `${year}-${month.padStart(2, "0")}-${day.padStart(2, "0")}T${time}:00Z`;
    last.set(ticket.number ?? "", ticket);
  }
  const tenants = new Map<string, Ticket[]>();
  for (const ticket of last.values()) {
    const tenant = (ticket.location ?? "?").toLowerCase().replaceAll(" ", "-").replace("?", "none");
    tenants.set(tenant, [...(tenants.get(tenant) ?? []), ticket]);
  }
  const byNumber = [...tenants].sort(([, a], [, b]) => b.length - a.length);
  return new Map(byNumber.slice(0, TENANTS));
}

describe.skipIf(!THERE)("a help desk's log", () => {
  const all = THERE ? tickets() : new Map<string, Ticket[]>();
  const [tenant = "", most = []] = [...all][0] ?? [];
  let server: Server;
  let browser: Browser;

  beforeAll(async () => {
    server = await startServer();
    await call(server, "PUT", "/v1/app", APP);
    const file = join(tmpdir(), `tenantry-incidents-${process.pid}.ndjson`);
    for (const [tenant, tickets] of all) {
      await server.run("tenant", "create", tenant);
      const lines = tickets.map((ticket) => JSON.stringify(ticket));
      writeFileSync(file, lines.join("\n"));
      await server.run("import", "-t", tenant, "-e", "incident", "--id-field", "number", file);
    }
    browser = await startBrowser();
  }, 120_000);
  afterAll(async () => {
    await browser?.close();
    await server?.stop();
  });

  test("a month's tickets are counted, and one is corrected", async () => {
    const { page } = await openPage(browser.context);
    await signIn(page, server);
    await page.goto(`${server.origin}/tenants/${tenant}`);
    await page.getByRole("cell", { name: most.length.toLocaleString("en") }).waitFor();

    await page.goto(`${server.origin}/records/${tenant}/incident`);
    await page.getByLabel("Look up by").selectOption("by_priority");
    await page.getByLabel("priority", { exact: true }).selectOption(PRIORITY);
    await page.getByText(/Index by_priority · \d+ keys read/).waitFor();
    await page.getByRole("button", { name: "Count all" }).click();
    const moderate = most.filter(({ priority }) => priority === PRIORITY);
    await page.getByText(`${moderate.length.toLocaleString("en")} records in all`).waitFor();

    const query = new URLSearchParams({
      _index: "by_priority",
      priority: PRIORITY,
      "opened[gte]": `${MONTH}-01`,
      "opened[lt]": "2016-06-01",
      limit: "500",
    });
    await page.goto(`${server.origin}/records/${tenant}/incident?${query}`);
    await settled(page);
    const inMonth = moderate.filter(({ opened = "" }) => opened.startsWith(MONTH));
    expect(inMonth.length).toBeGreaterThan(50);
    const rows = page.locator("tbody tr");
    await rows.nth(Math.min(inMonth.length, 500) - 1).waitFor();
    if (inMonth.length < 500) expect(await rows.count()).toBe(inMonth.length);

    const [ticket] = inMonth;
    const path = `incident/${ticket?.number}`;
    await page.goto(`${server.origin}/records/${tenant}/${path}?tab=edit`);
    await page.getByLabel("priority", { exact: true }).selectOption("1 - Critical");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("Saved as version 2.").waitFor();
    const now = (await call(server, "GET", `/v1/tenants/${tenant}/records/${path}`)) as {
      data: Ticket;
    };
    // What the form did not touch stays as the log had it.
    expect(now.data).toEqual({ ...ticket, priority: "1 - Critical" });
  }, 60_000);
});
