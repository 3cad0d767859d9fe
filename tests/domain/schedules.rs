//! When jobs run, beside a computation of its own: for several zones, over ten years
//! of changes of the clocks.

use chrono::{DateTime, Duration, NaiveDate, NaiveDateTime, TimeZone as _, Timelike as _, Utc};
use chrono_tz::Tz;
use tenantry::{base::Instant, domain::job::Schedule};

/// With summer time by an hour, by half an hour, at midnight, south of the equator,
/// and without any.
const ZONES: [Tz; 7] = [
    chrono_tz::Europe::Vienna,
    chrono_tz::America::New_York,
    chrono_tz::Australia::Lord_Howe,
    chrono_tz::America::Sao_Paulo,
    chrono_tz::Africa::Cairo,
    chrono_tz::Pacific::Apia,
    chrono_tz::Asia::Kolkata,
];

fn instant(time: DateTime<Tz>) -> Instant {
    Instant(time.timestamp_millis())
}

/// The first moment that the local time names; right after the gap where there is none.
fn first(zone: Tz, local: NaiveDateTime) -> Instant {
    (0..)
        .find_map(|minute| {
            zone.from_local_datetime(&(local + Duration::minutes(minute)))
                .earliest()
        })
        .map(instant)
        .unwrap()
}

/// All slots from `from` to `to`.
fn slots(schedule: &Schedule, zone: Tz, from: Instant, to: Instant) -> Vec<Instant> {
    let mut found = Vec::new();
    let mut at = from;
    while let Some(next) = schedule.next(at, zone).filter(|next| *next < to) {
        assert!(next > at);
        found.push(next);
        at = next;
    }
    found
}

fn year(year: i32) -> Instant {
    Instant(
        Utc.with_ymd_and_hms(year, 1, 1, 12, 0, 0)
            .unwrap()
            .timestamp_millis(),
    )
}

#[test]
fn a_daily_time_comes_once_a_day_for_ten_years() {
    for zone in ZONES {
        // In and beside the hours that changes of the clocks skip and repeat.
        for (hour, minute) in [
            (0, 0),
            (0, 30),
            (1, 45),
            (2, 0),
            (2, 15),
            (2, 30),
            (3, 0),
            (6, 0),
        ] {
            let schedule = Schedule::cron(&format!("{minute} {hour} * * *")).unwrap();
            let (from, to) = (year(2016), year(2026));
            let first_day = NaiveDate::from_ymd_opt(2016, 1, 1).unwrap();
            let mut wanted: Vec<Instant> = first_day
                .iter_days()
                .take(3_700)
                // Samoa left out a whole day, in 2011.
                .map(|day| first(zone, day.and_hms_opt(hour, minute, 0).unwrap()))
                .filter(|at| *at > from && *at < to)
                .collect();
            wanted.dedup();
            let found = slots(&schedule, zone, from, to);
            assert_eq!(found, wanted, "{zone} {hour}:{minute:02}");
        }
    }
}

#[test]
fn an_interval_follows_the_time_that_passes() {
    for zone in ZONES {
        let schedule = Schedule::cron("*/15 * * * *").unwrap();
        let (from, to) = (year(2018), year(2019));
        let minutes = (from.0 / 60_000 + 1)..(to.0 / 60_000);
        let wanted: Vec<Instant> = minutes
            .map(|minute| {
                DateTime::from_timestamp(minute * 60, 0)
                    .unwrap()
                    .with_timezone(&zone)
            })
            .filter(|time| time.minute() % 15 == 0)
            .map(instant)
            .collect();
        assert_eq!(slots(&schedule, zone, from, to), wanted, "{zone}");
    }
}

#[test]
fn the_latest_slot_is_the_last_of_those_before() {
    for zone in ZONES {
        for text in [
            "30 2 * * *",
            "0 0 * * *",
            "*/20 1-3 * * *",
            "0 6 * * MON",
            "0 0 1 * *",
        ] {
            let schedule = Schedule::cron(text).unwrap();
            let all = slots(&schedule, zone, year(2017), year(2020));
            for pair in all.windows(2) {
                for at in [
                    pair[0],
                    pair[0].plus_ms(999),
                    pair[0].plus_ms(1_000),
                    pair[1].plus_ms(-1),
                ] {
                    assert_eq!(schedule.latest(at, zone), Some(pair[0]), "{zone} {text}");
                }
            }
        }
    }
}

#[test]
fn every_so_often_is_a_multiple_since_the_epoch() {
    let schedule = Schedule::every("15m").unwrap();
    let at = Instant::parse_rfc3339("2026-03-29T00:52:00Z").unwrap();
    let text = |at: Option<Instant>| at.unwrap().to_rfc3339();
    for zone in ZONES {
        assert_eq!(text(schedule.next(at, zone)), "2026-03-29T01:00:00.000Z");
        assert_eq!(text(schedule.latest(at, zone)), "2026-03-29T00:45:00.000Z");
    }
    let slot = Instant::parse_rfc3339("2026-03-29T00:45:00Z").unwrap();
    assert_eq!(schedule.latest(slot, chrono_tz::UTC), Some(slot));
    assert_eq!(
        text(schedule.next(slot, chrono_tz::UTC)),
        "2026-03-29T01:00:00.000Z"
    );
    let before = Instant(-1);
    assert_eq!(
        schedule.latest(before, chrono_tz::UTC),
        Some(Instant(-900_000))
    );
}

#[test]
fn what_is_no_schedule_is_refused() {
    for bad in [
        "",
        "* * * *",
        "60 * * * *",
        "@reboot",
        "0 0 30 2 *",
        "* * * * * * *",
        "x 6 * * *",
        ", 6 * * *",
        "5, 6 * * *",
    ] {
        assert!(Schedule::cron(bad).is_err(), "{bad}");
    }
    for good in [
        "@daily",
        "@hourly",
        "*/5 * * * * *",
        "0 6 * * MON-FRI",
        "0 0 29 2 *",
        "0 0 L * *",
    ] {
        assert!(Schedule::cron(good).is_ok(), "{good}");
    }
    for bad in ["", "0s", "500ms", "1", "-1m", "11y"] {
        assert!(Schedule::every(bad).is_err(), "{bad}");
    }
}
