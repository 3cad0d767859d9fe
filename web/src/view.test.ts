import { expect, test } from "vitest";
import { wordsFor, wordsForProbe } from "./view";

test("every state has its own title", () => {
  const titles = [
    wordsFor({ kind: "loading" }),
    wordsFor({ kind: "ready", version: undefined }),
    wordsFor({ kind: "not-ready", version: undefined, reasons: [] }),
    wordsFor({ kind: "unreachable" }),
  ].map((words) => words.title);
  expect(new Set(titles).size).toBe(4);
});

test("a probe says its status, and that there was none", () => {
  expect(wordsForProbe({ status: 200, body: {} })).toBe("200 OK");
  expect(wordsForProbe({ status: 503, body: {} })).toBe("503");
  expect(wordsForProbe(null)).toBe("no answer");
});
