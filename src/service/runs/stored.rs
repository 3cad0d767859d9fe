//! What the rows of jobs hold.

use serde::{Deserialize, Serialize};

use crate::{base::Instant, domain::job::Run, store::codec::Stored};

/// When a job is due next for an owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Due {
    /// The slot.
    pub slot: Instant,
    /// The slot and the owner's offset.
    pub at: Instant,
    /// What both were computed from.
    pub fingerprint: u64,
    /// Runs that failed one after the other.
    pub failures: u32,
}

/// Who works on a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The process.
    pub worker: String,
    /// The attempt.
    pub attempt: u32,
}

/// How far a run has come: what its next attempt begins with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The kind's own state, JSON.
    pub state: Vec<u8>,
    /// Records done.
    pub done: u64,
    /// Records there are, where that is known.
    pub total: Option<u64>,
}

/// A process that works on runs; its number grows while it lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// Grows with each beat.
    pub beat: u64,
}

/// A pause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// When it began.
    pub since: Instant,
    /// Who asked for it.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// How far the look at all tenants' schedules has come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reschedule {
    /// Makes two orders differ.
    pub nonce: u64,
    /// The last tenant that is done.
    pub after: Option<String>,
}

/// The latest moment that schedules were looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockMark {
    /// The moment.
    pub at: Instant,
}

/// What signs a webhook's requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookSecret {
    /// 32 random bytes.
    pub current: Vec<u8>,
    /// The one before, which signs too for a day.
    pub previous: Option<(Vec<u8>, Instant)>,
    /// When the current one was made.
    pub made_at: Instant,
}

macro_rules! stored {
    ($($type:ty, $kind:literal;)*) => {
        $(impl Stored for $type {
            const KIND: &'static str = $kind;
            const VERSION: u8 = 1;
        })*
    };
}

stored! {
    Due, "schedule";
    Claim, "claim of a run";
    Checkpoint, "checkpoint";
    Worker, "worker";
    Pause, "pause";
    Reschedule, "order to reschedule";
    ClockMark, "clock mark";
    WebhookSecret, "webhook secret";
    Run, "run";
}
