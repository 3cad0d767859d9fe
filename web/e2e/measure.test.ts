/**
 * How fast the console is, printed and not judged: first paint, opening a table over many
 * records beside one over few, and frames while 500 rows scroll.
 *
 *     MEASURE=1000000 TENANTRY_BIN=../target/release/tenantry npm run e2e -- e2e/measure.test.ts
 */

import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { expect, test } from "vitest";
import { openPage, startBrowser } from "./browser";
import { signIn } from "./console";
import { startServer } from "./server";

const RECORDS = Number(process.env.MEASURE ?? 0);
const FEW = 100;
const ROUNDS = 15;

test.skipIf(RECORDS === 0)("measured", { timeout: 1_800_000 }, async () => {
  const server = await startServer({ demo: true });
  const browser = await startBrowser();
  try {
    for (const [tenant, records] of [
      ["few", FEW],
      ["many", RECORDS],
    ] as const) {
      await server.run("tenant", "create", tenant);
      const file = join(tmpdir(), `tenantry-measure-${process.pid}.ndjson`);
      writeFileSync(file, lines(records));
      await server.run("import", "--tenant", tenant, "--entity", "ticket", file);
    }
    const { page } = await openPage(browser.context);
    await page.setViewportSize({ width: 1360, height: 900 });
    await signIn(page, server);

    const paints: number[] = [];
    const opened: Record<string, number[]> = { few: [], many: [] };
    for (let round = 0; round < ROUNDS; round++) {
      await page.goto(server.origin);
      await page.getByRole("heading", { name: "Overview" }).waitFor();
      paints.push(await page.evaluate(firstPaint));
      for (const tenant of ["few", "many"]) {
        const query = "_index=by_status&status=open&limit=100";
        await page.goto(`${server.origin}/records/${tenant}/ticket?${query}`);
        await page.locator("tbody tr").nth(30).waitFor();
        opened[tenant]?.push(await page.evaluate(() => performance.now()));
      }
    }
    await page.goto(`${server.origin}/records/many/ticket?limit=500`);
    await page.locator("tbody tr").nth(499).waitFor();
    const frames = await scrolled(page);
    const few = median(opened.few ?? []);
    const many = median(opened.many ?? []);
    console.log(
      [
        `first paint of the overview: ${median(paints).toFixed(0)} ms`,
        `records open, ${FEW}: ${few.toFixed(0)} ms; ${RECORDS}: ${many.toFixed(0)} ms; ${(many / few).toFixed(2)} times`,
        `500 rows scrolled: ${frames.length} frames, median ${median(frames).toFixed(1)} ms, ` +
          `${frames.filter((ms) => ms > 20).length} over 20 ms, longest ${Math.max(...frames).toFixed(1)} ms`,
      ].join("\n"),
    );
    expect(frames.length).toBeGreaterThan(0);
  } finally {
    await browser.close();
    await server.stop();
  }
});

function lines(records: number): string {
  const all: string[] = [];
  for (let n = 0; n < records; n++) {
    const status = ["open", "pending", "closed"][n % 3];
    const opened_at = new Date(Date.UTC(2026, 0, 1) + n * 1_000).toISOString();
    all.push(JSON.stringify({ subject: `Ticket ${n} about the printer`, status, opened_at }));
  }
  return all.join("\n") + "\n";
}

function firstPaint(): number {
  return performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? NaN;
}

/** The milliseconds of each frame while the table scrolls from end to end. */
async function scrolled(page: Page): Promise<number[]> {
  return page.evaluate(async () => {
    const box = document.querySelector(".tall");
    if (box === null) return [];
    const frames: number[] = [];
    let before = performance.now();
    while (box.scrollTop + box.clientHeight < box.scrollHeight - 1) {
      box.scrollTop += 60;
      const now = await new Promise<number>((frame) => requestAnimationFrame(frame));
      frames.push(now - before);
      before = now;
    }
    return frames.slice(1);
  });
}

function median(values: number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}
