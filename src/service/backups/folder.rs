//! The folder of the backups.
//!
//! ```text
//! tenantry-ID.backup           a backup
//! tenantry-ID.json             what is known of it
//! tenantry-ID.backup.partial   one that is being made; locked by who makes it
//! scratch-ID/                  a store that one is restored into, to look at; locked likewise
//! ```

use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use super::{Manifest, State};
use crate::{
    base::{Instant, Lock},
    store::backup::{self, BackupError, EXTENSION, PARTIAL},
};

const PREFIX: &str = "tenantry-";
const MANIFEST: &str = ".json";
const FRESH: &str = ".new";
const SCRATCH: &str = "scratch-";
/// The largest manifest that is read.
const MANIFEST_BYTES_MAX: u64 = 64 << 10;
/// Backups that failed and are still told of.
const FAILED_MAX: usize = 20;

/// The folder.
#[derive(Debug, Clone)]
pub struct Folder(pub PathBuf);

type Result<T> = std::result::Result<T, BackupError>;

/// An id: the time when the backup began, as in `20261125T130501123Z`.
pub fn id_at(at: Instant) -> String {
    let text = at.to_rfc3339();
    text.chars().filter(char::is_ascii_alphanumeric).collect()
}

/// Whether a text is an id; nothing else becomes part of a path.
pub fn is_id(text: &str) -> bool {
    let digits =
        |part: &str, count| part.len() == count && part.bytes().all(|b| b.is_ascii_digit());
    text.is_ascii()
        && text.len() == 19
        && digits(&text[..8], 8)
        && &text[8..9] == "T"
        && digits(&text[9..18], 9)
        && &text[18..] == "Z"
}

impl Folder {
    /// The file of a backup.
    pub fn file(&self, id: &str) -> PathBuf {
        self.0.join(format!("{PREFIX}{id}{EXTENSION}"))
    }

    fn manifest(&self, id: &str) -> PathBuf {
        self.0.join(format!("{PREFIX}{id}{MANIFEST}"))
    }

    /// The id of a backup that begins now: one that is free.
    pub fn free_id(&self, now: Instant) -> String {
        let mut at = now;
        loop {
            let id = id_at(at);
            if !self.file(&id).exists() && !self.manifest(&id).exists() {
                return id;
            }
            at = at.plus_ms(1);
        }
    }

