//! Durations as people write them: a whole number and a unit, as in `90s`, `15m`,
//! `24h`, `7d`, `7y`. A day has 24 hours, a year 365 days.

/// A day, in milliseconds.
pub const DAY_MS: i64 = 86_400_000;
/// A year, in milliseconds.
pub const YEAR_MS: i64 = 365 * DAY_MS;
/// The longest duration that [`parse`] reads: ten years.
pub const DURATION_MS_MAX: i64 = 10 * YEAR_MS;

const UNITS: [(&str, i64); 7] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", DAY_MS),
    ("w", 7 * DAY_MS),
    ("y", YEAR_MS),
];

/// What [`parse`] expects, for messages.
pub const EXPECTED: &str = "a whole number with a unit of ms, s, m, h, d, w or y, as in \"15m\"";

/// Reads a duration in milliseconds; `None` where the text is none, or longer than
/// ten years.
pub fn parse(text: &str) -> Option<i64> {
    parse_up_to(text, DURATION_MS_MAX)
}

/// As [`parse`], with another longest duration.
pub fn parse_up_to(text: &str, most_ms: i64) -> Option<i64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, ms) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let number: i64 = number.parse().ok()?;
    number.checked_mul(*ms).filter(|ms| *ms <= most_ms)
}

/// The shortest text that [`parse`] reads as so many milliseconds.
pub fn format(ms: i64) -> String {
    let whole = UNITS.iter().rev();
    let unit = whole.copied().find(|(_, size)| ms != 0 && ms % size == 0);
    let (name, size) = unit.unwrap_or(("s", 1_000));
    format!("{}{name}", ms / size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, ms) in [
            ("0s", 0),
            ("250ms", 250),
            ("90s", 90_000),
            ("15m", 900_000),
            ("24h", 86_400_000),
            ("2w", 14 * 86_400_000),
        ] {
            assert_eq!(parse(text), Some(ms), "{text}");
            assert_eq!(parse(&format(ms)), Some(ms), "{text}");
        }
        for bad in [
            "",
            "5",
            "m",
            "-1s",
            "1.5h",
            "1 h",
            "99999999999999d",
            "521w 1d",
            "3651d",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert_eq!(format(86_400_000), "1d");
        assert_eq!(format(90_000), "90s");
    }
}
