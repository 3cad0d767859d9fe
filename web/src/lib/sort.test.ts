import { expect, test } from "vitest";
import { parseSort, sorted, toggled } from "./sort";

test("an order is read from the address", () => {
  expect(parseSort("-errors", "name")).toEqual({ by: "errors", descending: true });
  expect(parseSort(null, "name")).toEqual({ by: "name", descending: false });
  expect(parseSort("", "-name")).toEqual({ by: "name", descending: true });
});

test("a second click turns the order round", () => {
  const sort = { by: "name", descending: false };
  expect(toggled(sort, "name", false)).toBe("-name");
  expect(toggled({ by: "name", descending: true }, "name", false)).toBe("name");
  expect(toggled(sort, "errors", true)).toBe("-errors");
});

test("numbers go by size, texts as people read them, and nothing comes last", () => {
  const order = (values: (string | number | null)[], descending: boolean) =>
    sorted(values, (value) => value, descending);
  expect(order([10, null, 9], false)).toEqual([9, 10, null]);
  expect(order([10, null, 9], true)).toEqual([10, 9, null]);
  expect(order(["t10", "T2", "a"], false)).toEqual(["a", "T2", "t10"]);
});
