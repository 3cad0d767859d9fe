//! Jobs: work that an app declares once and that is done for every tenant.
//!
//! [`schedule`] says when, [`kind`] what, [`run`] what became of one execution.

pub mod kind;
pub mod period;
pub mod run;
pub mod schedule;

use std::collections::BTreeMap;

pub use kind::Kind;
pub use run::{Reason, Run, RunId, RunState, Slot};
pub use schedule::Schedule;

use super::{names::JobName, tenant::Tenant};

/// How many jobs an app file may declare.
pub const JOBS_MAX: usize = 200;
/// The longest `timeout`, in milliseconds: a day.
pub const TIMEOUT_MS_MAX: i64 = 86_400_000;
/// The most `retries.max`.
pub const RETRIES_MAX: u32 = 100;
/// Where `timeout` is not given: 5 minutes.
pub const TIMEOUT_MS_DEFAULT: i64 = 300_000;

/// A job, as the app file declares it.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Its name.
    pub name: JobName,
    /// What it does, with its parameters.
    pub kind: Kind,
    /// When; `None` where it runs only by hand.
    pub schedule: Option<Schedule>,
    /// Whose clock the schedule follows.
    pub timezone: Zone,
    /// For whom it runs.
    pub scope: Scope,
    /// Each tenant has its own fixed offset below this, in milliseconds.
    pub spread_ms: i64,
    /// An attempt is ended after this, in milliseconds.
    pub timeout_ms: i64,
    /// What follows a failed attempt.
    pub retries: Retries,
    /// What happens to a slot that comes while an earlier run is not done.
    pub overlap: Overlap,
    /// What happens to slots that passed while nothing ran.
    pub missed: Missed,
    /// How many runs of it go on at once, over all tenants; `None`: no limit of its own.
    pub running_max: Option<usize>,
}

/// Whose clock a schedule follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    /// Each tenant's own; UTC for the installation.
    Tenant,
    /// One for all.
    Fixed(chrono_tz::Tz),
}

/// For whom a job runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Once for every tenant that all conditions hold for.
    EachTenant(BTreeMap<Setting, Vec<String>>),
    /// Once for the installation.
    Installation,
}

/// A tenant's setting that a condition is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Setting {
    /// Its slug.
    Id,
    /// Its time zone.
    Timezone,
    /// Its language.
    Locale,
    /// An entry of its `meta`.
    Meta(String),
}

impl Setting {
    /// The setting of that name, as in `meta.tier`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "id" => Some(Self::Id),
            "timezone" => Some(Self::Timezone),
            "locale" => Some(Self::Locale),
            _ => text
                .strip_prefix("meta.")
                .filter(|key| !key.is_empty())
                .map(|key| Self::Meta(key.into())),
        }
    }

    /// A tenant's value of it.
    pub fn of<'a>(&self, tenant: &'a Tenant) -> Option<&'a str> {
        match self {
            Self::Id => Some(tenant.id.as_str()),
            Self::Timezone => Some(&tenant.timezone),
            Self::Locale => Some(&tenant.locale),
            Self::Meta(key) => tenant.meta.get(key).map(String::as_str),
        }
    }
}

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    /// Further attempts after the first failed one.
    pub max: u32,
    /// Whether each wait is twice the one before.
    pub exponential: bool,
    /// The first wait, in milliseconds.
    pub first_ms: i64,
    /// The longest wait, in milliseconds.
    pub most_ms: i64,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            max: 3,
            exponential: true,
            first_ms: 30_000,
            most_ms: 900_000,
        }
    }
}

impl Retries {
    /// The wait after so many failed attempts (1 and up), before jitter.
    pub fn wait_ms(&self, failures: u32) -> i64 {
        let doublings = failures.saturating_sub(1).min(40);
        let factor = if self.exponential { 1 << doublings } else { 1 };
        self.first_ms.saturating_mul(factor).min(self.most_ms)
    }
}

/// What happens to a slot that comes while an earlier run of the job for the same
/// tenant is not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// It is skipped, and says so.
    Skip,
    /// It waits; a further one is skipped.
    Queue,
    /// The earlier run is cancelled.
    CancelRunning,
}

/// What happens to slots that passed while nothing ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// The latest of them runs once, where it is not too old.
    RunOnce,
    /// They are skipped, and the latest says so.
    Skip,
}

impl Job {
    /// Whether it runs for `tenant`; `None` stands for the installation.
    pub fn is_for(&self, tenant: Option<&Tenant>) -> bool {
        match (&self.scope, tenant) {
            (Scope::Installation, None) => true,
            (Scope::EachTenant(conditions), Some(tenant)) => conditions.iter().all(|(s, any)| {
                s.of(tenant)
                    .is_some_and(|value| any.iter().any(|wanted| wanted == value))
            }),
            _ => false,
        }
    }

    /// The zone of its schedule and of its dates.
    pub fn zone(&self, tenant: Option<&Tenant>) -> chrono_tz::Tz {
        match (self.timezone, tenant) {
            (Zone::Fixed(zone), _) => zone,
            // Checked when the tenant was made; a zone that a newer table lost is UTC.
            (Zone::Tenant, Some(tenant)) => tenant.timezone.parse().unwrap_or(chrono_tz::UTC),
            (Zone::Tenant, None) => chrono_tz::UTC,
        }
    }

    /// An owner's stable offset within `spread`, in milliseconds.
    pub fn offset_ms(&self, owner: &str) -> i64 {
        stable_part(&[self.name.as_str(), owner], self.spread_ms)
    }

    /// What its due times depend on, for one tenant.
    pub fn fingerprint(&self, tenant: Option<&Tenant>) -> u64 {
        let schedule = self.schedule.as_ref().map(ToString::to_string);
        let text = format!(
            "{}\n{}\n{}",
            schedule.unwrap_or_default(),
            self.zone(tenant),
            self.spread_ms
        );
        stable_hash(&[&text])
    }
}

/// A number below `limit` that the same texts always give; 0 where there is no limit.
pub fn stable_part(texts: &[&str], limit: i64) -> i64 {
    match u64::try_from(limit) {
        Ok(limit @ 1..) => (stable_hash(texts) % limit) as i64,
        _ => 0,
    }
}

/// The first eight bytes of SHA-256: stored and compared across versions, so it may
/// never change, as a hasher of the standard library does.
fn stable_hash(texts: &[&str]) -> u64 {
    use sha2::{Digest as _, Sha256};
    let digest = Sha256::digest(texts.join("\n"));
    digest
        .iter()
        .take(8)
        .fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}
