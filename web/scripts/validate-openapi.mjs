// Checks an OpenAPI document with a validator that is not ours.
// Usage: node scripts/validate-openapi.mjs FILE     exit 0: valid, 1: not, 2: wrong use

import { readFile } from "node:fs/promises";
import { argv, exit } from "node:process";
import { Validator } from "@seriousme/openapi-schema-validator";

const file = argv[2];
if (file === undefined || argv.length > 3) {
  console.error("usage: node scripts/validate-openapi.mjs FILE");
  exit(2);
}

const problems = await problemsOf(file);
for (const problem of problems) console.error(`${file}: ${problem}`);
if (problems.length === 0) console.log(`${file}: valid`);
exit(problems.length === 0 ? 0 : 1);

/** @param {string} path */
async function problemsOf(path) {
  let document;
  try {
    document = JSON.parse(await readFile(path, "utf8"));
  } catch (error) {
    return [String(error)];
  }
  if (!/^3\.1\./.test(document?.openapi)) {
    return [`expected OpenAPI 3.1, found ${JSON.stringify(document?.openapi)}`];
  }
  const result = await new Validator().validate(document);
  if (result.valid) return [];
  const errors = Array.isArray(result.errors) ? result.errors : [{ message: result.errors }];
  return errors.map((error) => `${error.instancePath || "/"} ${error.message}`);
}
