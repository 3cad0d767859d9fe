/** Rows of an import file. */

import type { Schemas } from "./api";

/** The rows that an import rejected, as they stand in the file; of CSV with its line of names. */
export function badRows(text: string, errors: Schemas["RowError"][], isCsv: boolean): string {
  const rows = isCsv ? csvRows(text) : lines(text);
  const at = new Map(rows.map((row) => [row.line, row.text]));
  const bad = errors.map(({ line }) => at.get(line)).filter((row) => row !== undefined);
  const head = isCsv ? rows.slice(0, 1).map((row) => row.text) : [];
  return [...head, ...bad].map((row) => `${row}\n`).join("");
}

interface Row {
  /** The line on which it begins, from 1. */
  line: number;
  text: string;
}

function lines(text: string): Row[] {
  return text.split("\n").map((row, at) => ({ line: at + 1, text: row.replace(/\r$/, "") }));
}

/** Rows of CSV (RFC 4180): a line feed within quotes does not end one. */
function csvRows(text: string): Row[] {
  const rows: Row[] = [];
  let open: Row | undefined;
  for (const { line, text: part } of lines(text)) {
    const row: Row = open
      ? { line: open.line, text: `${open.text}\n${part}` }
      : { line, text: part };
    const isWhole = (row.text.split('"').length - 1) % 2 === 0;
    open = isWhole ? undefined : row;
    if (isWhole && row.text !== "") rows.push(row);
  }
  if (open) rows.push(open);
  return rows;
}
