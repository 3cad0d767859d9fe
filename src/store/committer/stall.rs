//! Whether the group that is being applied takes longer than a disk may take.
//!
//! A call into the disk cannot be taken back: it may hang for minutes and still come to
//! an end. Meanwhile nobody waits for it longer than a limit, and nobody new is let in.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// What is being applied, since when.
pub struct Stall {
    since: Mutex<Option<Instant>>,
    after: Duration,
}

impl Stall {
    /// Nothing is being applied. What takes longer than `after` is stalled.
    pub fn new(after: Duration) -> Self {
        Self {
            since: Mutex::default(),
            after,
        }
    }

    /// The limit.
    pub fn after(&self) -> Duration {
        self.after
    }

    /// A group goes to the engine.
    pub fn begin(&self) {
        self.set(Some(Instant::now()));
    }

    /// It came back.
    pub fn end(&self) {
        self.set(None);
    }

    fn set(&self, since: Option<Instant>) {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    /// Since when it has stalled, as a reason; none where it has not.
    pub fn reason(&self) -> Option<String> {
        let since = *self.since.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = since?.elapsed();
        (waited >= self.after).then(|| {
            format!(
                "the disk has not taken a write for {} seconds",
                waited.as_secs()
            )
        })
    }
}
