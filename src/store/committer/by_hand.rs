//! The committer without threads: it does what it does in the steps that it is told to
//! take, so that a simulation on one thread decides what happens between any two.

use std::sync::Arc;

use super::{
    Committed, CommitterOptions, Gathered, Shared, group::Group, hash::KeyHash, lock, turn::Turn,
};
use crate::store::engine::{Embedded, Result};

/// What takes the steps of a committer that has no threads. When it is dropped, what
/// was not answered yet stays unanswered, as in a process that ends.
pub struct ByHand {
    shared: Arc<Shared>,
    group: Option<Group>,
    turn: Option<Turn>,
}

impl Committed {
    /// A committer without threads over `engine`, and what takes its steps. Its hashes
    /// come from `seed`. Nothing is written but by those steps, also not by a close.
    pub fn by_hand(
        engine: Arc<dyn Embedded>,
        options: CommitterOptions,
        seed: u64,
    ) -> Result<(Self, ByHand)> {
        let shared = Arc::new(Shared::new(engine, options, KeyHash::seeded(seed))?);
        let committed = Self {
            shared: shared.clone(),
            threads: super::Mutex::default(),
        };
        let by_hand = ByHand {
            shared,
            group: None,
            turn: None,
        };
        Ok((committed, by_hand))
    }
}

impl ByHand {
    /// What the preparing thread does: takes the waiting batches that there is room for
    /// into the group; where nothing is being applied, it is this group's turn then.
    /// Whether there was anything to do.
    pub fn prepare(&mut self) -> bool {
        let shared = &self.shared;
        let mut position = lock(&shared.position);
        let mut group = self
            .group
            .take()
            .unwrap_or_else(|| Group::behind(&position));
        let seen = group.seen();
        match shared.gather(&mut group, |room| shared.queue.try_next(room)) {
            Gathered::Ready => {
                let (prepared, reached) = group.finish();
                *position = reached;
                self.turn = Some(Turn::Prepared(prepared));
                true
            }
            Gathered::Waits | Gathered::Closed => {
                let took = group.seen() > seen;
                self.group = Some(group);
                took
            }
        }
    }

    /// What the applying thread does: takes the next step with the group whose turn it
    /// is. Whether there was one.
    pub fn apply(&mut self) -> bool {
        let Some(turn) = self.turn.take() else {
            return false;
        };
        self.turn = self.shared.advance(turn);
        if self.turn.is_none() {
            self.shared.queue.applied();
        }
        true
    }

    /// Whether a group is on its way.
    pub fn is_writing(&self) -> bool {
        self.turn.is_some()
    }

    /// Whether the engine has written the group whose turn it is, and readers may still
    /// get from a cache what was there before.
    pub fn is_out_of_step(&self) -> bool {
        matches!(self.turn, Some(Turn::Written(..)))
    }
}
