/**
 * Every page, wide and narrow, light and dark: nothing overflows, nothing complains, axe and
 * html-validate find nothing. With SCREENSHOTS set, each is also written there as a picture.
 */

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { HtmlValidate } from "html-validate";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openPage, startBrowser, type Browser } from "./browser";
import { everyPage, settled, signIn } from "./console";
import { startServer, type Server } from "./server";

const PICTURES = process.env.SCREENSHOTS;
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const VIEWS = [
  { view: "wide", width: 1360, height: 900 },
  { view: "narrow", width: 360, height: 740 },
];
const THEMES = ["light", "dark"] as const;

const html = new HtmlValidate({
  extends: ["html-validate:standard", "html-validate:a11y"],
  rules: {
    // The browser's own serialisation: void elements, boolean attributes, quotes.
    "void-style": "off",
    "attribute-boolean-style": "off",
    "attribute-empty-style": "off",
    "no-trailing-whitespace": "off",
    "doctype-style": "off",
    "long-title": "off",
    // Set through the style sheet's object model, which the policy allows.
    "no-inline-style": "off",
    // Buttons outside of forms do nothing by themselves; scrolling tables need the role.
    "no-implicit-button-type": "off",
    "prefer-native-element": "off",
    "no-redundant-role": "off",
    "valid-id": "off",
  },
});

let server: Server;
let browser: Browser;
let page: Page;
let wrong: string[];
let places: [name: string, path: string][];

beforeAll(async () => {
  server = await startServer({ demo: true });
  browser = await startBrowser();
  ({ page, wrong } = await openPage(browser.context));
  await signIn(page, server);
  places = await everyPage(server);
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

interface Violation {
  id: string;
  nodes: { html: string; failureSummary?: string }[];
}

async function violations(): Promise<string[]> {
  await page.evaluate(AXE);
  const found = (await page.evaluate(async () => {
    const axe = (globalThis as unknown as { axe: { run(): Promise<{ violations: unknown }> } }).axe;
    return (await axe.run()).violations;
  })) as Violation[];
  return found.flatMap(({ id, nodes }) =>
    nodes.map((node) => `${id}: ${node.html.slice(0, 200)} ${node.failureSummary ?? ""}`),
  );
}

describe.each(VIEWS)("$view", ({ view, width, height }) => {
  test.each(THEMES)(
    "every page, %s",
    async (theme) => {
      await page.setViewportSize({ width, height });
      await page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
      const complaints: string[] = [];
      for (const [name, path] of places) {
        wrong.length = 0;
        await page.goto(server.origin + path);
        await settled(page);
        const say = (text: string) => complaints.push(`${name}: ${text}`);
        for (const text of await page.evaluate(widestOverflow)) say(`too wide: ${text}`);
        for (const text of await violations()) say(`axe ${text}`);
        if (theme === "light") for (const text of await invalid(page)) say(`html ${text}`);
        for (const text of wrong) say(text);
        if (PICTURES) {
          const file = join(PICTURES, `${name}-${view}-${theme}.png`);
          await page.screenshot({ path: file, fullPage: true });
        }
      }
      expect(complaints).toEqual([]);
    },
    300_000,
  );
});

async function invalid(page: Page): Promise<string[]> {
  const report = await html.validateString(await page.content());
  return report.results.flatMap(({ messages }) =>
    messages.map(({ ruleId, message, line }) => `${ruleId}: ${message} (line ${line})`),
  );
}

/** Names what is wider than the window and is not inside a box that scrolls. */
function widestOverflow(): string[] {
  const width = document.documentElement.clientWidth;
  const inside = "pre, .scroll, .diff, .tabs, .log, .u-wrap, .sr-only, textarea";
  const wide = [...document.querySelectorAll("body *")].filter(
    (each) => each.getBoundingClientRect().right > width + 0.5 && each.closest(inside) === null,
  );
  const names = wide.map((each) => `${each.tagName}.${each.className}`);
  if (document.documentElement.scrollWidth > width) names.push("the document scrolls sideways");
  return names;
}
