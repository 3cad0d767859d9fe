//! What becomes of a group when it is its turn: the engine writes it, what was cached
//! of its keys is forgotten, and those who wait are answered, in this order.
//!
//! Each step is one call, so that a thread takes one after the other and a simulation
//! can have others read between any two of them.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Instant,
};

use super::{Shared, group::Prepared, lock};
use crate::store::engine::{Result, StoreError};

/// How far a group has come.
pub enum Turn {
    /// It is to be written.
    Prepared(Prepared),
    /// Readers know that its families are being written.
    Announced(Prepared, Vec<usize>),
    /// The engine has written it, or failed to.
    Written(Prepared, Vec<usize>, Result<()>),
    /// Readers see it, if it was written; those who wait are to hear of it.
    Visible(Prepared, Result<()>),
}

impl Shared {
    /// Takes the group's next step; `None` after the last one.
    pub(super) fn advance(&self, turn: Turn) -> Option<Turn> {
        match turn {
            Turn::Prepared(group) => Some(self.announce(group)),
            Turn::Announced(group, touched) => {
                let written = self.write(&group);
                Some(Turn::Written(group, touched, written))
            }
            Turn::Written(group, touched, written) => {
                match written {
                    Ok(()) => self.show(&group, &touched),
                    Err(ref error) => self.stop_writing(error),
                }
                Some(Turn::Visible(group, written))
            }
            Turn::Visible(group, written) => {
                self.answer(group, &written);
                None
            }
        }
    }

    fn announce(&self, group: Prepared) -> Turn {
        if let Some(reason) = self.failed.get() {
            return Turn::Visible(group, Err(StoreError::ReadOnly(reason.clone())));
        }
        if group.writes.is_empty() {
            return Turn::Visible(group, Ok(()));
        }
        let keys = group.writes.iter().map(|w| &w.key[..]);
        let touched = self.generations.begin(keys);
        Turn::Announced(group, touched)
    }

    fn write(&self, group: &Prepared) -> Result<()> {
        // Held until the tee has the group too: it is opened and closed between two.
        let tee = lock(&self.tee);
        let started = Instant::now();
        self.stall.begin();
        let written = catch_unwind(AssertUnwindSafe(|| self.engine.apply(&group.writes)))
            .unwrap_or_else(|_| Err(StoreError::Io("the engine panicked".into())));
        let written = written.map_err(|error| match error {
            StoreError::Io(reason) => StoreError::InDoubt(reason),
            other => StoreError::InDoubt(other.to_string()),
        });
        self.stall.end();
        self.metrics.synced(started.elapsed());
        if let Some(tee) = &*tee {
            match written {
                Ok(()) => tee.applied(&group.writes),
                Err(_) => tee.failed(),
            }
        }
        written
    }

    fn show(&self, group: &Prepared, touched: &[usize]) {
        for write in &group.writes {
            self.cache.forget(write.tree, &write.key);
        }
        self.generations.end(touched);
        self.metrics.written(group.replies.len(), group.bytes);
    }

    /// Whether the group is on disk is unknown. Its generations stay odd and the cache
    /// is left out, so readers go to the engine.
    fn stop_writing(&self, error: &StoreError) {
        let reason = error.to_string();
        tracing::error!(
            reason,
            "a write failed; the store takes no writes until a restart"
        );
        // The first reason stands.
        let _ = self.failed.set(reason);
        self.cache.disable();
    }

    fn answer(&self, group: Prepared, written: &Result<()>) {
        self.metrics.waiting(self.queue.waiting());
        // A writer may have gone away; nothing to tell it then.
        for reply in group.replies {
            let _ = reply.send(written.clone());
        }
        for (reply, refusal) in group.refusals {
            let _ = reply.send(written.clone().and(Err(refusal)));
        }
    }
}
