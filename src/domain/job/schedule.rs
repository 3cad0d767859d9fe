//! When a job runs: a cron pattern in a time zone, or every so often.
//!
//! Around a change of the clocks: a fixed time that the change skips comes right
//! after the gap, once; one that is repeated comes once, the first time. A pattern
//! with a `*` or a step among its hours or minutes follows the time that passes, so
//! it comes in both of the repeated hours and not in a skipped one (these are the
//! rules of Vixie cron). croner keeps them; `tests/domain/schedules.rs` holds it to
//! them.

use std::fmt;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};

use crate::{base::Instant, domain::duration};

/// The shortest `every`, in milliseconds.
pub const EVERY_MS_MIN: i64 = 1_000;

/// When a job runs.
#[derive(Debug, Clone, PartialEq)]
pub enum Schedule {
    /// A cron pattern.
    Cron {
        /// As it was written.
        text: String,
        /// As it was understood.
        pattern: Box<Cron>,
    },
    /// At the multiples of so many milliseconds since the Unix epoch.
    Every(i64),
}

impl Schedule {
    /// Reads a cron pattern of 5 or 6 fields, or `@daily` and its like.
    pub fn cron(text: &str) -> Result<Self, String> {
        const EXPECTED: &str = "expected a cron pattern of 5 fields (6 with seconds first), or @hourly, @daily, @weekly, @monthly, @yearly";
        // croner takes an item that is empty for none, and a field of none never comes:
        // it would look for that moment through thousands of years.
        let mut items = text.split_whitespace().flat_map(|field| field.split(','));
        if items.any(str::is_empty) {
            return Err(format!("an empty item between commas; {EXPECTED}"));
        }
        let parser = CronParser::builder()
            .seconds(Seconds::Optional)
            .year(Year::Disallowed)
            .build();
        let pattern = parser
            .parse(text)
            .map_err(|error| format!("{}; {EXPECTED}", error.to_string().trim_end_matches('.')))?;
        let schedule = Self::Cron {
            text: text.into(),
            pattern: Box::new(pattern),
        };
        // From 2001, so that whether a file is right does not depend on the day.
        let start = Instant(978_307_200_000);
        match schedule.next(start, chrono_tz::UTC) {
            Some(_) => Ok(schedule),
            None => Err(format!("no day that ever comes; {EXPECTED}")),
        }
    }

    /// Reads a duration of at least a second.
    pub fn every(text: &str) -> Result<Self, String> {
        match duration::parse(text) {
            Some(ms) if ms >= EVERY_MS_MIN => Ok(Self::Every(ms)),
            Some(_) => Err("expected at least 1s".into()),
            None => Err(format!("expected {}", duration::EXPECTED)),
        }
    }

    /// The first slot after `after`; `None` where there is none within the calendar.
    pub fn next(&self, after: Instant, zone: Tz) -> Option<Instant> {
        match self {
            Self::Cron { pattern, .. } => {
                let found = pattern.find_next_occurrence(&local(after, zone)?, false);
                found.ok().map(|time| Instant(time.timestamp_millis()))
            }
            Self::Every(ms) => {
                let slot = after.0.div_euclid(*ms).checked_add(1)?.checked_mul(*ms)?;
                Some(Instant(slot))
            }
        }
    }

    /// The last slot at or before `at`.
    pub fn latest(&self, at: Instant, zone: Tz) -> Option<Instant> {
        match self {
            Self::Cron { pattern, .. } => {
                let found = pattern.find_previous_occurrence(&local(at, zone)?, true);
                let found = Instant(found.ok()?.timestamp_millis());
                // It counts in whole seconds.
                (found <= at).then_some(found)
            }
            Self::Every(ms) => Some(Instant(at.0.div_euclid(*ms) * ms)),
        }
    }
}

/// The moment in a zone, its milliseconds cut off: croner counts in seconds.
fn local(at: Instant, zone: Tz) -> Option<DateTime<Tz>> {
    let time = DateTime::<Utc>::from_timestamp(at.0.div_euclid(1_000), 0)?;
    Some(time.with_timezone(&zone))
}

/// As the app file has it.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cron { text, .. } => f.write_str(text),
            Self::Every(ms) => write!(f, "every {}", duration::format(*ms)),
        }
    }
}
