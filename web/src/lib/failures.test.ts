import { expect, test } from "vitest";
import type { Schemas } from "./api";
import { grouped } from "./failures";

const run = (tenant: string, error: string | null) => ({ tenant, error }) as Schemas["RunView"];

test("errors that differ in numbers alone are one group, the largest first", () => {
  const groups = grouped([
    run("a", "no answer"),
    run("a", "status 500 after 12 ms"),
    run("a", "status 500 after 90 ms"),
    run("b", "status 500 after 7 ms"),
    run("c", null),
  ]);
  expect(groups.map(({ error, runs, tenants }) => [error, runs.length, tenants])).toEqual([
    ["status 500 after 12 ms", 3, 2],
    ["no answer", 1, 1],
    ["No reason was given.", 1, 1],
  ]);
});
