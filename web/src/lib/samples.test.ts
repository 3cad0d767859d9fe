import { expect, test } from "vitest";
import type { Sample } from "./api";
import { last, summary, withSample } from "./samples";

function sample(second: number, change: Partial<Sample> = {}): Sample {
  return {
    at: new Date(second * 1_000).toISOString(),
    seconds: 5,
    requests: 10,
    errors: 0,
    p50_ms: 1,
    p99_ms: 4,
    queued: 0,
    running: 0,
    disk_bytes: 0,
    records: 0,
    ...change,
  };
}

test("sums are over the time that the samples cover", () => {
  const samples = [
    sample(5),
    sample(10, { requests: 30, errors: 2, p99_ms: 9, p50_ms: 3 }),
    sample(15),
  ];
  expect(summary(samples)).toEqual({
    rate: 50 / 15,
    requests: 50,
    errors: 2,
    p50_ms: 1,
    p99_ms: 9,
  });
  expect(summary([])).toEqual({ rate: 0, requests: 0, errors: 0, p50_ms: null, p99_ms: null });
  expect(summary([sample(5, { requests: 0, p50_ms: null, p99_ms: null })]).p99_ms).toBeNull();
});

test("a newer sample is added once, and what is over six hours old goes", () => {
  const day = 86_400;
  const samples = [sample(day), sample(day + 6 * 3_600)];
  const more = withSample(samples, sample(day + 6 * 3_600 + 5));
  expect(more.map(({ at }) => at)).toEqual([
    new Date((day + 6 * 3_600) * 1_000).toISOString(),
    new Date((day + 6 * 3_600 + 5) * 1_000).toISOString(),
  ]);
  expect(withSample(more, sample(day + 6 * 3_600 + 5))).toHaveLength(2);
});

test("the last minute is counted from the newest sample", () => {
  expect(last([sample(100), sample(150), sample(160)], 60)).toHaveLength(2);
  expect(last([], 60)).toEqual([]);
});
