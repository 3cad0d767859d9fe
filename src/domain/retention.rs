//! Which backups stay: of those that a job made the last one of each of so many days,
//! weeks and months, and always the newest ones.

use std::collections::BTreeSet;

use chrono::{DateTime, Datelike as _, Utc};

use crate::base::Instant;

/// How many stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Days (UTC) of which the last backup stays.
    pub daily: usize,
    /// Weeks (ISO 8601, UTC) of which the last backup stays.
    pub weekly: usize,
    /// Months (UTC) of which the last backup stays.
    pub monthly: usize,
    /// Backups made by hand that stay; 0 is all of them.
    pub manual: usize,
}

/// The name of the period that a moment is in.
type Period = fn(Instant) -> String;

/// What is known of a backup's soundness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Soundness {
    /// It was restored and found whole.
    Whole,
    /// Nobody has looked.
    Unknown,
    /// It was looked at, and something is wrong.
    Bad,
}

/// A backup that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// The moment that it is of.
    pub moment: Instant,
    /// Whether it was asked for by hand.
    pub manual: bool,
    /// What is known of it.
    pub soundness: Soundness,
}

/// Why each of these backups stays, in their order: none where it may go.
///
/// Of a day, week or month the last backup counts that is not known to be bad; where all of
/// them are, the last one.
pub fn reasons(keep: &Keep, all: &[Candidate]) -> Vec<Vec<String>> {
    let mut reasons = vec![Vec::new(); all.len()];
    let mut newest_first: Vec<usize> = (0..all.len()).collect();
    newest_first.sort_by_key(|at| std::cmp::Reverse(all[*at].moment));
    let good_first = {
        let mut order = newest_first.clone();
        order.sort_by_key(|at| all[*at].soundness == Soundness::Bad);
        order
    };
    let by_hand = newest_first.iter().filter(|at| all[**at].manual);
    for (number, at) in by_hand.enumerate() {
        if keep.manual == 0 || number < keep.manual {
            reasons[*at].push("by hand".into());
        }
    }
    let periods: [(usize, Period); 3] = [
        (keep.daily, day),
        (keep.weekly, week),
        (keep.monthly, month),
    ];
    for (wanted, period) in periods {
        let made: Vec<usize> = good_first
            .iter()
            .copied()
            .filter(|at| !all[*at].manual)
            .collect();
        // The last so many periods that have a backup, whether good or bad.
        let last: BTreeSet<String> = made.iter().map(|at| period(all[*at].moment)).collect();
        let last: BTreeSet<String> = last.into_iter().rev().take(wanted).collect();
        let mut seen = BTreeSet::new();
        for at in made {
            let name = period(all[at].moment);
            if last.contains(&name) && seen.insert(name.clone()) {
                reasons[at].push(name);
            }
        }
    }
    let newest = newest_first
        .iter()
        .find(|at| all[**at].soundness != Soundness::Bad);
    let newest = newest.or(newest_first.first());
    let whole = newest_first
        .iter()
        .find(|at| all[**at].soundness == Soundness::Whole);
    for (at, why) in [(newest, "the newest"), (whole, "the newest found whole")] {
        if let Some(at) = at {
            reasons[*at].push(why.into());
        }
    }
    reasons
}

fn utc(at: Instant) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(at.0).unwrap_or_default()
}

/// Names sort as their periods do, for the years that have four digits.
fn day(at: Instant) -> String {
    utc(at).format("day %Y-%m-%d").to_string()
}

fn week(at: Instant) -> String {
    let week = utc(at).iso_week();
    format!("week {:04}-W{:02}", week.year(), week.week())
}

