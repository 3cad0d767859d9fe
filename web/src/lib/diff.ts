/** What changed between two texts, line by line. */

import { structuredPatch } from "diff";

export interface DiffLine {
  kind: "same" | "added" | "removed" | "gap";
  text: string;
}

/** The changed lines, each with some of those around it. */
export function diffLines(before: string, after: string, around = 3): DiffLine[] {
  const { hunks } = structuredPatch("", "", before, after, "", "", { context: around });
  const lines: DiffLine[] = [];
  for (const hunk of hunks) {
    if (lines.length > 0 || hunk.oldStart > 1) {
      lines.push({ kind: "gap", text: `line ${hunk.newStart}` });
    }
    for (const line of hunk.lines) {
      const kind = KINDS[line.charAt(0)];
      if (kind !== undefined) lines.push({ kind, text: line.slice(1) });
    }
  }
  return lines;
}

const KINDS: Record<string, DiffLine["kind"]> = { " ": "same", "+": "added", "-": "removed" };
