import { expect, test } from "vitest";
import type { App, Overview, Schemas } from "./api";
import { findings, type Seen } from "./findings";

const QUIET: Seen = {
  overview: {
    now: "2026-03-10T00:00:00Z",
    read_only: null,
    hot: { records: 10, bytes: 1_000 },
    archive: { oldest_due_at: null },
  } as unknown as Overview,
  recent: { rate: 1, requests: 300, errors: 0, p50_ms: 1, p99_ms: 2 },
  app: { indexes: [{ entity: "ticket", name: "by_status", state: "ready" }] } as unknown as App,
  runs: [],
  pauses: [],
};
const run = (job: string, tenant: string) =>
  ({ job, tenant, error: "no route" }) as Schemas["RunView"];

test("nothing is said of a quiet installation", () => {
  expect(findings(QUIET)).toEqual([]);
  expect(findings({ ...QUIET, overview: undefined, app: undefined })).toEqual([]);
});

test("failed runs are one line a job, with the way to its failures", () => {
  const found = findings({
    ...QUIET,
    runs: [run("sync", "a"), run("sync", "b"), run("mail", "a")],
  });
  expect(found.map(({ text, href }) => [text, href])).toEqual([
    ["sync failed for 2 tenants", "/jobs/sync?tab=failures"],
    ["mail failed for 1 tenant", "/jobs/mail?tab=failures"],
  ]);
});

test("a store without writes, errors, pauses, indexes and what is overdue are told", () => {
  const overview = {
    ...QUIET.overview,
    read_only: "the disk is full",
    archive: { oldest_due_at: "2026-03-07T00:00:00Z" },
  } as unknown as Overview;
  const app = {
    indexes: [
      { entity: "ticket", name: "by_tag", state: "failed", reason: "two records share a value" },
      { entity: "ticket", name: "by_age", state: "building", progress: { done: 1, total: 9 } },
    ],
  } as unknown as App;
  const pause = { by: "me", since: "", reason: "why" };
  const pauses = [
    { ...pause, job: "sync", tenant: "a" },
    { ...pause, job: null, tenant: null },
  ];
  const found = findings({
    ...QUIET,
    overview,
    app,
    pauses,
    recent: { ...QUIET.recent, errors: 3 },
  });
  expect(found.map(({ tone, text }) => `${tone}: ${text}`)).toEqual([
    "bad: The store takes no writes",
    "bad: 3 requests failed in the last five minutes",
    "warn: sync is paused for a",
    "warn: All jobs are paused",
    "bad: The index ticket.by_tag could not be built",
    "busy: The index ticket.by_age is being built",
    "warn: Records have been due for the archive for 3 days",
  ]);
});

test("what became due yesterday is no finding: the job runs daily", () => {
  const overview = {
    ...QUIET.overview,
    archive: { oldest_due_at: "2026-03-09T00:00:00Z" },
  } as unknown as Overview;
  expect(findings({ ...QUIET, overview })).toEqual([]);
});
