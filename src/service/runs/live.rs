//! Runs under way in this process: how to stop one, and what it says meanwhile.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use tokio::sync::watch;

use super::{RunLog, lock};
use crate::domain::job::{RunId, run::Progress};

/// Why a run is to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// Somebody, or a later slot, does not want it any more.
    Cancel(String),
    /// It takes too long.
    Timeout,
    /// The server stops, or the run was taken over.
    Interrupt(String),
}

/// One run under way.
#[derive(Debug)]
pub struct LiveRun {
    stop: watch::Sender<Option<Stop>>,
    log: Mutex<RunLog>,
    progress: Mutex<Progress>,
    /// Counts what can be seen from outside.
    said: watch::Sender<u64>,
}

impl LiveRun {
    /// A run that begins with what it logged and did before.
    pub fn new(log: RunLog, progress: Progress) -> Self {
        Self {
            stop: watch::Sender::new(None),
            log: Mutex::new(log),
            progress: Mutex::new(progress),
            said: watch::Sender::new(0),
        }
    }

    /// Asks it to stop; the first reason stands.
    pub fn stop(&self, why: Stop) {
        self.stop.send_if_modified(|known| {
            let first = known.is_none();
            known.get_or_insert(why);
            first
        });
    }

    /// Why it is to stop, where it is.
    pub fn stopped(&self) -> Option<Stop> {
        self.stop.borrow().clone()
    }

    /// Completes when it is to stop.
    pub async fn stopping(&self) -> Stop {
        let mut stop = self.stop.subscribe();
        loop {
            if let Some(why) = stop.borrow_and_update().clone() {
                return why;
            }
            if stop.changed().await.is_err() {
                // The sender lives as long as this does.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Adds a line to its log.
    pub fn say(&self, at: crate::base::Instant, text: &str) {
        lock(&self.log).add(at, text);
        self.said.send_modify(|count| *count += 1);
    }

    /// Its log so far.
    pub fn log(&self) -> RunLog {
        lock(&self.log).clone()
    }

    /// How far it has come.
    pub fn progress(&self) -> Progress {
        *lock(&self.progress)
    }

    /// Says how far it has come.
    pub fn set_progress(&self, progress: Progress) {
        *lock(&self.progress) = progress;
        self.said.send_modify(|count| *count += 1);
    }

    /// Changes whenever it says something.
    pub fn said(&self) -> watch::Receiver<u64> {
        self.said.subscribe()
    }
}

/// All runs under way in this process.
#[derive(Debug, Default)]
pub struct Live(Mutex<HashMap<RunId, Arc<LiveRun>>>);

impl Live {
    /// A run begins.
    pub fn begin(&self, id: &RunId, run: Arc<LiveRun>) {
        lock(&self.0).insert(id.clone(), run);
    }

    /// A run is over.
    pub fn end(&self, id: &RunId) {
        lock(&self.0).remove(id);
    }

    /// The run, where it is under way here.
    pub fn get(&self, id: &RunId) -> Option<Arc<LiveRun>> {
        lock(&self.0).get(id).cloned()
    }

    /// All of them.
    pub fn all(&self) -> Vec<(RunId, Arc<LiveRun>)> {
        let runs = lock(&self.0);
        runs.iter()
            .map(|(id, run)| (id.clone(), run.clone()))
            .collect()
    }
}
