//! Whether the group that is being applied takes longer than a disk may take.
//!
//! A call into the disk cannot be taken back: it may hang for minutes and still come to
//! an end. Meanwhile nobody waits for it longer than a limit, and nobody new is let in.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::{Notify, futures::Notified};

/// What is being applied, since when.
pub struct Stall {
    since: Mutex<Option<Instant>>,
    after: Duration,
    noticed: Notify,
}

impl Stall {
    /// Nothing is being applied. What takes longer than `after` is stalled.
    pub fn new(after: Duration) -> Self {
        Self {
            since: Mutex::default(),
            after,
            noticed: Notify::new(),
        }
    }

    /// Tells those who wait where it has stalled; to be called now and then.
    pub fn look(&self) {
        if self.reason().is_some() {
            self.noticed.notify_waiters();
        }
    }

    /// Waits until somebody finds that it has stalled.
    pub fn noticed(&self) -> Notified<'_> {
        self.noticed.notified()
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
