//! The queue between writers and the committer's two threads: one lock, so that
//! "a batch waits" and "nothing is being applied" are seen together.

use std::{collections::VecDeque, time::Duration};

use super::{Submission, group::Room};
use crate::{
    base::sync::{Condvar, Mutex, MutexGuard, PoisonError},
    store::engine::{Result, StoreError},
};

/// What the preparing thread does next.
pub enum Next {
    /// Admits this batch.
    Batch(Submission),
    /// Applies its group: nothing else is being applied, from now on that is.
    Apply,
    /// Nothing came for a while, and the group before is still being applied.
    Late,
    /// Ends.
    Closed,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Submission>,
    waiting_bytes: usize,
    applying: bool,
    /// So many batches have to wait before the preparing thread, which sleeps, is
    /// woken for them; 0 while it does not sleep.
    woken_at: usize,
    closed: bool,
}

/// While a group is being written there is time: the preparing thread is woken for
/// so many batches at once, not for each one.
const WAKE_FOR: usize = 8;

/// The queue.
pub struct Queue {
    state: Mutex<State>,
    preparer: Condvar,
    batches_max: usize,
    bytes_max: usize,
    late_after: Duration,
}

impl State {
    /// The first batch in the queue, if the group has room for it.
    fn pop(&mut self, room: Room) -> Option<Submission> {
        let fits = |bytes| match room {
            Room::Any => true,
            Room::Bytes(most) => bytes <= most,
            Room::None => false,
        };
        if !fits(self.waiting.front()?.bytes) {
            return None;
        }
        let submission = self.waiting.pop_front()?;
        self.waiting_bytes -= submission.bytes;
        Some(submission)
    }

    /// What to do next; `None` where there is nothing to do yet. A group goes on
    /// growing while another is being applied, until it is full.
    fn decide(&mut self, room: Room) -> Option<Next> {
        let empty = matches!(room, Room::Any);
        if let Some(submission) = self.pop(room) {
            return Some(Next::Batch(submission));
        }
        if !self.applying && !empty {
            self.applying = true;
            return Some(Next::Apply);
        }
        (self.closed && empty && self.waiting.is_empty()).then_some(Next::Closed)
    }
}

impl Queue {
    /// A queue for at most `batches_max` waiting batches with `bytes_max` bytes; a
    /// single larger one may wait alone. `late_after` is how long is waited for a group
    /// that is being applied before that is told.
    pub fn new(batches_max: usize, bytes_max: usize, late_after: Duration) -> Self {
        Self {
            state: Mutex::default(),
            preparer: Condvar::new(),
            batches_max,
            bytes_max,
            late_after,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a batch.
    pub fn push(&self, submission: Submission) -> Result<()> {
        let mut state = self.lock();
        if state.closed {
            return Err(StoreError::ReadOnly("the store is closing".into()));
        }
        let bytes = state.waiting_bytes.saturating_add(submission.bytes);
        let alone = state.waiting.is_empty();
        if state.waiting.len() >= self.batches_max || (bytes > self.bytes_max && !alone) {
            return Err(StoreError::Busy);
        }
        state.waiting_bytes = bytes;
        state.waiting.push_back(submission);
        let wakes = state.waiting.len() == state.woken_at;
        drop(state);
        if wakes {
            self.preparer.notify_one();
        }
        Ok(())
    }

    /// How many batches wait.
    pub fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    /// What to do next with a group that has this room, where there is anything.
    pub fn try_next(&self, room: Room) -> Option<Next> {
        self.lock().decide(room)
    }

    /// Waits for what the preparing thread does next.
    pub fn next(&self, room: Room) -> Next {
        let mut state = self.lock();
        loop {
            if let Some(next) = state.decide(room) {
                return next;
            }
            // One that does not fit waits for the next group, whatever comes behind it.
            state.woken_at = match state.applying {
                true => state.waiting.len() + WAKE_FOR,
                false => 1,
            };
            let (woken, waited) = self
                .preparer
                .wait_timeout(state, self.late_after)
                .unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.woken_at = 0;
            if waited.timed_out() && state.applying {
                return Next::Late;
            }
        }
    }

    /// A group is applied and answered.
    pub fn applied(&self) {
        self.lock().applying = false;
        self.preparer.notify_one();
    }

    /// Takes no further batch; gives those that wait.
    pub fn abandon(&self) -> Vec<Submission> {
        let mut state = self.lock();
        state.closed = true;
        state.waiting_bytes = 0;
        state.waiting.drain(..).collect()
    }

    /// Takes no further batch.
    pub fn close(&self) {
        self.lock().closed = true;
        self.preparer.notify_one();
    }
}