    /// Makes the folder, for its owner alone, where it is not there.
    pub fn make(&self) -> Result<()> {
        let made = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.0);
        made.map_err(BackupError::io("made", &self.0))
    }

    /// Everything that is there, the newest first. A file without a manifest tells what it
    /// can; a manifest without the file of a complete backup is none.
    pub fn list(&self) -> Result<Vec<Manifest>> {
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(BackupError::io("read", &self.0))?,
        };
        let mut ids: Vec<String> = Vec::new();
        for entry in entries {
            let entry = entry.map_err(BackupError::io("read", &self.0))?;
            let name = entry.file_name();
            let id = name.to_str().and_then(|name| {
                let rest = name.strip_prefix(PREFIX)?;
                rest.strip_suffix(EXTENSION)
                    .or_else(|| rest.strip_suffix(MANIFEST))
            });
            ids.extend(id.filter(|id| is_id(id)).map(str::to_owned));
        }
        ids.sort_unstable();
        ids.dedup();
        let found = ids.iter().rev().filter_map(|id| self.get(id).transpose());
        found.collect()
    }

    /// What is known of one.
    pub fn get(&self, id: &str) -> Result<Option<Manifest>> {
        if !is_id(id) {
            return Ok(None);
        }
        let (path, known) = (self.file(id), self.read_manifest(id));
        let bytes = match fs::metadata(&path) {
            Ok(meta) => meta.len(),
            // A backup that failed has no file.
            Err(_) => return Ok(known.filter(|known| known.state == State::Failed)),
        };
        if let Some(known) = known.filter(|known| known.state == State::Complete) {
            return Ok(Some(Manifest { bytes, ..known }));
        }
        match backup::facts(&path) {
            Ok(facts) => Ok(Some(Manifest {
                // The name counts: it is how the file is found again.
                id: id.to_owned(),
                ..Manifest::of_file(&facts, bytes)
            })),
            Err(error) => {
                tracing::warn!(%error, "a file among the backups is none");
                Ok(None)
            }
        }
    }

    fn read_manifest(&self, id: &str) -> Option<Manifest> {
        let path = self.manifest(id);
        let meta = fs::metadata(&path).ok()?;
        if meta.len() > MANIFEST_BYTES_MAX {
            return None;
        }
        let read: Manifest = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
        (read.id == id).then_some(read)
    }

    /// Writes down what is known of one, in a step that a crash does not split.
    pub fn save(&self, manifest: &Manifest) -> Result<()> {
        let path = self.manifest(&manifest.id);
        let fresh = self
            .0
            .join(format!("{PREFIX}{}{MANIFEST}{FRESH}", manifest.id));
        let write = || {
            let mut text = serde_json::to_vec_pretty(manifest)?;
            text.push(b'\n');
            fs::write(&fresh, text)?;
            File::open(&fresh)?.sync_all()?;
            fs::rename(&fresh, &path)?;
            File::open(&self.0)?.sync_all()
        };
        write().map_err(BackupError::io("written", &path))
    }

    /// Removes one: what is known of it goes last.
    pub fn remove(&self, id: &str) -> Result<()> {
        for path in [self.file(id), self.manifest(id)] {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(BackupError::io("removed", &path)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Forgets all but the latest of those that failed.
    pub fn forget_failed(&self) -> Result<()> {
        let all = self.list()?;
        let failed = all.iter().filter(|one| one.state == State::Failed);
        failed
            .skip(FAILED_MAX)
            .try_for_each(|one| self.remove(&one.id))
    }

    /// A fresh folder for a store that is only looked at; it goes when it is dropped.
    pub fn scratch(&self, id: &str) -> Result<Scratch> {
        self.make()?;
        let path = self.0.join(format!("{SCRATCH}{id}"));
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.map_err(BackupError::io("made", &path))?;
        let lock = Lock::acquire(&path, "backup verify")
            .map_err(|error| BackupError::Refused(error.to_string()))?;
        Ok(Scratch { path, _lock: lock })
    }

    /// Removes what processes left that were killed while they made or looked at a backup.
    pub fn sweep(&self) {
        let Ok(entries) = fs::read_dir(&self.0) else {
            return;
        };
        for entry in entries.flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            let removed = if name.starts_with(SCRATCH) {
                // Another process may be at it: the folder may be shared.
                Lock::acquire(&path, "sweep")
                    .map(|_lock| fs::remove_dir_all(&path))
                    .ok()
            } else if name.starts_with(PREFIX) && name.ends_with(&format!("{EXTENSION}{PARTIAL}")) {
                let locked = File::open(&path).is_ok_and(|file| file.try_lock().is_err());
                (!locked).then(|| fs::remove_file(&path))
            } else {
                None
            };
            match removed {
                Some(Ok(())) => {
                    tracing::warn!(path = %path.display(), "removed what was left of a backup that was broken off")
                }
                Some(Err(error)) => {
                    tracing::warn!(%error, path = %path.display(), "what was left of a backup stays")
                }
                None => {}
            }
        }
    }
}

/// A folder that goes when it is dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    _lock: Lock,
}

impl Scratch {
    /// Where a store may be made.
    pub fn store(&self) -> PathBuf {
        self.path.join("store")
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "a scratch folder stays until the next start");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_times_and_nothing_else_is_one() {
        let at = Instant(1_772_323_200_123);
        assert_eq!(id_at(at), "20260301T000000123Z");
        assert!(is_id(&id_at(at)));
        for text in [
            "",
            "..",
            "20260301T000000123",
            "20260301T00000012/Z",
            "2026-301T000000123Z",
            "20260301T00000012é",
        ] {
            assert!(!is_id(text), "{text}");
        }
    }
}
