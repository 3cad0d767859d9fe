/** Chromium from the system, with nothing of its own to say to the network. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium, type BrowserContext, type Page } from "playwright-core";

const QUIET = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** How long a test waits for what should be there. */
const ACT_MS_MAX = 10_000;

export interface Browser {
  context: BrowserContext;
  close(): Promise<void>;
}

export async function startBrowser(): Promise<Browser> {
  const profile = mkdtempSync(join(tmpdir(), "tenantry-chromium-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    args: QUIET,
  });
  const close = async () => {
    await context.close();
    rmSync(profile, { recursive: true, force: true });
  };
  return { context, close };
}

/** A page that keeps every complaint: of the console, of scripts, of the network, of the CSP. */
export async function openPage(context: BrowserContext): Promise<{ page: Page; wrong: string[] }> {
  const page = await context.newPage();
  page.setDefaultTimeout(ACT_MS_MAX);
  const wrong: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") {
      wrong.push(`console: ${message.text()}`);
    }
  });
  page.on("pageerror", (error) => wrong.push(`script: ${error.message}`));
  page.on("requestfailed", (request) => {
    // Leaving a page ends what it was still listening to.
    const left = request.failure()?.errorText === "net::ERR_ABORTED";
    if (!left) wrong.push(`request failed: ${request.url()}`);
  });
  await page.exposeFunction("reportViolation", (text: string) => wrong.push(`csp: ${text}`));
  await page.addInitScript(() => {
    const report = (globalThis as unknown as { reportViolation(text: string): void })
      .reportViolation;
    document.addEventListener("securitypolicyviolation", (event) =>
      report(`${event.violatedDirective} ${event.blockedURI}`),
    );
  });
  return { page, wrong };
}
