import { expect, test } from "vitest";
import type { Index } from "./api";
import { orderField, pageParams, parseQuery, requestParams, withConditions } from "./query";

const INDEX = { name: "by_status", fields: ["status", "opened_at"] } as Index;
const read = (text: string) => parseQuery(new URLSearchParams(text));

test("a query comes back from the address as it went there", () => {
  const texts = [
    "",
    "_index=by_status&status=open&opened_at%5Bgte%5D=2026-01-01&_order=ascending&tier=all&limit=500",
    "_index=by_name&name%5Bprefix%5D=a%26b",
  ];
  for (const text of texts) expect(pageParams(read(text)).toString()).toBe(text);
});

test("what nobody offers is left out", () => {
  expect(read("tier=both&limit=7&x[like]=1")).toEqual(read(""));
});

test("the request is ordered by the first field that equality leaves open", () => {
  const asked = (text: string, index?: Index) => requestParams(read(text), index).toString();
  expect(asked("")).toBe("order=-id&tier=hot&limit=50");
  expect(asked("", INDEX)).toBe("order=-status&tier=hot&limit=50");
  expect(asked("status=open&_order=ascending", INDEX)).toBe(
    "status=open&order=opened_at&tier=hot&limit=50",
  );
  expect(orderField(read("status=open&opened_at=2026"), INDEX)).toBeUndefined();
});

test("a range on the first field takes away what stood on the next", () => {
  const query = read("status=open&opened_at[gte]=2026&opened_at[lt]=2027");
  const change = (operator: "" | "prefix", value: string) =>
    withConditions(query, INDEX, "status", [{ field: "status", operator, value }]).conditions;
  expect(change("", "closed").map(({ field }) => field)).toEqual([
    "opened_at",
    "opened_at",
    "status",
  ]);
  expect(change("prefix", "o")).toEqual([{ field: "status", operator: "prefix", value: "o" }]);
  expect(change("", "")).toEqual([]);
});
