//! The queue between writers and the committer's two threads: one lock, so that
//! "a batch waits" and "the applier is free" are seen together.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use super::{Submission, group::Prepared};
use crate::store::engine::{Result, StoreError};

/// What the preparing thread does next.
pub enum Next {
    /// Admits this batch.
    Batch(Submission),
    /// Hands its group over: the applier is free.
    HandOver,
    /// Ends.
    Closed,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Submission>,
    prepared: Option<Prepared>,
    applying: bool,
    closed: bool,
    /// The preparing thread has ended; nothing more will be handed over.
    drained: bool,
}

/// The queue.
pub struct Queue {
    state: Mutex<State>,
    preparer: Condvar,
    applier: Condvar,
    batches_max: usize,
}

impl Queue {
    /// A queue for at most `batches_max` waiting batches.
    pub fn new(batches_max: usize) -> Self {
        Self {
            state: Mutex::default(),
            preparer: Condvar::new(),
            applier: Condvar::new(),
            batches_max,
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
        if state.waiting.len() >= self.batches_max {
            return Err(StoreError::Busy);
        }
        state.waiting.push_back(submission);
        drop(state);
        self.preparer.notify_one();
        Ok(())
    }

    /// How many batches wait.
    pub fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Waits for what the preparing thread does next. A group goes on growing
    /// while the applier is busy, until it is full.
    pub fn next(&self, full: bool, empty: bool) -> Next {
        let mut state = self.lock();
        loop {
            let free = !state.applying && state.prepared.is_none();
            if !full && let Some(submission) = state.waiting.pop_front() {
                return Next::Batch(submission);
            }
            if free && !empty {
                return Next::HandOver;
            }
            if state.closed && empty && state.waiting.is_empty() {
                state.drained = true;
                self.applier.notify_one();
                return Next::Closed;
            }
            state = self
                .preparer
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Gives a group to the applier, which is free.
    pub fn hand_over(&self, group: Prepared) {
        self.lock().prepared = Some(group);
        self.applier.notify_one();
    }

    /// Waits for a group; `None` when no more will come.
    pub fn take_prepared(&self) -> Option<Prepared> {
        let mut state = self.lock();
        loop {
            if let Some(group) = state.prepared.take() {
                state.applying = true;
                return Some(group);
            }
            if state.drained {
                return None;
            }
            state = self
                .applier
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The group taken last is answered.
    pub fn applied(&self) {
        self.lock().applying = false;
        self.preparer.notify_one();
    }

    /// Takes no further batch and hands nothing more over; gives those that wait.
    pub fn abandon(&self) -> Vec<Submission> {
        let mut state = self.lock();
        state.closed = true;
        state.drained = true;
        self.applier.notify_one();
        state.waiting.drain(..).collect()
    }

    /// Takes no further batch.
    pub fn close(&self) {
        self.lock().closed = true;
        self.preparer.notify_one();
    }
}
