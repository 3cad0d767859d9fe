//! One execution of a job for one tenant.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    base::Instant,
    domain::names::{JobName, TenantSlug},
};

/// The owner of runs that are nobody's but the installation's, where others have
/// their tenant's slug. No slug can be this.
pub const INSTALLATION: &str = "~";

/// Attempts of one run whose times and errors are kept, the latest ones.
pub const ATTEMPTS_KEPT: usize = 20;
/// An error is kept up to so many characters.
pub const ERROR_CHARS_MAX: usize = 2_000;

/// Whose run: a tenant's slug, or [`INSTALLATION`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Owner(String);

impl Owner {
    /// Reads a slug or `~`.
    pub fn parse(text: &str) -> Option<Self> {
        (text == INSTALLATION || TenantSlug::accepts(text)).then(|| Self(text.into()))
    }

    /// The installation.
    pub fn installation() -> Self {
        Self(INSTALLATION.into())
    }

    /// The slug, or `~`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tenant's slug, where it is a tenant.
    pub fn tenant(&self) -> Option<TenantSlug> {
        TenantSlug::parse(&self.0).ok()
    }
}

impl From<&TenantSlug> for Owner {
    fn from(slug: &TenantSlug) -> Self {
        Self(slug.as_str().into())
    }
}

/// What a run is for: the moment of the schedule, or of the call that asked for it.
/// There is one run for each slot of a job and an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Slot {
    /// The moment.
    pub at: Instant,
    /// Whether it is none of the schedule's.
    pub manual: bool,
}

impl Slot {
    /// A slot of the schedule.
    pub fn scheduled(at: Instant) -> Self {
        Self { at, manual: false }
    }

    /// A slot that somebody asked for.
    pub fn manual(at: Instant) -> Self {
        Self { at, manual: true }
    }

    /// The text that sorts as the slots do: fifteen digits, and `m` where manual.
    pub fn key(self) -> String {
        let mark = if self.manual { "m" } else { "" };
        format!("{:015}{mark}", self.at.0.max(0))
    }

    /// Reads what [`Slot::key`] gives.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_suffix('m').unwrap_or(text);
        let right = digits.len() == 15 && digits.bytes().all(|b| b.is_ascii_digit());
        Some(Self {
            at: Instant(digits.parse().ok().filter(|_| right)?),
            manual: digits.len() < text.len(),
        })
    }
}

/// A run's name: `acme.daily-report.001772344800000`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RunId {
    /// Whose.
    pub owner: Owner,
    /// Of which job.
    pub job: JobName,
    /// For which slot.
    pub slot: Slot,
}

impl RunId {
    /// Reads the text of a name. No part of it can hold a dot.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let id = Self {
            owner: Owner::parse(parts.next()?)?,
            job: JobName::parse(parts.next()?).ok()?,
            slot: Slot::parse(parts.next()?)?,
        };
        parts.next().is_none().then_some(id)
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{}.{}",
            self.owner.as_str(),
            self.job,
            self.slot.key()
        )
    }
}

/// Where a run stands.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// It waits for its turn, or for its next attempt.
    Queued,
    /// An attempt is under way.
    Running,
    /// It did what it was for.
    Succeeded,
    /// It failed in a way that no further attempt would change, or none was allowed.
    Failed,
    /// An attempt took longer than the job's timeout.
    TimedOut,
    /// Somebody, or a later slot, ended it.
    Cancelled,
    /// It was not done, for a stated reason.
    Skipped,
    /// It failed and its retries are used up.
    Dead,
}

impl RunState {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Queued,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::TimedOut,
        Self::Cancelled,
        Self::Skipped,
        Self::Dead,
    ];

    /// The name, as in keys, URLs and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
            Self::Dead => "dead",
        }
    }

    /// The state of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether nothing more happens to it by itself.
    pub fn is_over(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }

    /// Whether the job did not do for the tenant what it should have.
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::TimedOut | Self::Dead)
    }
}

/// Why a run is there.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Its time came.
    Schedule,
    /// Its time passed while nothing ran.
    CatchUp,
    /// Somebody asked for it.
    Manual,
    /// Somebody asked for the slots of a range of dates.
    Backfill,
    /// Somebody asked for another attempt.
    Retry,
}

impl Reason {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::CatchUp => "catch-up",
            Self::Manual => "manual",
            Self::Backfill => "backfill",
            Self::Retry => "retry",
        }
    }
}

/// How far a run has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Records done.
    pub done: u64,
    /// Records there are, where that is known.
    pub total: Option<u64>,
}

