import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Page } from "playwright-core";
import { openPage, startBrowser, type Browser } from "./browser";
import { startServer, type Server } from "./server";

let server: Server;
let browser: Browser;
let page: Page;
let wrong: string[];

beforeAll(async () => {
  server = await startServer();
  browser = await startBrowser();
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
});
beforeEach(async () => {
  ({ page, wrong } = await openPage(browser.context));
});
afterEach(() => page.close());

const stateIs = (kind: string) => page.waitForSelector(`#status[data-state="${kind}"]`);
const text = (selector: string) => page.locator(selector).innerText();

const VIEWPORTS = [
  { name: "wide", width: 1280, height: 800 },
  { name: "narrow", width: 360, height: 740 },
];

describe.each(VIEWPORTS)("the page, $name", ({ width, height }) => {
  test.each(["light", "dark"] as const)("shows the server ready in %s", async (colorScheme) => {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width, height });
    await page.goto(server.origin);
    await stateIs("ready");
    expect(await text("#status-title")).toBe("Ready");
    expect(await text("#probe-health")).toBe("200 OK");
    expect(await text("#probe-ready")).toBe("200 OK");
    expect(await text("#version")).toMatch(/^\d+\.\d+\.\d+/);
    expect(await page.locator("#steps .step").count()).toBe(4);
    expect(await text("#steps")).toContain(`${server.origin}/v1/tenants/`);
    expect(await page.evaluate(widestOverflow)).toEqual([]);
    expect(wrong).toEqual([]);
  });
});

test("the policy allows nothing inline, and every request stays on this origin", async () => {
  const hosts = new Set<string>();
  page.on("request", (request) => hosts.add(new URL(request.url()).origin));
  const answer = await page.goto(server.origin);
  await stateIs("ready");
  const policy = answer?.headers()["content-security-policy"] ?? "";
  expect(policy).toMatch(/(default|script)-src/);
  expect(policy).not.toContain("unsafe-");
  expect([...hosts]).toEqual([server.origin]);
});

test("reasons are shown when the server is not ready, and go when it is again", async () => {
  const reasons = ["the store is read-only: No space left on device", "index by_status is swept"];
  await page.route("**/readyz", (route) => route.fulfill({ status: 503, json: { reasons } }));
  await page.goto(server.origin);
  await stateIs("not-ready");
  expect(await page.locator("#status-reasons li").allInnerTexts()).toEqual(reasons);
  expect(await text("#probe-ready")).toBe("503");
  await page.unroute("**/readyz");
  await stateIs("ready");
  expect(await page.locator("#status-reasons").isVisible()).toBe(false);
});

test("a server that is gone is unreachable", async () => {
  await page.goto(server.origin);
  await stateIs("ready");
  await page.route(/\/(healthz|readyz)$/, (route) => route.abort("connectionrefused"));
  await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
  await stateIs("unreachable");
  expect(await text("#probe-health")).toBe("no answer");
});

test("a command is copied as it stands", async () => {
  await browser.context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.goto(server.origin);
  const step = page.locator("#steps .step").nth(2);
  await step.getByRole("button").click();
  await step.getByRole("button", { name: "Copy" }).filter({ hasText: "Copied" }).waitFor();
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(
    await step.locator("pre code").textContent(),
  );
});

/** Names what is wider than the window and is not inside a box that scrolls. */
function widestOverflow(): string[] {
  const width = document.documentElement.clientWidth;
  const wide = [...document.querySelectorAll("body *")].filter(
    (each) => each.getBoundingClientRect().right > width + 0.5 && each.closest("pre") === null,
  );
  const names = wide.map((each) => `${each.tagName}.${each.className}`);
  if (document.documentElement.scrollWidth > width) names.push("the document scrolls sideways");
  return names;
}
