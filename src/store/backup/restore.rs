//! Makes a store of a backup: in a fresh folder, which then takes the place of another.
//!
//! ```text
//! store             the store
//! store.restored    one that is being filled, or complete and about to take its place
//! store.before-...  the one before, kept
//! ```

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use super::{BackupError, BackupReader, Trailer, file::Next};
use crate::store::{
    engine::{Applied, DiskEngine, Key, Stored, Tree},
    folder::{self, engine_folder, sync_folder},
    keys,
};

const CACHE_BYTES: u64 = 64 << 20;
/// In the folder once everything is in it and synced.
const COMPLETE: &str = "RESTORED";
/// Room that a store is given: so many times the bytes of its keys and values, and what
/// an engine takes for itself.
const ROOM_TIMES: u64 = 2;
const ROOM_MORE: u64 = 64 << 20;
const BESIDE: &str = ".restored";

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// What the backup's last frame says.
    pub trailer: Trailer,
    /// Writes that were applied.
    pub writes: u64,
}

/// Is told bytes read and bytes there are; an error stops it.
pub type Watch<'a> = &'a mut dyn FnMut((u64, u64)) -> Result<(), BackupError>;

/// Fills the folder `dir`, which is empty or missing, with a store of the engine `engine`
/// out of a backup: with the keys that `wanted` chooses. Sessions never come back: who was
/// signed out since would be signed in again. What there is of a store that could not be
/// completed stays and is of no use.
pub fn into_folder(
    backup: &mut BackupReader,
    dir: &Path,
    engine: DiskEngine,
    wanted: &dyn Fn(&Key) -> bool,
    watch: Watch<'_>,
) -> Result<Restored, BackupError> {
    let engine = folder::prepare(dir, Some(engine))?;
    let store = engine.open(&engine_folder(dir, engine), CACHE_BYTES)?;
    let mut writes = 0;
    loop {
        match backup.frame()? {
            Next::Writes(frame) => writes += apply(&*store, frame, wanted)?,
            Next::End(trailer) => return Ok(Restored { trailer, writes }),
        }
        watch(backup.position())?;
    }
}

/// Applies a frame's writes at once: the last one of each key counts.
fn apply(
    store: &dyn Stored,
    frame: Vec<Applied>,
    wanted: &dyn Fn(&Key) -> bool,
) -> Result<u64, BackupError> {
    let comes_back =
        |write: &Applied| !write.key.starts_with(keys::SESSIONS.as_bytes()) && wanted(&write.key);
    let last: BTreeMap<(Tree, Key), Applied> = frame
        .into_iter()
        .filter(comes_back)
        .map(|write| ((write.tree, write.key.clone()), write))
        .collect();
    let writes: Vec<Applied> = last.into_values().collect();
    store.apply(&writes)?;
    Ok(writes.len() as u64)
}

/// Refuses where the disk of `dir` has no room for a store with so many bytes of keys and
/// values, as far as can be said.
pub fn need_room(dir: &Path, logical_bytes: u64) -> Result<(), BackupError> {
    let needed = logical_bytes
        .saturating_mul(ROOM_TIMES)
        .saturating_add(ROOM_MORE);
    let free = rustix::fs::statvfs(dir)
        .map_err(|error| BackupError::io("looked at", dir)(error.into()))?;
    let free = free.f_bavail.saturating_mul(free.f_frsize);
    match free >= needed {
        true => Ok(()),
        false => Err(BackupError::Refused(format!(
            "A restored store may need {needed} bytes, and {} has {free} free. Make room there.",
            dir.display()
        ))),
    }
}

/// The folder beside `dir` in which a store is filled that is to take its place.
fn beside(dir: &Path) -> PathBuf {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    dir.with_file_name(format!("{name}{BESIDE}"))
}

/// Restores a backup into `dir`. A store that is there is refused, or with `before` kept
/// under that name beside it. The new one takes its place when it is complete and on the
/// disk. Nobody else may have the store open.
pub fn switch(
    backup: &mut BackupReader,
    dir: &Path,
    engine: DiskEngine,
    before: Option<&str>,
    watch: Watch<'_>,
) -> Result<Restored, BackupError> {
    settle(dir)?;
    if before.is_none() && fs::read_dir(dir).is_ok_and(|mut all| all.next().is_some()) {
        let dir = dir.display();
        return Err(BackupError::Refused(format!("{dir} is not empty.")));
    }
    let new = beside(dir);
    let restored = into_folder(backup, &new, engine, &|_| true, watch).and_then(|restored| {
        let marker = new.join(COMPLETE);
        fs::File::create(&marker)
            .and_then(|file| file.sync_all())
            .map_err(BackupError::io("made", &marker))?;
        sync_folder(&engine_folder(&new, engine))?;
        sync_folder(&new)?;
        Ok(restored)
    });
    if restored.is_err()
        && let Err(error) = folder::remove(&new)
    {
        tracing::warn!(%error, "the unfinished store stays until the next start");
    }
    let restored = restored?;
    if dir.exists() {
        match before {
            Some(name) => {
                let kept = dir.with_file_name(name);
                fs::rename(dir, &kept).map_err(BackupError::io("renamed", dir))?;
            }
            // An empty folder; anything else is an error, and nothing is lost.
            None => fs::remove_dir(dir).map_err(BackupError::io("replaced", dir))?,
        }
    }
    settle(dir)?;
    Ok(restored)
}

/// Brings a folder into order in which a restore was cut short: a complete store takes
/// its place where there is none, an incomplete one goes away.
pub fn settle(dir: &Path) -> Result<(), BackupError> {
    let new = beside(dir);
    if !new.exists() {
        return Ok(());
    }
    let marker = new.join(COMPLETE);
    if !marker.exists() || dir.exists() {
        return Ok(folder::remove(&new)?);
    }
    // The marker goes last: a crash in between comes back here, or finds a store with a
    // file too many.
    fs::rename(&new, dir).map_err(BackupError::io("renamed", &new))?;
    let parent = dir.parent().unwrap_or(Path::new("."));
    sync_folder(parent)?;
    let marker = dir.join(COMPLETE);
    fs::remove_file(&marker).map_err(BackupError::io("removed", &marker))
}
