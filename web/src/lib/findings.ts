/** What somebody should look at, and where. */

import type { App, Overview, Schemas } from "./api";
import { bytes, count, plural } from "./format";
import { href } from "./path";
import type { Summary } from "./samples";
import type { Tone } from "./tone";

export interface Finding {
  tone: Tone;
  text: string;
  detail?: string;
  href: string;
  act: string;
}

export interface Seen {
  overview: Overview | undefined;
  recent: Summary;
  app: App | undefined;
  /** Runs that ended badly and were not retried. */
  runs: Schemas["RunView"][];
  pauses: Schemas["PauseView"][];
}

const DAY_MS = 86_400_000;
/** Records stay so long after they are due before it is worth a word. */
const DUE_DAYS_MAX = 2;

export function findings({ overview, recent, app, runs, pauses }: Seen): Finding[] {
  const found: Finding[] = [];
  if (overview?.read_only) {
    found.push({
      tone: "bad",
      text: "The store takes no writes",
      detail: overview.read_only,
      href: "/settings",
      act: "Store health",
    });
  }
  if (recent.errors > 0) {
    found.push({
      tone: "bad",
      text: `${plural(recent.errors, "request")} failed in the last five minutes`,
      detail: `of ${count(recent.requests)}; the server's log names each with its request id`,
      href: "/tenants?sort=errors",
      act: "By tenant",
    });
  }
  const byJob = new Map<string, Schemas["RunView"][]>();
  for (const run of runs) byJob.set(run.job, [...(byJob.get(run.job) ?? []), run]);
  for (const [job, ended] of byJob) {
    const latest = ended[0];
    found.push({
      tone: "bad",
      text: `${job} failed for ${plural(new Set(ended.map(({ tenant }) => tenant)).size, "tenant")}`,
      ...(latest?.error ? { detail: latest.error } : {}),
      href: `${href("jobs", job)}?tab=failures`,
      act: "Failures",
    });
  }
  for (const pause of pauses) {
    found.push({
      tone: "warn",
      text: pausedText(pause),
      detail: pause.reason,
      href: pause.job ? href("jobs", pause.job) : "/jobs?tab=pauses",
      act: "Resume",
    });
  }
  for (const index of app?.indexes ?? []) {
    const name = `${index.entity}.${index.name}`;
    if (index.state === "failed") {
      found.push({
        tone: "bad",
        text: `The index ${name} could not be built`,
        ...(index.reason ? { detail: index.reason } : {}),
        href: "/app",
        act: "App",
      });
    } else if (index.state === "building") {
      const { done, total } = index.progress ?? { done: 0, total: 0 };
      found.push({
        tone: "busy",
        text: `The index ${name} is being built`,
        detail: `${count(done)} of ${plural(total, "record")}`,
        href: "/app",
        act: "Watch",
      });
    }
  }
  const due = overview?.archive.oldest_due_at;
  if (overview && due && Date.parse(overview.now) - Date.parse(due) > DUE_DAYS_MAX * DAY_MS) {
    const days = Math.floor((Date.parse(overview.now) - Date.parse(due)) / DAY_MS);
    found.push({
      tone: "warn",
      text: `Records have been due for the archive for ${plural(days, "day")}`,
      detail: `${bytes(overview.hot.bytes)} are hot`,
      href: "/archive",
      act: "Archive",
    });
  }
  return found;
}

function pausedText({ job, tenant }: Schemas["PauseView"]): string {
  if (job && tenant) return `${job} is paused for ${tenant}`;
  if (job) return `${job} is paused for everybody`;
  return tenant ? `All jobs of ${tenant} are paused` : "All jobs are paused";
}
