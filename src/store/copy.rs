//! Copies a store in key order into a fresh folder and switches to it: to give
//! space back (sled's files never shrink), or to another engine.
//!
//! The copy is verified by counts and checksums and synced before the switch.
//! [`settle`] finishes or takes back what a crash interrupted.

use std::{fs, path::Path};

use sha2::{Digest, Sha256};

use super::{
    engine::{Applied, DiskEngine, Key, Result, Scan, StoreError, Stored, Tree, folder_bytes},
    folder::{engine_folder, engine_of, failed, remove, sync_folder, write_format},
};

const NEW: &str = "new";
const OLD: &str = "old";
/// In the new folder once its copy is verified and synced.
const COMPLETE: &str = "COMPLETE";
const CACHE_BYTES: u64 = 64 << 20;
const PAGE_ROWS: usize = 512;

/// What a copy came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// Keys of both trees.
    pub keys: u64,
    /// Bytes on disk of the files that were copied.
    pub bytes_before: u64,
    /// Bytes on disk of the new files.
    pub bytes_after: u64,
}

/// Copies the store in `dir` into a fresh, small one and switches to it; the one
/// before stays until the next start. Nobody else may have it open.
pub fn compact(dir: &Path) -> Result<Copied> {
    let engine = engine_of(dir)?;
    settle(dir, engine)?;
    let copied = copy(dir, engine, engine)?;
    settle(dir, engine)?;
    Ok(copied)
}

/// Copies the store in `dir` into one of another engine and switches to it; the
/// one before stays until [`drop_converted`]. Nobody else may have it open.
pub fn convert(dir: &Path, to: DiskEngine) -> Result<Copied> {
    let from = engine_of(dir)?;
    settle(dir, from)?;
    if from == to {
        return Err(StoreError::Open(format!(
            "The store in {} has the engine {:?} already.",
            dir.display(),
            to.name()
        )));
    }
    let kept = engine_folder(dir, to);
    if kept.exists() {
        return Err(StoreError::Open(format!(
            "{} is there, kept by an earlier conversion. If it is not needed any more, `tenantry store convert --drop-old` removes it.",
            kept.display()
        )));
    }
    let copied = copy(dir, from, to)?;
    // The switch: from here on the complete copy is the store.
    write_format(dir, to)?;
    settle(dir, to)?;
    Ok(copied)
}

/// Removes what a conversion kept; answers the bytes that it took on the disk.
pub fn drop_converted(dir: &Path) -> Result<u64> {
    let engine = engine_of(dir)?;
    settle(dir, engine)?;
    if !engine_folder(dir, engine).exists() {
        return Err(no_store(dir));
    }
    let mut bytes = 0;
    for other in others(engine) {
        let kept = engine_folder(dir, other);
        if kept.exists() {
            bytes += folder_bytes(&kept)?;
            remove(&kept)?;
        }
    }
    Ok(bytes)
}

fn others(engine: DiskEngine) -> impl Iterator<Item = DiskEngine> {
    let all = DiskEngine::ALL.into_iter();
    all.filter(move |other| *other != engine)
}

fn no_store(dir: &Path) -> StoreError {
    StoreError::Open(format!("{} has no store.", dir.display()))
}

/// Copies the files of `from` into a new folder for `to`, complete and synced.
fn copy(dir: &Path, from: DiskEngine, to: DiskEngine) -> Result<Copied> {
    let (old, new) = (engine_folder(dir, from), beside(dir, to, NEW));
    if !old.exists() {
        return Err(no_store(dir));
    }
    let bytes_before = folder_bytes(&old)?;
    let mut keys = 0;
    {
        let source = from.open(&old, CACHE_BYTES)?;
        let target = to.open(&new, CACHE_BYTES)?;
        for tree in Tree::ALL {
            copy_tree(&*source, &*target, tree)?;
        }
        for tree in Tree::ALL {
            let (count, sum) = digest(&*source, tree)?;
            if (count, sum) != digest(&*target, tree)? {
                return Err(StoreError::Corrupt(format!(
                    "the copy of the tree {} differs from its source; the store is left as it was",
                    tree.name()
                )));
            }
            keys += count;
        }
    }
    let marker = new.join(COMPLETE);
    fs::File::create(&marker)
        .and_then(|f| f.sync_all())
        .map_err(|e| failed("made", &marker, &e))?;
    sync_folder(&new)?;
    sync_folder(dir)?;
    Ok(Copied {
        keys,
        bytes_before,
        bytes_after: folder_bytes(&new)?,
    })
}

fn pages(
    source: &dyn Stored,
    tree: Tree,
    mut visit: impl FnMut(Vec<(Key, Key)>) -> Result<()>,
) -> Result<()> {
    let mut scan = Scan::prefix(tree, Key::new());
    scan.limit = PAGE_ROWS;
    loop {
        let page = source.scan(&scan)?;
        let next = page.next;
        visit(page.rows)?;
        match next {
            Some(key) => scan.after = Some(key),
            None => return Ok(()),
        }
    }
}

fn copy_tree(source: &dyn Stored, target: &dyn Stored, tree: Tree) -> Result<()> {
    pages(source, tree, |rows| {
        let writes: Vec<_> = rows
            .into_iter()
            .map(|(key, value)| Applied {
                tree,
                key,
                value: Some(value),
                replaced_bytes: Some(0),
            })
            .collect();
        target.apply(&writes)
    })
}

/// The number of keys and a checksum over keys and values in order.
fn digest(store: &dyn Stored, tree: Tree) -> Result<(u64, Vec<u8>)> {
    let (mut keys, mut sum) = (0u64, Sha256::new());
    pages(store, tree, |rows| {
        for (key, value) in rows {
            keys += 1;
            for part in [&key, &value] {
                sum.update((part.len() as u64).to_le_bytes());
                sum.update(part);
            }
        }
        Ok(())
    })?;
    Ok((keys, sum.finalize().to_vec()))
}

fn beside(dir: &Path, engine: DiskEngine, suffix: &str) -> std::path::PathBuf {
    dir.join(format!("{}.{suffix}", engine.name()))
}

/// Brings a folder into order in which a copy was interrupted: a complete copy
/// takes its place, an incomplete one goes away, and so does one of another
/// engine that was never switched to.
pub(super) fn settle(dir: &Path, engine: DiskEngine) -> Result<()> {
    for other in others(engine) {
        remove(&beside(dir, other, NEW))?;
    }
    let current = engine_folder(dir, engine);
    let (new, old) = (beside(dir, engine, NEW), beside(dir, engine, OLD));
    let rename = |from: &Path, to: &Path| {
        fs::rename(from, to).map_err(|e| failed("renamed", from, &e))?;
        sync_folder(dir)
    };
    if new.join(COMPLETE).exists() {
        if current.exists() {
            remove(&old)?;
            rename(&current, &old)?;
        }
        rename(&new, &current)?;
        let marker = current.join(COMPLETE);
        return fs::remove_file(&marker).map_err(|e| failed("removed", &marker, &e));
    }
    remove(&new)?;
    if !current.exists() && old.exists() {
        rename(&old, &current)?;
    }
    Ok(())
}

/// Removes the store from before the last compaction, now that the new one opened.
pub(super) fn forget_old(dir: &Path) {
    for engine in DiskEngine::ALL {
        if let Err(error) = remove(&beside(dir, engine, OLD)) {
            tracing::warn!(%error, "the store from before the last compaction stays");
        }
    }
}
