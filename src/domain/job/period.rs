//! The span of time that a report is about, in a tenant's own days.

use chrono::{DateTime, Datelike as _, Days, Duration, Months, NaiveDate, TimeZone as _, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::kind::ParamProblem;
use crate::base::Instant;

/// A span, seen from a run's slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// The day before the slot's.
    Yesterday,
    /// Monday to Sunday of the week before the slot's.
    LastWeek,
    /// The calendar month before the slot's.
    LastMonth,
    /// Always the same days; the last one is not part of it.
    Between(NaiveDate, NaiveDate),
}

/// A span, as an app file has it.
#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "period: expected \"yesterday\", \"last-week\", \"last-month\" or { from = \"2026-01-01\", to = \"2026-02-01\" }"
)]
pub(super) enum Given {
    Named(Named),
    Between(Between),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Named {
    Yesterday,
    LastWeek,
    LastMonth,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Between {
    from: NaiveDate,
    to: NaiveDate,
}

impl Given {
    /// The span, or what is wrong with it.
    pub(super) fn read(self) -> Result<Period, ParamProblem> {
        match self {
            Self::Named(Named::Yesterday) => Ok(Period::Yesterday),
            Self::Named(Named::LastWeek) => Ok(Period::LastWeek),
            Self::Named(Named::LastMonth) => Ok(Period::LastMonth),
            Self::Between(Between { from, to }) if from < to => Ok(Period::Between(from, to)),
            Self::Between(_) => Err(ParamProblem::new(
                &["period", "from"],
                "expected a day before `to`, which is the first one left out",
            )),
        }
    }
}

/// The parts that a report is divided into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bucket {
    /// A calendar day.
    Day,
    /// Monday to Sunday.
    Week,
    /// A calendar month.
    Month,
}

impl Period {
    /// The first moment of the span, and the first one behind it.
    pub fn bounds(self, slot: Instant, zone: Tz) -> (Instant, Instant) {
        let day = local_day(slot, zone);
        let back = |date: NaiveDate, days| date.checked_sub_days(Days::new(days)).unwrap_or(date);
        let (from, to) = match self {
            Self::Yesterday => (back(day, 1), day),
            Self::LastWeek => {
                let monday = Bucket::Week.first_day(day);
                (back(monday, 7), monday)
            }
            Self::LastMonth => {
                let first = Bucket::Month.first_day(day);
                (
                    first.checked_sub_months(Months::new(1)).unwrap_or(first),
                    first,
                )
            }
            Self::Between(from, to) => (from, to),
        };
        (start_of(from, zone), start_of(to, zone))
    }
}

impl Bucket {
    /// The first day of the part that a day is in.
    pub fn first_day(self, day: NaiveDate) -> NaiveDate {
        match self {
            Self::Day => day,
            Self::Week => {
                let past_monday = u64::from(day.weekday().num_days_from_monday());
                day.checked_sub_days(Days::new(past_monday)).unwrap_or(day)
            }
            Self::Month => day.with_day(1).unwrap_or(day),
        }
    }
}

/// The calendar day of a moment in a zone.
pub fn local_day(at: Instant, zone: Tz) -> NaiveDate {
    let time = DateTime::<Utc>::from_timestamp_millis(at.0).unwrap_or_default();
    time.with_timezone(&zone).date_naive()
}

/// The first moment of a day in a zone: midnight, or what comes right after the gap
/// where a change of the clocks skips midnight.
pub fn start_of(day: NaiveDate, zone: Tz) -> Instant {
    let midnight = day.and_hms_opt(0, 0, 0).unwrap_or_default();
    // No gap was ever longer than a day; they begin and end on whole minutes.
    let minutes = (0..=1_440).map(|minute| midnight + Duration::minutes(minute));
    let first = minutes
        .filter_map(|time| zone.from_local_datetime(&time).earliest())
        .next();
    Instant(first.map_or(midnight.and_utc().timestamp_millis(), |t| {
        t.timestamp_millis()
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn bounds(period: Period, slot: &str, zone: &str) -> (String, String) {
        let slot = Instant::parse_rfc3339(slot).unwrap();
        let (from, to) = period.bounds(slot, zone.parse().unwrap());
        (from.to_rfc3339(), to.to_rfc3339())
    }

    fn span(from: &str, to: &str) -> (String, String) {
        (format!("{from}.000Z"), format!("{to}.000Z"))
    }

    #[test]
    fn days_weeks_and_months_are_the_zones_own() {
        // 2026-03-29 has 23 hours in Vienna.
        assert_eq!(
            bounds(Period::Yesterday, "2026-03-30T04:00:00Z", "Europe/Vienna"),
            span("2026-03-28T23:00:00", "2026-03-29T22:00:00")
        );
        // Still Sunday evening in New York.
        assert_eq!(
            bounds(Period::LastWeek, "2026-03-30T03:00:00Z", "America/New_York"),
            span("2026-03-16T04:00:00", "2026-03-23T04:00:00")
        );
        assert_eq!(
            bounds(Period::LastMonth, "2026-01-01T00:00:00Z", "UTC"),
            span("2025-12-01T00:00:00", "2026-01-01T00:00:00")
        );
        // Midnight of 2018-11-04 did not exist in Sao Paulo.
        assert_eq!(
            bounds(
                Period::Yesterday,
                "2018-11-05T12:00:00Z",
                "America/Sao_Paulo"
            ),
            span("2018-11-04T03:00:00", "2018-11-05T02:00:00")
        );
    }
}
