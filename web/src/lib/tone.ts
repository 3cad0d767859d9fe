/** What a colour says. */

import type { Schemas } from "./api";

export type Tone = "good" | "warn" | "bad" | "busy" | "idle";

const RUNS: Record<Schemas["RunState"], Tone> = {
  queued: "idle",
  running: "busy",
  succeeded: "good",
  failed: "warn",
  timed_out: "bad",
  cancelled: "idle",
  skipped: "idle",
  dead: "bad",
};

const RUN_NAMES: Record<Schemas["RunState"], string> = {
  queued: "Queued",
  running: "Running",
  succeeded: "Succeeded",
  failed: "Failed",
  timed_out: "Timed out",
  cancelled: "Cancelled",
  skipped: "Skipped",
  dead: "Dead",
};

export const BACKUP_STATES: Record<Schemas["BackupView"]["state"], Tone> = {
  running: "busy",
  complete: "good",
  failed: "bad",
};

type Verification = NonNullable<Schemas["BackupView"]["verification"]>;
export const VERIFICATIONS: Record<Verification["result"], Tone> = {
  whole: "good",
  bad: "bad",
  untried: "warn",
};

export const toneOfRun = (state: Schemas["RunState"]) => RUNS[state];
export const nameOfRun = (state: Schemas["RunState"]) => RUN_NAMES[state];
export const RUN_STATES = Object.keys(RUNS) as Schemas["RunState"][];
/** States of runs that somebody should look at. */
export const FAILED_STATES = ["dead", "timed_out", "failed"] as const;
