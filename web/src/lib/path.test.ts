import { expect, test } from "vitest";
import { href, match, withQuery } from "./path";

test("a pattern's parts are filled from a path, whatever is in them", () => {
  const path = href("records", "acme", "a/b#c ü");
  expect(path).toBe("/records/acme/a%2Fb%23c%20%C3%BC");
  expect(match("/records/:tenant/:id", path)).toEqual({ tenant: "acme", id: "a/b#c ü" });
  expect(match("/records/:tenant", path)).toBeNull();
  expect(match("/tenants/:tenant/:id", path)).toBeNull();
  expect(match("/", "/")).toEqual({});
});

test("an escape that is none is taken as it stands", () => {
  expect(match("/runs/:run", "/runs/%zz")).toEqual({ run: "%zz" });
});

test("an empty query leaves no question mark", () => {
  expect(withQuery("/runs", new URLSearchParams())).toBe("/runs");
  expect(withQuery("/runs", new URLSearchParams({ job: "a b" }))).toBe("/runs?job=a+b");
});