/// What a run has cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// Records read.
    pub records: u64,
    /// Units of 4 KiB read.
    pub read_units: u64,
    /// Units of 1 KiB written.
    pub write_units: u64,
    /// Time on a processor, in microseconds.
    pub cpu_us: u64,
}

impl Spent {
    /// Both together.
    pub fn plus(self, other: Self) -> Self {
        Self {
            records: self.records + other.records,
            read_units: self.read_units + other.read_units,
            write_units: self.write_units + other.write_units,
            cpu_us: self.cpu_us + other.cpu_us,
        }
    }
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Its number, from 1.
    pub number: u32,
    /// When it began.
    pub started_at: Instant,
    /// When it ended.
    pub ended_at: Option<Instant>,
    /// How it ended: `succeeded`, `failed`, `timed_out`, `cancelled`, `interrupted`.
    pub outcome: Option<String>,
    /// Why it failed.
    pub error: Option<String>,
}

/// A run, as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its name.
    pub id: RunId,
    /// Where it stands.
    pub state: RunState,
    /// Why it is there.
    pub reason: Reason,
    /// The current attempt, from 1; 0 before the first.
    pub attempt: u32,
    /// Failed attempts since the last call for a retry.
    pub failures: u32,
    /// Attempts that were broken off through no fault of theirs, in a row.
    pub interruptions: u32,
    /// When it was put into the queue.
    pub queued_at: Instant,
    /// Not before.
    pub ready_at: Instant,
    /// When its time was: the slot and the owner's offset.
    pub due_at: Instant,
    /// When its first attempt began.
    pub started_at: Option<Instant>,
    /// When it was over.
    pub ended_at: Option<Instant>,
    /// Why the last attempt failed, or why the run was skipped or cancelled.
    pub error: Option<String>,
    /// How far it has come.
    pub progress: Progress,
    /// What it has cost.
    pub spent: Spent,
    /// What it made: an entity and a record's id.
    pub result: Option<(String, String)>,
    /// The latest attempts.
    pub attempts: Vec<Attempt>,
}

impl Run {
    /// A run that waits for its turn.
    pub fn queued(id: RunId, reason: Reason, now: Instant) -> Self {
        Self {
            due_at: id.slot.at,
            id,
            state: RunState::Queued,
            reason,
            attempt: 0,
            failures: 0,
            interruptions: 0,
            queued_at: now,
            ready_at: now,
            started_at: None,
            ended_at: None,
            error: None,
            progress: Progress::default(),
            spent: Spent::default(),
            result: None,
            attempts: Vec::new(),
        }
    }

    /// Begins the next attempt.
    pub fn start(&mut self, now: Instant) {
        self.state = RunState::Running;
        self.attempt += 1;
        self.started_at.get_or_insert(now);
        self.attempts.push(Attempt {
            number: self.attempt,
            started_at: now,
            ended_at: None,
            outcome: None,
            error: None,
        });
        let surplus = self.attempts.len().saturating_sub(ATTEMPTS_KEPT);
        self.attempts.drain(..surplus);
    }

    /// Ends the attempt under way, where there is one.
    pub fn end_attempt(&mut self, now: Instant, outcome: &str, error: Option<&str>) {
        let Some(attempt) = self.attempts.last_mut().filter(|a| a.ended_at.is_none()) else {
            return;
        };
        attempt.ended_at = Some(now);
        attempt.outcome = Some(outcome.into());
        attempt.error = error.map(shortened);
    }

    /// Is over.
    pub fn end(&mut self, now: Instant, state: RunState, error: Option<&str>) {
        self.state = state;
        self.ended_at = Some(now);
        self.error = error.map(shortened);
    }

    /// Waits again.
    pub fn requeue(&mut self, ready_at: Instant) {
        self.state = RunState::Queued;
        self.ready_at = ready_at;
        self.ended_at = None;
    }
}

/// An error, up to its limit.
fn shortened(text: &str) -> String {
    text.chars().take(ERROR_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_runs_name_is_read_back() {
        for text in [
            "acme.daily-report.001772344800000",
            "~.backup.001772344800000m",
            "a-1.j_2.000000000000000",
        ] {
            assert_eq!(RunId::parse(text).unwrap().to_string(), text);
        }
        for bad in [
            "",
            "acme",
            "acme.daily-report",
            "acme.daily-report.1772344800000",
            "acme.daily-report.001772344800000x",
            "acme.daily-report.001772344800000.1",
            "Acme.daily-report.001772344800000",
            "acme.Daily.001772344800000",
            "acme.daily-report.-01772344800000",
        ] {
            assert_eq!(RunId::parse(bad), None, "{bad}");
        }
    }
}
