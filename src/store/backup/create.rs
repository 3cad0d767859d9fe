//! Makes a backup of an open store, beside whoever reads and writes it.

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    time::{Duration, Instant as Moment},
};

use super::{BackupError, Facts, PARTIAL, Recipients, Trailer, file::BackupWriter};
use crate::{
    base::Clock,
    store::{
        OpenStore,
        committer::{Committed, TEE_BYTES_MAX, Tee},
        engine::{Key, Scan, Tree},
    },
};

const PAGE_ROWS: usize = 32;
const PAGE_BYTES: usize = 32 << 10;
/// After each page there is a rest as long as the page took, up to this: requests and
/// the disk are at least half of the time their own.
const REST_MAX: Duration = Duration::from_millis(50);

/// What a backup came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// What its last frame says.
    pub trailer: Trailer,
    /// The length of the file.
    pub bytes: u64,
}

/// How far a backup is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CreateProgress {
    /// Keys read.
    pub keys: u64,
    /// Bytes written.
    pub bytes: u64,
}

/// Is told how far it is; an error stops it.
pub type Watch<'a> = &'a mut dyn FnMut(CreateProgress) -> Result<(), BackupError>;

/// Writes the whole store into the file `path`, which appears when it is complete and on
/// the disk; until then it has [`PARTIAL`] behind its name and is locked by this process.
/// Refused with [`StoreError::Busy`](crate::store::StoreError::Busy) while another one is
/// made. Takes its time: see `REST_MAX`.
pub fn create(
    store: &OpenStore,
    clock: &dyn Clock,
    path: &Path,
    facts: &Facts,
    recipients: &Recipients,
    watch: Watch<'_>,
) -> Result<Created, BackupError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let partial = path.with_file_name(format!("{name}{PARTIAL}"));
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&partial)
        .map_err(BackupError::io("made", &partial))?;
    let locked = file
        .try_clone()
        .map_err(BackupError::io("made", &partial))?;
    let made = written(
        store.committed(),
        clock,
        (&partial, file),
        facts,
        recipients,
        watch,
    )
    .and_then(|created| publish(&partial, path, &locked).map(|()| created));
    if made.is_err()
        && let Err(error) = fs::remove_file(&partial)
    {
        tracing::warn!(%error, path = %partial.display(), "the unfinished backup stays until the next start");
    }
    made
}

/// Gives a complete file its name, in one step that a crash does not split.
fn publish(partial: &Path, path: &Path, locked: &File) -> Result<(), BackupError> {
    fs::rename(partial, path).map_err(BackupError::io("renamed", partial))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(BackupError::io("synced", folder))?;
    locked.unlock().map_err(BackupError::io("unlocked", path))
}

fn written(
    store: &Committed,
    clock: &dyn Clock,
    (path, file): (&Path, File),
    facts: &Facts,
    recipients: &Recipients,
    watch: Watch<'_>,
) -> Result<Created, BackupError> {
    if let Err(error) = file.try_lock() {
        return Err(BackupError::io("locked", path)(error.into()));
    }
    let mut writer = BackupWriter::begin(file, path, facts, recipients)?;
    let tee = store.tee(TEE_BYTES_MAX)?;
    let (mut keys, mut changes) = (0, 0);
    for tree in Tree::ALL {
        let mut scan = Scan::prefix(tree, Key::new());
        (scan.limit, scan.bytes_max) = (PAGE_ROWS, PAGE_BYTES);
        loop {
            let began = Moment::now();
            let page = store.scan_uncached(&scan)?;
            for (key, value) in &page.rows {
                writer.put(tree, key, Some(value))?;
            }
            keys += page.rows.len() as u64;
            // Behind the page: a change that the page does not have yet must not stand
            // before it.
            changes += drain(&tee, &mut writer)?;
            let bytes = writer.bytes();
            watch(CreateProgress { keys, bytes })?;
            match page.next {
                Some(next) => scan.after = Some(next),
                None => break,
            }
            std::thread::sleep(began.elapsed().min(REST_MAX));
        }
    }
    let (last, sequence, moment) = tee.close(|| clock.now())?;
    changes += last.len() as u64;
    for write in &last {
        writer.put(write.tree, &write.key, write.value.as_deref())?;
    }
    let trailer = Trailer {
        moment_ms: moment.0,
        sequence,
        keys,
        changes,
        logical_bytes: writer.logical_bytes(),
    };
    let bytes = writer.finish(&trailer)?;
    Ok(Created { trailer, bytes })
}

/// Writes down what was committed since the last time.
fn drain(tee: &Tee, writer: &mut BackupWriter) -> Result<u64, BackupError> {
    let changes = tee.take()?;
    for write in &changes {
        writer.put(write.tree, &write.key, write.value.as_deref())?;
    }
    Ok(changes.len() as u64)
}
