//! Backups: made, listed, verified, brought back in part, forgotten when their time is
//! over. A whole store is restored without a server: see `cli/commands/backup.rs`.
//!
//! What is known of a backup stands beside its file (`manifest.rs`, `folder.rs`), not in
//! the store: the store is what may be lost.

mod folder;
mod manifest;
mod operation;
mod tenant;
#[cfg(test)]
mod tests;
pub mod verify;
mod work;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
};

pub use folder::{Folder, Scratch, is_id};
pub use manifest::{Kind, Manifest, Result as Outcome, State, Verification};
pub use operation::{Ended, Operation, OperationView, Progress, What};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Caller, Code, Core, Error, Result, apps::Apps, tenants::Tenants};
use crate::{
    base::priority,
    config,
    domain::retention::{self, Candidate, Keep},
    store::{
        OpenStore,
        backup::{BackupError, Identities, Recipients},
    },
};

/// The service.
pub struct Backups {
    core: Core,
    store: OpenStore,
    folder: Folder,
    keep: Keep,
    recipients: Recipients,
    identity: Option<PathBuf>,
    verify: bool,
    tenants: Arc<Tenants>,
    apps: Arc<Apps>,
    current: Mutex<Current>,
}

/// What is under way, or was last.
#[derive(Default)]
struct Current {
    operation: Option<Arc<Operation>>,
    thread: Option<JoinHandle<()>>,
}

/// A backup as it is shown.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BackupView {
    /// What is known of it.
    #[serde(flatten)]
    pub manifest: Manifest,
    /// Why retention keeps it; empty: it goes when the next one is made.
    pub kept_for: Vec<String>,
    /// What is being done with it, or was done last since the server started.
    #[schema(required = true)]
    pub operation: Option<OperationView>,
}

/// What the metrics tell.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Figures {
    /// The moment of the newest complete backup, in seconds since the epoch.
    pub last_success_s: f64,
    /// How long it took, in seconds.
    pub last_duration_s: f64,
    /// The length of its file.
    pub last_bytes: u64,
    /// Complete backups that are there.
    pub backups: u64,
    /// Attempts that failed, as far as they are remembered.
    pub failed: u64,
    /// When one was verified last, in seconds since the epoch.
    pub last_verified_s: f64,
    /// Whether that one was found whole.
    pub last_verified_whole: bool,
}

impl Backups {
    /// The service over a store; fails where the recipients are none.
    pub fn new(
        core: Core,
        store: OpenStore,
        settings: &config::Backup,
        tenants: Arc<Tenants>,
        apps: Arc<Apps>,
    ) -> Result<Self> {
        let recipients = Recipients::parse(&settings.recipients).map_err(unusable)?;
        Ok(Self {
            core,
            store,
            folder: Folder(settings.folder.clone()),
            keep: settings.keep,
            recipients,
            identity: settings.identity.clone(),
            verify: settings.verify,
            tenants,
            apps,
            current: Mutex::default(),
        })
    }

    /// The folder that they are in.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Begins a backup; with `verify` it is verified when it is made. For operators.
    pub fn create(
        self: &Arc<Self>,
        caller: &Caller,
        kind: Kind,
        verify: bool,
    ) -> Result<Arc<Operation>> {
        caller.require_operator()?;
        self.folder.make().map_err(unusable)?;
        let now = self.core.clock.now();
        let operation = Operation::new(self.folder.free_id(now), Some(kind), What::Create, now);
        self.begin(operation, move |all, operation| {
            work::create(all, operation, kind, verify)
        })
    }

    /// Begins the backup of a job, verified as is configured. Not for requests.
    pub fn create_scheduled(self: &Arc<Self>) -> Result<Arc<Operation>> {
        self.create(&Caller::Local, Kind::Scheduled, self.verify)
    }

