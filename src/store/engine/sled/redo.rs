//! The group of writes that sled broke off in, so that the next start ends it.
//!
//! A batch of sled that meets an error on its way, as a page that cannot be read, leaves
//! its first part behind, in memory and later in the log. The group says what each of its
//! keys is to be, so writing all of it once more makes it whole. Whoever asked for it was
//! told that its outcome is unknown, and nothing was written after it.
//!
//! ```text
//! redo       checksum (8), the writes
//! ```

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::store::engine::{Applied, Result, StoreError, applied};

const FILE: &str = "redo";
const PARTIAL: &str = "redo.partial";
const DAMAGED: &str = "redo.damaged";
const SUM_BYTES: usize = 8;

/// Writes the group down, onto the disk. The first one stands: after it nothing is written.
pub fn note(folder: &Path, writes: &[Applied]) -> io::Result<()> {
    if folder.join(FILE).exists() {
        return Ok(());
    }
    let mut bytes = vec![0; SUM_BYTES];
    for write in writes {
        applied::pack(&mut bytes, write.tree, &write.key, write.value.as_deref());
    }
    let sum = sum(&bytes[SUM_BYTES..]);
    bytes[..SUM_BYTES].copy_from_slice(&sum);
    let partial = folder.join(PARTIAL);
    let wrote = written(&partial, &bytes).and_then(|()| fs::rename(&partial, folder.join(FILE)));
    if wrote.is_err() {
        // Where there is no room for it there is room for nothing; its error counts.
        let _ = fs::remove_file(&partial);
    }
    wrote?;
    File::open(folder)?.sync_all()
}

fn written(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// The group that was written down, if there is one.
pub fn noted(folder: &Path) -> Result<Option<Vec<Applied>>> {
    let path = folder.join(FILE);
    let mut bytes = match fs::read(&path) {
        Ok(bytes) => Bytes::from(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(&path, "read", &error)),
    };
    let head = bytes.split_to(SUM_BYTES.min(bytes.len()));
    if head[..] == sum(&bytes)
        && let Ok(writes) = applied::unpack(bytes)
    {
        return Ok(Some(writes));
    }
    let aside = folder.join(DAMAGED);
    fs::rename(&path, &aside).map_err(|error| failed(&path, "set aside", &error))?;
    tracing::error!(
        path = %aside.display(),
        "a group of writes in doubt was written down, and the disk has damaged it; run `tenantry store check --repair`"
    );
    Ok(None)
}

/// The group is written.
pub fn done(folder: &Path) -> Result<()> {
    let path = folder.join(FILE);
    fs::remove_file(&path).map_err(|error| failed(&path, "removed", &error))
}

fn sum(bytes: &[u8]) -> [u8; SUM_BYTES] {
    let mut sum = [0; SUM_BYTES];
    sum.copy_from_slice(&Sha256::digest(bytes)[..SUM_BYTES]);
    sum
}

fn failed(path: &Path, what: &str, error: &io::Error) -> StoreError {
    StoreError::Open(format!("{} cannot be {what}: {error}", path.display()))
}
