import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";

const SCRIPT = fileURLToPath(new URL("validate-openapi.mjs", import.meta.url));
const DOCUMENT = { openapi: "3.1.0", info: { title: "t", version: "1" }, paths: {} };
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "tenantry-openapi-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function validate(text: string) {
  const file = join(folder, "openapi.json");
  writeFileSync(file, text);
  return spawnSync(process.execPath, [SCRIPT, file], { encoding: "utf8" });
}

test("a valid document passes", () => {
  expect(validate(JSON.stringify(DOCUMENT))).toMatchObject({ status: 0, stderr: "" });
});

test("a document that breaks the schema is refused with the place", () => {
  const result = validate(JSON.stringify({ ...DOCUMENT, info: { title: "t" } }));
  expect(result.status).toBe(1);
  expect(result.stderr).toContain("/info");
});

test("a reference to nothing is refused", () => {
  const paths = { "/a": { get: { responses: { 200: { $ref: "#/components/responses/None" } } } } };
  expect(validate(JSON.stringify({ ...DOCUMENT, paths })).status).toBe(1);
});

test("another version and no JSON at all are refused", () => {
  expect(validate(JSON.stringify({ ...DOCUMENT, openapi: "3.0.3" })).status).toBe(1);
  expect(validate("no json").status).toBe(1);
});