    /// Begins verifying a backup; an encrypted one is opened by the text of an identity
    /// file, or by the one that is configured. For operators.
    pub fn verify(
        self: &Arc<Self>,
        caller: &Caller,
        id: &str,
        identity: Option<&str>,
    ) -> Result<Arc<Operation>> {
        caller.require_operator()?;
        self.complete(id)?;
        let identity = identity
            .map(Identities::parse)
            .transpose()
            .map_err(unusable)?;
        let operation = Operation::new(id.to_owned(), None, What::Verify, self.core.clock.now());
        self.begin(operation, move |all, operation| {
            work::verify(all, operation, identity)
        })
    }

    /// Begins bringing one tenant back, under its name or another; an encrypted backup is
    /// opened as by [`Self::verify`]. For operators.
    pub fn bring_back(
        self: &Arc<Self>,
        caller: &Caller,
        id: &str,
        (tenant, name): (&str, Option<&str>),
        identity: Option<&str>,
    ) -> Result<Arc<Operation>> {
        caller.require_operator()?;
        let wanted = tenant::wanted(tenant, name)?;
        self.complete(id)?;
        let identity = identity
            .map(Identities::parse)
            .transpose()
            .map_err(unusable)?;
        let operation = Operation::new(id.to_owned(), None, What::Restore, self.core.clock.now());
        self.begin(operation, move |all, operation| {
            work::bring_back(all, operation, &wanted, identity)
        })
    }

    /// Removes a backup, or what is known of one that failed; not while something is being
    /// done with it. For operators.
    pub fn delete(&self, caller: &Caller, id: &str) -> Result<()> {
        caller.require_operator()?;
        // Nothing begins meanwhile.
        let mut current = lock(&self.current);
        let last = current.operation.as_ref().filter(|last| last.id == id);
        if let Some(running) = last.filter(|last| last.ended().is_none()) {
            return Err(busy(running));
        }
        if last.is_none() && self.folder.get(id).map_err(unusable)?.is_none() {
            return Err(Error::not_found(format!("backup {id:?}")));
        }
        self.folder.remove(id).map_err(unusable)?;
        // A failure that could not be noted is known from here alone.
        current.operation.take_if(|last| last.id == id);
        Ok(())
    }

    /// A backup that is there with its file.
    fn complete(&self, id: &str) -> Result<Manifest> {
        let found = self.folder.get(id).map_err(unusable)?;
        found
            .filter(|found| found.state == State::Complete)
            .ok_or_else(|| Error::not_found(format!("complete backup {id:?}")))
    }

