import { expect, test } from "vitest";
import { badRows } from "./rows";

const errors = (...lines: number[]) => lines.map((line) => ({ line, reason: "no" }));

test("rejected lines of JSON come back as they were", () => {
  expect(badRows('{"a":1}\r\n{"a":"x"}\r\n\r\n{bad', errors(2, 4), false)).toBe(
    '{"a":"x"}\n{bad\n',
  );
});

test("rejected rows of CSV come back with the names, also where they span lines", () => {
  const text = 'id,text\n1,fine\n2,"two\nlines, ""quoted"""\n3,bad\n';
  expect(badRows(text, errors(3, 5), true)).toBe('id,text\n2,"two\nlines, ""quoted"""\n3,bad\n');
});
