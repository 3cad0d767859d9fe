import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startServer, type Server } from "./server";

const VALIDATOR = fileURLToPath(new URL("../scripts/validate-openapi.mjs", import.meta.url));
const HAS_PROMTOOL = spawnSync("promtool", ["--version"]).status === 0;
let server: Server;

beforeAll(async () => {
  server = await startServer({ demo: true });
});
afterAll(() => server?.stop());

async function fetched(path: string): Promise<string> {
  const answer = await fetch(server.origin + path);
  expect(answer.status).toBe(200);
  return answer.text();
}

test("/openapi.json satisfies an outside validator", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tenantry-openapi-"));
  const file = join(folder, "openapi.json");
  writeFileSync(file, await fetched("/openapi.json"));
  const result = spawnSync(process.execPath, [VALIDATOR, file], { encoding: "utf8" });
  rmSync(folder, { recursive: true, force: true });
  expect(result.stderr).toBe("");
  expect(result.status).toBe(0);
});

test.skipIf(!HAS_PROMTOOL)("/metrics satisfies promtool", async () => {
  const input = await fetched("/metrics");
  const result = spawnSync("promtool", ["check", "metrics"], { input, encoding: "utf8" });
  expect(result.stdout + result.stderr).toBe("");
  expect(result.status).toBe(0);
});
