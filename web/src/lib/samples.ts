/** Sums over the samples that the server took of itself. */

import type { Sample } from "./api";

const KEPT_S = 6 * 3_600;

/** The samples with a newer one; the oldest are let go. */
export function withSample(samples: Sample[], next: Sample): Sample[] {
  const from = new Date(next.at).getTime() - KEPT_S * 1_000;
  const kept = samples.filter(({ at }) => at < next.at && new Date(at).getTime() >= from);
  return [...kept, next];
}

/** The samples of the last `seconds`. */
export function last(samples: Sample[], seconds: number): Sample[] {
  const newest = samples.at(-1);
  if (newest === undefined) return [];
  const from = new Date(newest.at).getTime() - seconds * 1_000;
  return samples.filter(({ at }) => new Date(at).getTime() > from);
}

export interface Summary {
  /** Requests a second. */
  rate: number;
  requests: number;
  errors: number;
  /** The middle one of the samples' medians, and the worst of their p99; null without requests. */
  p50_ms: number | null;
  p99_ms: number | null;
}

export function summary(samples: Sample[]): Summary {
  const sum = (of: (sample: Sample) => number) => samples.reduce((all, one) => all + of(one), 0);
  const seconds = sum(({ seconds }) => seconds);
  const requests = sum(({ requests }) => requests);
  const known = (of: (sample: Sample) => number | null) =>
    samples.map(of).filter((value) => value !== null);
  const medians = known(({ p50_ms }) => p50_ms).sort((a, b) => a - b);
  const worst = known(({ p99_ms }) => p99_ms);
  return {
    rate: seconds > 0 ? requests / seconds : 0,
    requests,
    errors: sum(({ errors }) => errors),
    p50_ms: medians[Math.floor(medians.length / 2)] ?? null,
    p99_ms: worst.length > 0 ? Math.max(...worst) : null,
  };
}
