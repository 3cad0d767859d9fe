/** From an empty installation to the first record, on a desk and on a phone. */

import type { Page } from "playwright-core";
import { afterEach, describe, expect, test } from "vitest";
import { openPage, startBrowser, type Browser } from "./browser";
import { call, goTo, signIn } from "./console";
import { startServer, type Server } from "./server";

let server: Server;
let browser: Browser;

afterEach(async () => {
  await browser?.close();
  await server?.stop();
});

const VIEWS = [
  { view: "a desk", width: 1280, height: 800 },
  { view: "a phone", width: 360, height: 740 },
];

describe.each(VIEWS)("on $view", ({ width, height }) => {
  test("first run to first record", { timeout: 90_000 }, async () => {
    server = await startServer();
    browser = await startBrowser();
    const { page, wrong } = await openPage(browser.context);
    await page.setViewportSize({ width, height });
    await refusesWrongPassword(page);
    wrong.length = 0;
    await signIn(page, server);

    await page.getByRole("link", { name: "Write the app file" }).click();
    const file = page.getByLabel("app.toml");
    const example = await file.inputValue();
    expect(example).toContain("[entity.ticket]");
    await file.fill(example.replace("[entity.ticket]", "[entity.ticket"));
    await page.getByRole("button", { name: "See what would change" }).click();
    await page
      .getByRole("button", { name: /^Line \d+$/ })
      .first()
      .waitFor();
    await file.fill(example);
    await page.getByRole("button", { name: "See what would change" }).click();
    const change = page.getByRole("dialog");
    await change.getByText("Entity ticket").waitFor();
    await change.getByRole("button", { name: "Apply" }).click();
    await page.getByText("Version 1 is applied.").waitFor();
    await page.getByRole("heading", { name: "ticket" }).waitFor();

    await goTo(page, "Overview");
    await page.getByRole("link", { name: "Make a tenant" }).click();
    const making = page.getByRole("dialog");
    await making.getByLabel("Name").fill("Acme Tools");
    expect(await making.getByLabel(/^Id/).inputValue()).toBe("acme-tools");
    await making.getByRole("button", { name: "Make the tenant" }).click();
    await page.getByRole("heading", { name: "Acme Tools" }).waitFor();

    await page.getByRole("link", { name: "ticket", exact: true }).click();
    await page.getByText("No records of ticket here yet").waitFor();
    await page.getByRole("button", { name: "New record" }).click();
    const form = page.getByRole("dialog");
    await form.getByLabel("subject").fill("Printer is on fire");
    await form.getByRole("button", { name: "Write the record" }).click();
    await form.locator('[aria-invalid="true"]').first().waitFor();
    await form.getByLabel("status").selectOption("open");
    await form.getByLabel("opened_at").fill("2026-03-14T09:26:53Z");
    await form.getByRole("button", { name: "Write the record" }).click();
    await page.getByRole("heading", { name: "Printer is on fire" }).waitFor();

    const { items } = (await call(server, "GET", "/v1/tenants/acme-tools/records/ticket")) as {
      items: { data: unknown }[];
    };
    expect(items.map(({ data }) => data)).toEqual([
      { subject: "Printer is on fire", status: "open", opened_at: "2026-03-14T09:26:53Z" },
    ]);
    // What the server refused is in the browser's console by itself.
    expect(wrong.filter((text) => !/status of (401|422)/.test(text))).toEqual([]);
  });
});

async function refusesWrongPassword(page: Page): Promise<void> {
  await page.goto(server.origin);
  await page.getByLabel("Email").fill(server.operator.email);
  await page.getByLabel("Password").fill("wrong");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("alert").waitFor();
  // After a wrong password the next try has to wait a moment.
  await page.waitForTimeout(1_000);
}
