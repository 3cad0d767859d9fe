//! Opening a store: what stands in its folder, whether this version may read it,
//! and the engine with its committer.
//!
//! ```text
//! FORMAT       one line: the format's number and the engine's name
//! sled/        the engine's own files
//! sled.new/    a copy that `compact` has not finished, or not switched to yet
//! sled.old/    the store before the last `compact`, until the next start
//! ```

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    committer::{Committed, CommitterMetrics, CommitterOptions},
    compact,
    engine::{Embedded, Engine, Maintenance, Result, StoreError, memory::Memory, sled::Sled},
};

/// The format this version writes; it reads no newer one.
pub const FORMAT: u32 = 1;
const FORMAT_FILE: &str = "FORMAT";

/// How to open a store.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The engine's name; only `sled` so far.
    pub engine: String,
    /// Bytes of the engine's own cache.
    pub cache_bytes: u64,
    /// The committer's limits.
    pub committer: CommitterOptions,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            engine: "sled".into(),
            cache_bytes: 256 << 20,
            committer: CommitterOptions::default(),
        }
    }
}

/// An open store.
#[derive(Clone)]
pub struct OpenStore {
    /// The contract.
    pub engine: Arc<dyn Engine>,
    /// What an operator asks of it.
    pub maintenance: Arc<dyn Maintenance>,
    /// What the committer counts.
    pub metrics: Arc<CommitterMetrics>,
    close: Arc<dyn Fn() + Send + Sync>,
}

impl OpenStore {
    /// An embedded engine with a committer over it.
    pub fn over<E: Embedded + Maintenance>(engine: E, options: CommitterOptions) -> Result<Self> {
        let engine = Arc::new(engine);
        let committed = Arc::new(Committed::start(engine.clone(), options)?);
        let closing = committed.clone();
        Ok(Self {
            metrics: committed.metrics(),
            engine: committed,
            maintenance: engine,
            close: Arc::new(move || closing.close()),
        })
    }

    /// Writes what waits and ends the committer; further commits are refused.
    pub fn close(&self) {
        (self.close)();
    }
}

/// A store in memory, for tests.
pub fn memory() -> Result<OpenStore> {
    OpenStore::over(Memory::new(), CommitterOptions::default())
}

/// Opens the store in `dir`, or makes one where the folder is empty or missing.
pub fn open(dir: &Path, options: &StoreOptions) -> Result<OpenStore> {
    if options.engine != "sled" {
        return Err(StoreError::Open(format!(
            "[store] engine = {:?} is not known; this version has \"sled\"",
            options.engine
        )));
    }
    prepare_folder(dir, &options.engine)?;
    compact::settle(dir)?;
    let sled = Sled::open(&engine_folder(dir), options.cache_bytes)?;
    let store = OpenStore::over(sled, options.committer)?;
    compact::forget_old(dir);
    Ok(store)
}

/// Where the engine's files are.
pub(super) fn engine_folder(dir: &Path) -> PathBuf {
    dir.join("sled")
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

/// Checks the format of an existing folder; a new one gets ours.
fn prepare_folder(dir: &Path, engine: &str) -> Result<()> {
    fs::create_dir_all(dir).map_err(|e| failed("made", dir, &e))?;
    if let Some(format) = read_format(dir)? {
        return check_format(&format, engine, dir);
    }
    let path = dir.join(FORMAT_FILE);
    let mut entries = fs::read_dir(dir).map_err(|e| failed("read", dir, &e))?;
    if entries.any(|entry| entry.is_ok_and(|e| e.file_name() != "FORMAT.new")) {
        return Err(StoreError::Open(format!(
            "{} is not empty and has no file {FORMAT_FILE}: it is no store of Tenantry, or a part of one. Choose another folder, or restore the whole one.",
            dir.display()
        )));
    }
    let fresh = dir.join("FORMAT.new");
    let write = || {
        fs::write(&fresh, format!("{FORMAT} {engine}\n"))?;
        fs::File::open(&fresh)?.sync_all()?;
        fs::rename(&fresh, &path)
    };
    write().map_err(|e| failed("written", &path, &e))?;
    sync_folder(dir)
}

/// Checks that the folder has a store that this version may touch.
pub(super) fn check_folder(dir: &Path, engine: &str) -> Result<()> {
    match read_format(dir)? {
        Some(format) => check_format(&format, engine, dir),
        None => Err(StoreError::Open(format!(
            "{} has no store: there is no file {FORMAT_FILE}.",
            dir.display()
        ))),
    }
}

fn read_format(dir: &Path) -> Result<Option<String>> {
    let path = dir.join(FORMAT_FILE);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", &path, &error)),
    }
}

fn check_format(text: &str, engine: &str, dir: &Path) -> Result<()> {
    let mut words = text.split_whitespace();
    let number = words.next().and_then(|n| n.parse::<u32>().ok());
    match (number, words.next()) {
        (Some(number), _) if number > FORMAT => Err(StoreError::Open(format!(
            "The store in {} was written by a newer version of Tenantry (format {number}; this version, {}, reads up to {FORMAT}). Install that version or a later one.",
            dir.display(),
            env!("CARGO_PKG_VERSION")
        ))),
        (Some(_), Some(found)) if found == engine => Ok(()),
        (Some(_), Some(found)) => Err(StoreError::Open(format!(
            "The store in {} was made with the engine {found:?}, and [store] engine says {engine:?}.",
            dir.display()
        ))),
        _ => Err(StoreError::Open(format!(
            "{} holds {text:?}, which is not a format's number and an engine's name.",
            dir.join(FORMAT_FILE).display()
        ))),
    }
}
