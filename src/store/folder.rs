//! A store's folder: what stands in it, and whether this version may touch it.
//!
//! ```text
//! FORMAT       one line: the format's number and the engine's name
//! sled/        that engine's own files
//! sled.new/    a copy that is not finished, or not switched to yet
//! sled.old/    the store before the last `compact`, until the next start
//! ```
//!
//! After a conversion the other engine's folder stays, until it is told to go.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use super::engine::{DiskEngine, Result, StoreError};

/// The format this version writes; it reads no newer one.
const FORMAT: u32 = 1;
const FORMAT_FILE: &str = "FORMAT";
const FRESH_FORMAT_FILE: &str = "FORMAT.new";

/// Where an engine's files are.
pub(super) fn engine_folder(dir: &Path, engine: DiskEngine) -> PathBuf {
    dir.join(engine.name())
}

pub(super) fn failed(what: &str, path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Open(format!("{} cannot be {what}: {error}", path.display()))
}

/// Makes the folder's entries durable.
pub(super) fn sync_folder(dir: &Path) -> Result<()> {
    fs::File::open(dir)
        .and_then(|f| f.sync_all())
        .map_err(|e| failed("synced", dir, &e))
}

/// Removes a folder with all that is in it, where it is there.
pub(super) fn remove(path: &Path) -> Result<()> {
    match path.exists() {
        true => fs::remove_dir_all(path).map_err(|e| failed("removed", path, &e)),
        false => Ok(()),
    }
}

/// The engine of the store in `dir`, which is made where the folder is empty or
/// missing: with the engine that is `wanted`, or the default one. An existing
/// store must have the engine that is wanted, if one is.
pub(super) fn prepare(dir: &Path, wanted: Option<DiskEngine>) -> Result<DiskEngine> {
    fs::create_dir_all(dir).map_err(|e| failed("made", dir, &e))?;
    let Some(found) = read_format(dir)? else {
        let engine = wanted.unwrap_or(DiskEngine::ALL[0]);
        check_empty(dir)?;
        write_format(dir, engine)?;
        return Ok(engine);
    };
    match wanted {
        Some(wanted) if wanted != found => Err(StoreError::Open(format!(
            "The store in {} was made with the engine {:?}, and [store] engine says {:?}. Set it to \"auto\" or {1:?}, or convert the store with `tenantry store convert --to {}`.",
            dir.display(),
            found.name(),
            wanted.name(),
            wanted.name(),
        ))),
        _ => Ok(found),
    }
}

/// The engine of the store that must be in `dir`.
pub(super) fn engine_of(dir: &Path) -> Result<DiskEngine> {
    read_format(dir)?.ok_or_else(|| {
        StoreError::Open(format!(
            "{} has no store: there is no file {FORMAT_FILE}.",
            dir.display()
        ))
    })
}

/// Names the engine of the store in `dir`, in one step that a crash does not split.
pub(super) fn write_format(dir: &Path, engine: DiskEngine) -> Result<()> {
    let (fresh, path) = (dir.join(FRESH_FORMAT_FILE), dir.join(FORMAT_FILE));
    let write = || {
        fs::write(&fresh, format!("{FORMAT} {}\n", engine.name()))?;
        fs::File::open(&fresh)?.sync_all()?;
        fs::rename(&fresh, &path)
    };
    write().map_err(|e| failed("written", &path, &e))?;
    sync_folder(dir)
}

fn check_empty(dir: &Path) -> Result<()> {
    let mut entries = fs::read_dir(dir).map_err(|e| failed("read", dir, &e))?;
    match entries.any(|entry| entry.is_ok_and(|e| e.file_name() != FRESH_FORMAT_FILE)) {
        false => Ok(()),
        true => Err(StoreError::Open(format!(
            "{} is not empty and has no file {FORMAT_FILE}: it is no store of Tenantry, or a part of one. Choose another folder, or restore the whole one.",
            dir.display()
        ))),
    }
}

fn read_format(dir: &Path) -> Result<Option<DiskEngine>> {
    let path = dir.join(FORMAT_FILE);
    match fs::read_to_string(&path) {
        Ok(text) => parse_format(&text, dir).map(Some),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", &path, &error)),
    }
}

fn parse_format(text: &str, dir: &Path) -> Result<DiskEngine> {
    let mut words = text.split_whitespace();
    let number = words.next().and_then(|n| n.parse::<u32>().ok());
    match (number, words.next()) {
        (Some(number), _) if number > FORMAT => Err(StoreError::Open(format!(
            "The store in {} was written by a newer version of Tenantry (format {number}; this version, {}, reads up to {FORMAT}). Install that version or a later one.",
            dir.display(),
            env!("CARGO_PKG_VERSION")
        ))),
        (Some(_), Some(name)) => DiskEngine::named(name).ok_or_else(|| {
            StoreError::Open(format!(
                "The store in {} was made with the engine {name:?}, which this version, {}, does not have.",
                dir.display(),
                env!("CARGO_PKG_VERSION")
            ))
        }),
        _ => Err(StoreError::Open(format!(
            "{} holds {text:?}, which is not a format's number and an engine's name.",
            dir.join(FORMAT_FILE).display()
        ))),
    }
}
