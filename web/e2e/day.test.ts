/** A day in the life of the operator, on a desk and on a phone, through the real server. */

import { readFileSync } from "node:fs";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openPage, startBrowser, type Browser } from "./browser";
import { call, goTo, settled, signIn } from "./console";
import { startServer, type Server } from "./server";

const VIEWS = [
  { view: "a desk", width: 1280, height: 800 },
  { view: "a phone", width: 360, height: 740 },
];
const HOOK = `
[job.hook]
kind = "webhook"
retries = { max = 0 }
with = { entity = "ticket", url = "https://127.0.0.1:9/" }
`;
const INDEX = `
[[entity.ticket.index]]
name = "by_subject"
fields = ["subject"]
`;

interface Row {
  id: string;
  tier: string;
  version: number;
  data: { subject: string };
}

interface Backup {
  id: string;
  state: string;
  verification: { at: string; result: string } | null;
}

describe.each(VIEWS)("on $view", ({ width, height }) => {
  let server: Server;
  let browser: Browser;
  let page: Page;
  let wrong: string[];

  beforeAll(async () => {
    server = await startServer({ demo: true });
    browser = await startBrowser();
    ({ page, wrong } = await openPage(browser.context));
    await page.setViewportSize({ width, height });
    await signIn(page, server);
  });
  afterAll(async () => {
    await browser?.close();
    await server?.stop();
  });

  const get = (path: string) => call(server, "GET", path);
  const rows = async (query: string) =>
    ((await get(`/v1/tenants/acme/records/ticket?${query}`)) as { items: Row[] }).items;

  const newestBackup = async () => ((await get("/v1/backups")) as { items: Backup[] }).items[0];

  /** Appends to the app file through the editor and applies it. */
  async function declare(more: string, replace?: [string, string]): Promise<void> {
    await goTo(page, "App");
    await page.getByRole("link", { name: "Edit the app file" }).click();
    const file = page.getByLabel("app.toml");
    await page.waitForFunction(() => document.querySelector("textarea")?.value !== "");
    let text = (await file.inputValue()) + more;
    if (replace) {
      expect(text).toContain(replace[0]);
      text = text.replace(replace[0], replace[1]);
    }
    await file.fill(text);
    await page.getByRole("button", { name: "See what would change" }).click();
    await page.getByRole("dialog").waitFor();
  }

  async function applyIt(): Promise<void> {
    await page.getByRole("dialog").getByRole("button", { name: "Apply" }).click();
    await page.getByText(/Version \d+ is applied/).waitFor();
    await page.getByText(/Version \d+ is applied/).waitFor({ state: "detached" });
  }

  test("a customer's record is found and corrected, also when somebody else was quicker", async () => {
    await goTo(page, "Tenants");
    await page.getByRole("searchbox").fill("acme");
    await page.getByRole("link", { name: "Acme Tools" }).click();
    await page.getByRole("link", { name: "ticket", exact: true }).click();
    await page.getByLabel("Look up by").selectOption("by_status");
    await page.getByLabel("status", { exact: true }).selectOption("pending");
    await page.getByText(/Index by_status · \d+ keys read/).waitFor();
    expect(new URL(page.url()).searchParams.get("status")).toBe("pending");
    await page.locator("tbody a").first().click();
    await settled(page);

    await page.getByRole("link", { name: "Edit", exact: true }).click();
    await page.getByLabel("subject").fill("Corrected by hand");
    await page.getByRole("button", { name: "Save" }).click();
    await page.getByText("Saved as version 2.").waitFor();
    await page.getByRole("heading", { name: "Corrected by hand" }).waitFor();
    const path = `/v1/tenants/acme${new URL(page.url()).pathname.replace("/records/acme", "/records")}`;
    expect(((await get(path)) as Row).data.subject).toBe("Corrected by hand");

    await page.getByRole("link", { name: "Edit as JSON" }).click();
    const area = page.getByLabel("Data");
    const mine = (await area.inputValue()).replace("Corrected by hand", "Mine");
    const theirs = JSON.parse(mine.replace("Mine", "Theirs")) as unknown;
    await call(server, "PUT", path, theirs);
    await area.fill(mine);
    await page.getByRole("button", { name: "Save" }).click();
    const conflict = page.getByRole("dialog", { name: /Somebody else changed/ });
    await conflict.getByText('"Theirs"').waitFor();
    await conflict.getByRole("button", { name: "Save mine over it" }).click();
    await page.getByText("Saved as version 4.").waitFor();
    expect(((await get(path)) as Row).data.subject).toBe("Mine");
  });

  test("a failed run is found, its log read, and it is tried again", async () => {
    await declare(HOOK);
    await page.getByRole("dialog").getByText("Job hook").waitFor();
    await applyIt();
    await goTo(page, "Jobs");
    await page.getByRole("link", { name: "hook" }).click();
    await page.getByRole("button", { name: "Run now" }).first().click();
    const asking = page.getByRole("dialog");
    await asking.getByRole("combobox", { name: "Tenant" }).fill("acme");
    await asking.getByRole("button", { name: "Run now" }).click();
    await page.getByRole("button", { name: "Retry" }).waitFor();
    await page.getByText("Attempt 1 began").waitFor();

    await goTo(page, "Jobs");
    await page.getByRole("link", { name: "hook", exact: true }).click();
    await page.getByRole("link", { name: "Failures" }).click();
    await page.getByText("1 run of 1 tenant").waitFor();
    await page.getByRole("link", { name: /^Open run acme\.hook/ }).click();
    await page.getByRole("button", { name: "Retry" }).click();
    await page.getByText("Attempt 2 began").waitFor();
    await page.getByRole("button", { name: "Retry" }).waitFor();
  });

  test("a rule is tried before it is saved; what it archived comes back", async () => {
    await declare("", ['after = "90d"', 'after = "30d"']);
    const change = page.getByRole("dialog");
    await change.getByText("Archive rule of ticket").waitFor();
    await change.getByText(/[\d,]+ records? \(.*\) would be\s+archived/).waitFor();
    await change.getByRole("cell", { name: "demo" }).waitFor();
    await applyIt();

    await goTo(page, "Archive");
    await page.getByRole("link", { name: "demo" }).first().click();
    await page.getByRole("button", { name: "Archive what is due" }).click();
    await page.getByText("Succeeded").first().waitFor();
    const archived = (await get("/v1/tenants/demo/records/ticket?tier=archive&limit=1")) as {
      items: Row[];
    };
    expect(archived.items).toHaveLength(1);

    await page.goto(`${server.origin}/records/demo/ticket?tier=archive`);
    await page.locator("tbody a").first().click();
    await page.getByRole("button", { name: "Restore" }).click();
    await page.getByText("Restored.").waitFor();
    await page.getByText("Stays hot until").waitFor();
  });

  test("an index is added, watched while it is built, and used", async () => {
    await declare(INDEX);
    await page.getByRole("dialog").getByText("Index ticket.by_subject").waitFor();
    await applyIt();
    const entity = page.locator("section", { has: page.getByRole("heading", { name: "ticket" }) });
    const row = entity.locator("li", { hasText: "by_subject" });
    await row.getByText("ready").waitFor();
    await page.goto(`${server.origin}/records/acme/ticket?_index=by_subject&subject[prefix]=Mi`);
    await page.getByText(/Index by_subject/).waitFor();
    await page.getByRole("link", { name: "Mine" }).waitFor();
  });

  test("a file with bad rows is imported, and the bad rows are fetched", async () => {
    await page.goto(`${server.origin}/records/acme/comment`);
    await page.getByRole("button", { name: "Import" }).click();
    const dialog = page.getByRole("dialog");
    const bad = '{"text":"no ticket"}\n{"ticket_id":7,"text":"a number"}\n';
    const lines = `{"ticket_id":"a","text":"one"}\n${bad}{"ticket_id":"a","text":"two"}\n`;
    const file = { name: "notes.ndjson", mimeType: "application/x-ndjson" };
    await dialog.getByLabel(/^File/).setInputFiles({ ...file, buffer: Buffer.from(lines) });
    await dialog.getByRole("button", { name: "Import", exact: true }).click();
    await dialog.getByRole("region", { name: "Rejected rows" }).waitFor();
    const download = page.waitForEvent("download");
    await dialog.getByRole("button", { name: "Fetch the rejected rows" }).click();
    const saved = await download;
    expect(saved.suggestedFilename()).toBe("notes.rejected.ndjson");
    expect(readFileSync(await saved.path(), "utf8")).toBe(bad);
    await dialog.getByRole("button", { name: "Done" }).click();
    await page.getByText("2 records were written.").waitFor();
    await page.locator("tbody tr").nth(1).waitFor();
  });

  test("a backup is made and found whole", async () => {
    await goTo(page, "Backups");
    await page.getByText("There is no backup yet").waitFor();
    await page.getByRole("button", { name: "Back up now" }).click();
    const row = page.locator("tbody tr");
    await row.getByText("complete", { exact: true }).waitFor({ timeout: 30_000 });
    await row.getByText("whole", { exact: true }).waitFor({ timeout: 30_000 });
    const first = await newestBackup();
    expect(first).toMatchObject({ state: "complete", verification: { result: "whole" } });
    await page.getByRole("button", { name: `Verify ${first?.id}` }).click();
    const again = async () => (await newestBackup())?.verification?.at;
    await expect.poll(again, { timeout: 20_000 }).not.toBe(first?.verification?.at);
    await page.getByRole("button", { name: `Delete ${first?.id}` }).click();
    await page.getByRole("button", { name: "Delete the backup" }).click();
    await page.getByText("There is no backup yet").waitFor();
    expect(await newestBackup()).toBeUndefined();
  }, 90_000);

  test("a server that is killed and comes back: the page says so, and goes on", async () => {
    await page.goto(`${server.origin}/records/acme/ticket`);
    await page.locator("tbody a").first().waitFor();
    await server.kill();
    await page.getByText("Not connected").waitFor();
    await page.getByRole("button", { name: "Show more" }).click();
    await page.getByText("The server does not answer").waitFor();
    await server.start();
    await page.getByText("Not connected").waitFor({ state: "detached" });
    await page.getByRole("button", { name: "Try again" }).click();
    await page.locator("tbody tr").nth(60).waitFor();
    const [first] = await rows("limit=1");
    expect(first?.version).toBeGreaterThan(0);
  });

  test("nothing complained meanwhile but what was refused on purpose", () => {
    const expected =
      /status of (401|412|422|503)|ERR_CONNECTION|ERR_INCOMPLETE|ERR_EMPTY|request failed/;
    expect(wrong.filter((text) => !expected.test(text))).toEqual([]);
  });
});
