//! One thing at a time: a backup that is being made, verified, or brought back in part.
//! Each has a thread of its own, so that no request and no other work waits for it.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;

use super::Kind;
use crate::{base::Instant, store::backup::BackupError};

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// The backup is being made.
    Create,
    /// It is being verified.
    Verify,
    /// A tenant is being brought back from it.
    Restore,
}

/// How far it is. What is not known is 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Progress {
    /// Keys read from the store, or written to it.
    pub keys: u64,
    /// About how many there will be.
    pub keys_expected: u64,
    /// Bytes of the file that were written, or read.
    pub bytes: u64,
    /// Bytes that the file has, where it is there.
    pub bytes_expected: u64,
}

/// How it ended: what it says, or why it failed.
pub type Ended = Result<String, String>;

/// Something under way, or the last that was.
pub struct Operation {
    /// The backup.
    pub id: String,
    /// Why it is made, where it is being made.
    pub kind: Option<Kind>,
    /// What is done.
    pub what: What,
    /// Since when.
    pub started_at: Instant,
    progress: Mutex<Progress>,
    stopped: AtomicBool,
    ended: watch::Sender<Option<Ended>>,
}

/// An operation as it is shown.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct OperationView {
    /// What is done.
    pub what: What,
    /// Whether it is still going on.
    pub running: bool,
    /// Since when, RFC 3339.
    #[schema(format = DateTime)]
    pub started_at: String,
    /// How far it is.
    pub progress: Progress,
    /// What came of it.
    #[schema(required = true)]
    pub result: Option<String>,
    /// Why it failed.
    #[schema(required = true)]
    pub error: Option<String>,
}

impl Operation {
    /// One that begins.
    pub fn new(id: String, kind: Option<Kind>, what: What, started_at: Instant) -> Self {
        Self {
            id,
            kind,
            what,
            started_at,
            progress: Mutex::default(),
            stopped: AtomicBool::new(false),
            ended: watch::Sender::new(None),
        }
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says how far it is; fails where it is to stop.
    pub fn at(&self, change: impl FnOnce(&mut Progress)) -> Result<(), BackupError> {
        change(&mut self.progress.lock().unwrap_or_else(PoisonError::into_inner));
        match self.stopped.load(SeqCst) {
            true => Err(BackupError::Stopped),
            false => Ok(()),
        }
    }

    /// Asks it to stop.
    pub fn stop(&self) {
        self.stopped.store(true, SeqCst);
    }

    /// It is over.
    pub fn end(&self, ended: Ended) {
        self.ended.send_replace(Some(ended));
    }

    /// How it ended, where it has.
    pub fn ended(&self) -> Option<Ended> {
        self.ended.borrow().clone()
    }

    /// Completes when it is over.
    pub async fn done(&self) -> Ended {
        let mut ended = self.ended.subscribe();
        match ended.wait_for(Option::is_some).await {
            Ok(ended) => ended.clone().unwrap_or_else(|| Ok(String::new())),
            // The sender lives as long as this does.
            Err(_) => Err("it broke off".into()),
        }
    }

    /// As it is shown.
    pub fn view(&self) -> OperationView {
        let ended = self.ended();
        OperationView {
            what: self.what,
            running: ended.is_none(),
            started_at: self.started_at.to_rfc3339(),
            progress: self.progress(),
            error: ended.as_ref().and_then(|ended| ended.clone().err()),
            result: ended.and_then(Result::ok),
        }
    }
}