    /// Starts a thread for an operation, where none is under way.
    fn begin(
        self: &Arc<Self>,
        operation: Operation,
        work: impl FnOnce(&Self, &Operation) -> std::result::Result<String, BackupError>
        + Send
        + 'static,
    ) -> Result<Arc<Operation>> {
        let mut current = lock(&self.current);
        if let Some(other) = current
            .operation
            .as_ref()
            .filter(|other| other.ended().is_none())
        {
            return Err(busy(other));
        }
        let operation = Arc::new(operation);
        let (all, of_thread) = (self.clone(), operation.clone());
        let thread = std::thread::Builder::new()
            .name("backup".into())
            .spawn(move || {
                priority::step_back();
                let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    work(&all, &of_thread)
                }));
                of_thread.end(match ended {
                    Ok(ended) => ended.map_err(|error| error.to_string()),
                    Err(_) => Err(
                        "it broke off in the middle, which is a defect; the log has more".into(),
                    ),
                });
            })
            .map_err(|error| Error::internal(format!("no thread for a backup: {error}")))?;
        current.operation = Some(operation.clone());
        // The one before has ended, or is about to: it said so.
        current.thread = Some(thread);
        Ok(operation)
    }

    /// All of them, the newest first. For operators.
    pub fn list(&self, caller: &Caller) -> Result<Vec<BackupView>> {
        caller.require_operator()?;
        let operation = lock(&self.current).operation.clone();
        let mut all = self.folder.list().map_err(unusable)?;
        if let Some(now) = operation
            .as_deref()
            .and_then(|of| self.in_the_making(of, &all))
        {
            all.retain(|one| one.id != now.id);
            all.insert(0, now);
        }
        let kept = self.kept_for(&all);
        let views = all.into_iter().zip(kept).map(|(manifest, kept_for)| {
            let of_it = operation.as_ref().filter(|of| of.id == manifest.id);
            BackupView {
                kept_for,
                operation: of_it.map(|of| of.view()),
                manifest,
            }
        });
        Ok(views.collect())
    }

    /// One of them. For operators.
    pub fn get(&self, caller: &Caller, id: &str) -> Result<BackupView> {
        let mut all = self.list(caller)?.into_iter();
        all.find(|one| one.manifest.id == id)
            .ok_or_else(|| Error::not_found(format!("backup {id:?}")))
    }

    /// The backup that is being made, or that failed and could not be noted.
    fn in_the_making(&self, operation: &Operation, noted: &[Manifest]) -> Option<Manifest> {
        let (state, error, bytes) = match operation.ended() {
            None => (State::Running, None, operation.progress().bytes),
            Some(Ok(_)) => return None,
            Some(Err(_)) if noted.iter().any(|one| one.id == operation.id) => return None,
            Some(Err(error)) => (State::Failed, Some(error), 0),
        };
        let facts = work::facts(self, operation, operation.kind?);
        Some(Manifest {
            state,
            error,
            ..Manifest::of_file(&facts, bytes)
        })
    }

    /// Why each of these stays; nothing for those that have no file.
    fn kept_for(&self, all: &[Manifest]) -> Vec<Vec<String>> {
        let is_there = |one: &&Manifest| one.state == State::Complete;
        let candidates: Vec<_> = all
            .iter()
            .filter(is_there)
            .map(|one| Candidate {
                moment: one.moment(),
                manual: one.kind == Kind::Manual,
                soundness: one.soundness(),
            })
            .collect();
        let mut reasons = retention::reasons(&self.keep, &candidates).into_iter();
        let kept = all.iter().map(|one| match is_there(&one) {
            true => reasons.next().unwrap_or_default(),
            false => Vec::new(),
        });
        kept.collect()
    }

    /// What the metrics tell; reads the folder.
    pub fn figures(&self) -> Figures {
        let all = self.folder.list().unwrap_or_default();
        let complete = || all.iter().filter(|one| one.state == State::Complete);
        let seconds = |ms: i64| ms as f64 / 1_000.0;
        let newest = complete().max_by_key(|one| one.moment());
        let verified = |one: &Manifest| {
            let found = one.verification.as_ref()?;
            let at = crate::base::Instant::parse_rfc3339(&found.at)?;
            (found.result != Outcome::Untried).then_some((at, found.result == Outcome::Whole))
        };
        let verified = complete().filter_map(verified).max();
        Figures {
            last_success_s: newest.map_or(0.0, |one| seconds(one.moment().0)),
            last_duration_s: newest.map_or(0.0, |one| one.took_ms.unwrap_or(0) as f64 / 1_000.0),
            last_bytes: newest.map_or(0, |one| one.bytes),
            backups: complete().count() as u64,
            failed: all.iter().filter(|one| one.state == State::Failed).count() as u64,
            last_verified_s: verified.map_or(0.0, |(at, _)| seconds(at.0)),
            last_verified_whole: verified.is_some_and(|(_, whole)| whole),
        }
    }

    /// Stops what is under way and waits for its end.
    pub async fn stop(&self) {
        let thread = {
            let mut current = lock(&self.current);
            if let Some(operation) = &current.operation {
                operation.stop();
            }
            current.thread.take()
        };
        let Some(thread) = thread else { return };
        let joined = tokio::task::spawn_blocking(move || thread.join()).await;
        if !matches!(joined, Ok(Ok(()))) {
            tracing::error!("the thread of a backup broke off");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn busy(other: &Operation) -> Error {
    let what = match other.what {
        What::Create => "being made",
        What::Verify => "being verified",
        What::Restore => "being brought back in part",
    };
    Error::new(
        Code::BackupBusy,
        format!("The backup {} is {what}, and one thing is done at a time; try again when that is over.", other.id),
    )
    .retry_after(5)
}

/// What the folder or a key says, told to the operator.
fn unusable(error: BackupError) -> Error {
    Error::new(Code::BackupUnusable, error.to_string())
}
