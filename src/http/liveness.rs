//! Whether the server still works, for a service manager that restarts one which
//! hangs: every worker's event loop turns, and the committer answers.
//!
//! It asks no connection of its own: under a flood none is free, and a server that is
//! busy is no server that hangs.

use std::{
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use crate::store::{Batch, OpenStore, StoreError};

/// How often an event loop shows that it turns.
const BEAT: Duration = Duration::from_secs(1);

/// The event loops of the server's workers.
#[derive(Debug)]
pub struct Pulse {
    started: Instant,
    hearts: Mutex<Vec<Weak<AtomicU64>>>,
}

impl Default for Pulse {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            hearts: Mutex::default(),
        }
    }
}

impl Pulse {
    /// Adds the event loop that this is called on. One that ended is forgotten: its
    /// worker was replaced.
    pub fn add_this_loop(self: &Arc<Self>) {
        let (pulse, heart) = (self.clone(), Arc::new(AtomicU64::new(self.now_ms())));
        let mut hearts = self.lock();
        hearts.retain(|heart| heart.strong_count() > 0);
        hearts.push(Arc::downgrade(&heart));
        actix_web::rt::spawn(async move {
            loop {
                heart.store(pulse.now_ms(), Relaxed);
                tokio::time::sleep(BEAT).await;
            }
        });
    }

    /// How long the stillest event loop has not turned; none where there is no loop.
    pub fn stillness(&self) -> Option<Duration> {
        let now = self.now_ms();
        let alive: Vec<_> = self.lock().iter().filter_map(Weak::upgrade).collect();
        let still = |heart: &Arc<AtomicU64>| now.saturating_sub(heart.load(Relaxed));
        alive.iter().map(still).max().map(Duration::from_millis)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Weak<AtomicU64>>> {
        self.hearts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks whether a server works.
pub struct Liveness {
    store: OpenStore,
    pulse: Arc<Pulse>,
    /// Groups that the committer had written when it was asked last.
    groups: u64,
}

impl Liveness {
    /// Of the server over this store, with these event loops.
    pub fn new(store: OpenStore, pulse: Arc<Pulse>) -> Self {
        Self {
            store,
            pulse,
            groups: 0,
        }
    }

    /// What hangs, where anything has for longer than `patience`.
    pub async fn hangs(&mut self, patience: Duration) -> Option<String> {
        let asked = tokio::time::timeout(patience, self.store.engine.commit(Batch::default()));
        let answer = asked.await;
        let groups = self.store.metrics.groups.load(Relaxed);
        let written = std::mem::replace(&mut self.groups, groups) != groups;
        match answer {
            // A full queue says nothing; that it moves does.
            Err(_) | Ok(Err(StoreError::Busy)) if !written => {
                return Some("the committer does not answer".to_owned());
            }
            // A store that takes no writes answers too: reads go on.
            _ => {}
        }
        match self.pulse.stillness() {
            Some(still) if still <= patience + BEAT => None,
            Some(still) => Some(format!("a worker has not turned for {} s", still.as_secs())),
            None => Some("there is no worker".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::store::{
        CommitterOptions, Key, Tree, Value,
        engine::{
            faulty::{Call, Fault, Faulty},
            memory::Memory,
        },
    };

    const PATIENCE: Duration = Duration::from_millis(300);

    #[actix_web::test]
    async fn a_committer_that_hangs_is_told_and_one_that_works_again_is_not() {
        let engine = Faulty::new(Memory::new());
        engine.plan(Call::Apply, 0, Fault::Delay(PATIENCE * 3));
        let store = OpenStore::over(engine, CommitterOptions::default()).unwrap();
        let pulse = Arc::new(Pulse::default());
        let mut liveness = Liveness::new(store.clone(), pulse.clone());
        assert_eq!(
            liveness.hangs(PATIENCE).await.as_deref(),
            Some("there is no worker")
        );
        pulse.add_this_loop();
        assert_eq!(liveness.hangs(PATIENCE).await, None);

        let mut batch = Batch::default();
        batch.put(Tree::Hot, Key::from_static(b"k"), Value::from_static(b"v"));
        let engine = store.engine.clone();
        let write = actix_web::rt::spawn(async move { engine.commit(batch).await });
        tokio::task::yield_now().await;
        assert_eq!(
            liveness.hangs(PATIENCE).await.as_deref(),
            Some("the committer does not answer")
        );
        write.await.unwrap().unwrap();
        assert_eq!(liveness.hangs(PATIENCE).await, None);
    }

    #[test]
    fn a_loop_that_stands_still_is_told_until_its_worker_is_gone() {
        let pulse = Arc::new(Pulse::default());
        let (stand, standing) = std::sync::mpsc::channel::<()>();
        let (begun, beginning) = std::sync::mpsc::channel();
        let worker = std::thread::spawn({
            let pulse = pulse.clone();
            move || {
                actix_web::rt::System::new().block_on(async {
                    pulse.add_this_loop();
                    begun.send(()).unwrap();
                    // What no task of an event loop may do.
                    let _ = standing.recv();
                });
            }
        });
        beginning.recv().unwrap();
        let before = pulse.stillness().unwrap();
        while pulse.stillness().unwrap() < before + Duration::from_millis(50) {
            std::thread::yield_now();
        }
        drop(stand);
        worker.join().unwrap();
        assert_eq!(pulse.stillness(), None);
    }
}
