//! Runs: when jobs are due, the queue of their runs, and what became of each.
//! Everything is rows of the store; nothing of it is lost with the process.
//!
//! `sync.rs` keeps a due row for every job and tenant, `tick.rs` turns due rows into
//! runs, `queue.rs` reads what waits, `claim.rs` begins and ends attempts, `ask.rs`
//! is what people ask for, `history.rs` forgets. `rows.rs` is the one place that
//! knows which rows a run has; who carries runs out stands in `jobs/`.

mod ask;
mod claim;
mod history;
mod list;
mod live;
mod log;
mod pauses;
mod queue;
mod rows;
mod secrets;
mod stored;
mod sync;
#[cfg(test)]
mod tests;
mod tick;
mod view;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

pub use ask::{Asked, Backfill, Whom};
pub use claim::{Claimed, End, Ended};
pub use history::check_row;
pub use list::RunFilter;
pub use live::{Live, LiveRun, Stop};
pub use log::{LOG_LINE_CHARS_MAX, RunLog};
pub use pauses::{PauseView, Paused};
pub use queue::{OwnersQueue, Waiting};
pub use secrets::SecretView;
pub use stored::Checkpoint;
pub use sync::{order as reschedule, order_all as reschedule_all};
use tokio::sync::Notify;
pub use view::{JobView, LogView, RunView};

use super::{Core, apps::Apps};
use crate::{base::Instant, config::Jobs as Settings, domain::job::run::Owner};

/// The service.
pub struct Runs {
    core: Core,
    apps: Arc<Apps>,
    settings: Settings,
    /// This process, among all that may work on the store.
    worker: String,
    /// Runs under way in this process.
    pub live: Live,
    /// Owners whose queue changed since the dispatcher last looked.
    changed: Mutex<BTreeSet<Owner>>,
    wake: Notify,
    pauses: pauses::Pauses,
    /// The latest moment that a tick saw.
    clock: Mutex<Option<Instant>>,
}

impl Runs {
    /// The service over a store.
    pub fn new(core: Core, apps: Arc<Apps>, settings: &Settings) -> Self {
        Self {
            core,
            apps,
            settings: settings.clone(),
            worker: uuid::Uuid::now_v7().to_string(),
            live: Live::default(),
            changed: Mutex::default(),
            wake: Notify::new(),
            pauses: pauses::Pauses::default(),
            clock: Mutex::new(None),
        }
    }

    /// The settings of `[jobs]`.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The clock that runs go by.
    pub fn now(&self) -> Instant {
        self.core.clock.now()
    }

    /// Completes when a queue may have changed, or after `patience`.
    pub async fn changed(&self, patience: Duration) -> BTreeSet<Owner> {
        // Nothing came: the dispatcher looks at what it knows.
        let _ = tokio::time::timeout(patience, self.wake.notified()).await;
        std::mem::take(&mut *lock(&self.changed))
    }

    /// Has the dispatcher look at an owner's queue.
    fn notify(&self, owner: &Owner) {
        lock(&self.changed).insert(owner.clone());
        self.wake.notify_one();
    }

    /// Has the dispatcher look around: a slot is free.
    pub fn wake(&self) {
        self.wake.notify_one();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