fn month(at: Instant) -> String {
    utc(at).format("month %Y-%m").to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const KEEP: Keep = Keep {
        daily: 3,
        weekly: 2,
        monthly: 2,
        manual: 0,
    };

    fn at(time: &str) -> Instant {
        Instant::parse_rfc3339(&format!("{time}:00Z")).unwrap()
    }

    /// Lines such as `2026-03-01T02:00 job whole`.
    fn candidates(lines: &str) -> Vec<Candidate> {
        let lines = lines.lines().map(str::trim).filter(|line| !line.is_empty());
        lines
            .map(|line| {
                let words: Vec<&str> = line.split(' ').collect();
                Candidate {
                    moment: at(words[0]),
                    manual: words[1] == "hand",
                    soundness: match words[2] {
                        "whole" => Soundness::Whole,
                        "bad" => Soundness::Bad,
                        _ => Soundness::Unknown,
                    },
                }
            })
            .collect()
    }

    fn kept(keep: &Keep, lines: &str) -> Vec<String> {
        let reasons = reasons(keep, &candidates(lines));
        reasons.iter().map(|all| all.join(", ")).collect()
    }

    #[test]
    fn days_weeks_and_months_keep_their_last() {
        let lines = "
            2026-01-31T02:00 job whole
            2026-02-10T02:00 job whole
            2026-02-28T02:00 job whole
            2026-03-08T02:00 job whole
            2026-03-09T02:00 job whole
            2026-03-10T02:00 job whole
            2026-03-11T02:00 job whole
            2026-03-11T14:00 job whole";
        assert_eq!(
            kept(&KEEP, lines),
            [
                "",
                "",
                "month 2026-02",
                "week 2026-W10",
                "day 2026-03-09",
                "day 2026-03-10",
                "",
                "day 2026-03-11, week 2026-W11, month 2026-03, the newest, the newest found whole",
            ]
        );
    }

    #[test]
    fn the_week_of_new_year_is_one() {
        let lines = "
            2025-12-29T02:00 job whole
            2026-01-01T02:00 job whole";
        let keep = Keep {
            daily: 0,
            weekly: 2,
            monthly: 0,
            manual: 0,
        };
        assert_eq!(kept(&keep, lines)[0], "");
        assert!(kept(&keep, lines)[1].starts_with("week 2026-W01"));
    }

    #[test]
    fn the_newest_found_whole_stays_whatever_comes_after_it() {
        let lines = "
            2026-01-01T02:00 job whole
            2026-03-09T02:00 job bad
            2026-03-10T02:00 job bad
            2026-03-11T02:00 job unknown";
        let keep = Keep {
            daily: 1,
            weekly: 0,
            monthly: 0,
            manual: 0,
        };
        assert_eq!(
            kept(&keep, lines),
            [
                "the newest found whole",
                "",
                "",
                "day 2026-03-11, the newest"
            ]
        );
    }

    #[test]
    fn a_bad_one_counts_only_where_there_is_no_other() {
        let lines = "
            2026-03-10T02:00 job bad
            2026-03-11T02:00 job whole
            2026-03-11T03:00 job bad";
        let keep = Keep {
            daily: 2,
            weekly: 0,
            monthly: 0,
            manual: 0,
        };
        assert_eq!(
            kept(&keep, lines),
            [
                "day 2026-03-10",
                "day 2026-03-11, the newest, the newest found whole",
                ""
            ]
        );
        let alone = "2026-03-10T02:00 job bad";
        let none = Keep { daily: 0, ..keep };
        assert_eq!(kept(&none, alone), ["the newest"]);
    }

    #[test]
    fn those_made_by_hand_stay_unless_told_otherwise_and_take_no_days() {
        let lines = "
            2025-03-11T02:00 hand whole
            2026-03-11T02:00 hand unknown
            2026-03-11T01:00 job unknown";
        assert_eq!(kept(&KEEP, lines)[0], "by hand, the newest found whole");
        assert_eq!(kept(&KEEP, lines)[1], "by hand, the newest");
        assert!(kept(&KEEP, lines)[2].starts_with("day 2026-03-11"));
        let one = Keep { manual: 1, ..KEEP };
        assert_eq!(kept(&one, lines)[0], "the newest found whole");
        assert_eq!(kept(&one, ""), [""; 0]);
    }
}
