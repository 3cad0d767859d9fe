//! What the thread of an operation does.

use std::{fs, path::Path, time::Instant as Moment};

use super::{
    Backups, Kind, Manifest, Operation, Outcome, State, Verification,
    tenant::{self, Wanted},
    verify::{self, Found, Ground, is_bad},
};
use crate::store::backup::{self, BackupError, BackupReader, Created, Facts, Identities};

/// What is known of a backup when it begins.
pub fn facts(all: &Backups, operation: &Operation, kind: Kind) -> Facts {
    Facts {
        id: operation.id.clone(),
        kind: kind.name().into(),
        engine: all.store.maintenance.name().into(),
        started_ms: operation.started_at.0,
        encrypted: !all.recipients.is_empty(),
        version: env!("CARGO_PKG_VERSION").into(),
    }
}

/// Makes a backup, verifies it where that is wanted, and lets those go that retention does
/// not keep. One that fails is noted; one that was only not verified is there.
pub fn create(
    all: &Backups,
    operation: &Operation,
    kind: Kind,
    verified: bool,
) -> Result<String, BackupError> {
    let facts = facts(all, operation, kind);
    let began = Moment::now();
    let made = make(all, operation, &facts);
    let took_ms = millis(began);
    let manifest = match &made {
        Ok(created) => Manifest::completed(&facts, created, took_ms),
        Err(error) => Manifest {
            state: State::Failed,
            error: Some(error.to_string()),
            took_ms: Some(took_ms),
            ..Manifest::of_file(&facts, 0)
        },
    };
    let saved = all.folder.save(&manifest);
    let created = match made {
        Ok(created) => created,
        Err(error) => {
            tracing::error!(id = facts.id, %error, "a backup was not made");
            if let Err(error) = saved.and_then(|()| all.folder.forget_failed()) {
                tracing::warn!(%error, "that a backup failed is not noted");
            }
            return Err(error);
        }
    };
    saved?;
    tracing::info!(
        id = facts.id,
        bytes = created.bytes,
        keys = created.trailer.keys,
        changes = created.trailer.changes,
        ms = took_ms,
        "a backup was made"
    );
    let mut said = format!("{} keys in {} bytes", created.trailer.keys, created.bytes);
    if verified && facts.encrypted && all.identity.is_none() {
        said +=
            "; not verified: it is encrypted, and [backup] identity names no file that opens it";
        tracing::warn!(id = facts.id, "{said}");
    } else if verified {
        said = format!("{said}; {}", verify(all, operation, None)?);
    }
    forget(all)?;
    Ok(said)
}

fn make(all: &Backups, operation: &Operation, facts: &Facts) -> Result<Created, BackupError> {
    // The last one tells about how many keys there are.
    let before = all.folder.list()?.into_iter().find_map(|one| one.keys);
    operation.at(|progress| progress.keys_expected = before.unwrap_or(0))?;
    let path = all.folder.file(&facts.id);
    let mut watch = |at: backup::CreateProgress| {
        operation.at(|progress| (progress.keys, progress.bytes) = (at.keys, at.bytes))
    };
    let (store, clock) = (&all.store, &*all.core.clock);
    backup::create(store, clock, &path, facts, &all.recipients, &mut watch)
}

/// Verifies a backup and notes what came of it. An error where it is bad, or could not be
/// tried.
pub fn verify(
    all: &Backups,
    operation: &Operation,
    identity: Option<Identities>,
) -> Result<String, BackupError> {
    let id = &operation.id;
    let began = Moment::now();
    let found = try_out(all, operation, identity);
    let (result, error, found) = match found {
        Ok(found) if found.wrong.is_none() => (Outcome::Whole, None, found),
        Ok(found) => (Outcome::Bad, found.wrong.clone(), found),
        Err(BackupError::Stopped) => return Err(BackupError::Stopped),
        Err(error) => {
            let result = if is_bad(&error) {
                Outcome::Bad
            } else {
                Outcome::Untried
            };
            (result, Some(error.to_string()), Found::default())
        }
    };
    let verification = Verification {
        at: all.core.clock.now().to_rfc3339(),
        result,
        error: error.clone(),
        keys: found.keys,
        records: found.records,
        took_ms: millis(began),
    };
    if let Some(manifest) = all.folder.get(id)? {
        let verification = Some(verification);
        all.folder.save(&Manifest {
            verification,
            ..manifest
        })?;
    }
    match error {
        None => {
            tracing::info!(
                id,
                keys = found.keys,
                records = found.records,
                ms = millis(began),
                "a backup was verified"
            );
            Ok(format!(
                "found whole: {} keys, {} records",
                found.keys, found.records
            ))
        }
        Some(error) => {
            tracing::error!(id, error, "a backup was not found whole");
            Err(BackupError::Refused(error))
        }
    }
}

fn try_out(
    all: &Backups,
    operation: &Operation,
    given: Option<Identities>,
) -> Result<Found, BackupError> {
    let path = all.folder.file(&operation.id);
    let identities = all.identities(given)?;
    let scratch = all.folder.scratch(&operation.id)?;
    let logical = all
        .folder
        .get(&operation.id)?
        .and_then(|one| one.logical_bytes);
    backup::need_room(scratch.path(), logical.unwrap_or(0))?;
    let mut watch = |(read, length): (u64, u64)| {
        operation.at(|progress| (progress.bytes, progress.bytes_expected) = (read, length))
    };
    let (ground, store) = (Ground::from(&all.core), scratch.store());
    let work = verify::verify(&ground, &path, identities.as_ref(), &store, &mut watch);
    runtime(scratch.path())?.block_on(work)
}

/// Brings a tenant back.
pub fn bring_back(
    all: &Backups,
    operation: &Operation,
    wanted: &Wanted,
    given: Option<Identities>,
) -> Result<String, BackupError> {
    let identities = all.identities(given)?;
    let reader = BackupReader::open(&all.folder.file(&operation.id), identities.as_ref())?;
    let scratch = all.folder.scratch(&operation.id)?;
    let (ground, store) = (Ground::from(&all.core), scratch.store());
    let living = (&*all.tenants, &*all.apps);
    let work = tenant::bring_back(living, &ground, reader, &store, operation, wanted);
    let said = runtime(scratch.path())?.block_on(work)?;
    tracing::info!(id = operation.id, "{said}");
    Ok(said)
}

/// Lets those backups go that retention does not keep. The files are removed one by one,
/// the oldest first, and what is left of it by a crash goes the next time.
fn forget(all: &Backups) -> Result<(), BackupError> {
    let known = all.folder.list()?;
    let kept = all.kept_for(&known);
    for (one, kept) in known.iter().zip(&kept).rev() {
        if one.state == State::Complete && kept.is_empty() {
            all.folder.remove(&one.id)?;
            tracing::info!(
                id = one.id,
                "a backup was let go: retention does not keep it"
            );
        }
    }
    all.folder.forget_failed()
}

impl Backups {
    /// Who opens encrypted backups: who is given, or who is configured.
    pub(super) fn identities(
        &self,
        given: Option<Identities>,
    ) -> Result<Option<Identities>, BackupError> {
        match (given, &self.identity) {
            (Some(given), _) => Ok(Some(given)),
            (None, None) => Ok(None),
            (None, Some(path)) => {
                let text = fs::read_to_string(path).map_err(BackupError::io("read", path))?;
                Identities::parse(&text).map(Some)
            }
        }
    }
}

/// What the services over a scratch store run on, in this thread.
pub(super) fn runtime(at: &Path) -> Result<tokio::runtime::Runtime, BackupError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(BackupError::io("worked on", at))
}

fn millis(since: Moment) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
