//! Wakes whoever waits in sled for a write that failed.
//!
//! sled writes its log on threads of its own. Where one of them fails on a buffer that
//! a batch had pinned, it notes the error and tells nobody: the flush that waits for
//! that buffer would wait for ever. Any further call of flush finds the note and wakes
//! all who wait, so a thread looks for it now and then and makes that call.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{Builder, JoinHandle},
    time::Duration,
};

use ::sled::{Config, Db};

const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The thread; ends where this goes out of scope.
pub struct Waker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Waker {
    /// Starts it. `config` is what `db` was opened with: they share the note.
    pub fn start(config: Config, db: Db) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let thread = Builder::new().name("sled-waker".into()).spawn({
            let stop = stop.clone();
            move || {
                while !stop.load(Ordering::SeqCst) {
                    std::thread::park_timeout(LOOK_EVERY);
                    if config.global_error().is_err() {
                        // It answers the same error; that it wakes others is the point.
                        let _ = db.flush();
                    }
                }
            }
        })?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Waker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("the thread that wakes those who wait in sled panicked");
            }
        }
    }
}
