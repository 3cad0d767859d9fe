/** Numbers, bytes, times and durations as the viewer's language writes them. */

const LOCALE = undefined;
const whole = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat(LOCALE, { notation: "compact", maximumFractionDigits: 1 });
const decimal = new Intl.NumberFormat(LOCALE, { maximumSignificantDigits: 3 });
const percentage = new Intl.NumberFormat(LOCALE, { style: "percent", maximumFractionDigits: 1 });
const dateTime = new Intl.DateTimeFormat(LOCALE, { dateStyle: "medium", timeStyle: "medium" });
const dayTime = new Intl.DateTimeFormat(LOCALE, {
  month: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
});
const relative = new Intl.RelativeTimeFormat(LOCALE, { numeric: "auto", style: "short" });

export const count = (n: number) => whole.format(n);
export const compact = (n: number) => (Math.abs(n) < 10_000 ? whole.format(n) : short.format(n));
export const number = (n: number) => decimal.format(n);
export const percent = (part: number) => percentage.format(part);

const BYTE_UNITS = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"] as const;

/** Bytes in units of 1,000: 1.5 MB. */
export function bytes(n: number): string {
  if (Math.abs(n) < 999.5) return `${whole.format(n)} B`;
  let value = n;
  let at = 0;
  while (Math.abs(value) >= 999.5 && at < BYTE_UNITS.length - 1) {
    value /= 1_000;
    at += 1;
  }
  return new Intl.NumberFormat(LOCALE, {
    style: "unit",
    unit: BYTE_UNITS[at] ?? "byte",
    unitDisplay: "short",
    maximumSignificantDigits: 3,
  }).format(value);
}

/** A duration of milliseconds: 850 µs, 12 ms, 3.4 s, 5 min 20 s, 2 h 5 min, 3 d 4 h. */
export function duration(ms: number): string {
  if (ms === 0) return "0 s";
  if (ms < 0) return `-${duration(-ms)}`;
  if (ms < 1) return `${decimal.format(ms * 1_000)} µs`;
  if (ms < 1_000) return `${decimal.format(ms)} ms`;
  const seconds = ms / 1_000;
  if (seconds < 60) return `${decimal.format(seconds)} s`;
  const [minutes, hours, days] = [60, 3_600, 86_400].map((size) => Math.floor(seconds / size)) as [
    number,
    number,
    number,
  ];
  const two = (big: string, small: number, unit: string) =>
    small === 0 ? big : `${big} ${small} ${unit}`;
  if (hours === 0) return two(`${minutes} min`, Math.floor(seconds % 60), "s");
  if (days === 0) return two(`${hours} h`, minutes % 60, "min");
  return two(`${whole.format(days)} d`, hours % 24, "h");
}

/** A moment in the viewer's zone, to the second. */
export const moment = (at: string | Date) => written(at, dateTime);
/** A moment in the viewer's zone, to the minute and without the year. */
export const clock = (at: string | Date) => written(at, dayTime);

function written(at: string | Date, format: Intl.DateTimeFormat): string {
  const date = new Date(at);
  return Number.isNaN(date.getTime()) ? String(at) : format.format(date);
}

const STEPS = [
  ["second", 60],
  ["minute", 60],
  ["hour", 24],
  ["day", 30],
  ["month", 12],
  ["year", Infinity],
] as const;

/** How long ago or how soon: "3 min. ago", "in 2 hr.". */
export function ago(at: string | Date, now: Date): string {
  let value = (new Date(at).getTime() - now.getTime()) / 1_000;
  if (Number.isNaN(value)) return String(at);
  for (const [unit, size] of STEPS) {
    if (Math.abs(value) < size) return relative.format(Math.round(value), unit);
    value /= size;
  }
  return String(at);
}

export function plural(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}
