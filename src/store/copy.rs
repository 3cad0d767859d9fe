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
/// Room that a copy is given: so many times the bytes of its keys and values, and what
/// an engine takes for itself.
const ROOM_TIMES: u64 = 2;
const ROOM_MORE: u64 = 64 << 20;

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

/// What a copy is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Reading everything once, to know how much there is.
    Counting,
    /// Writing the copy.
    Copying,
    /// Reading both, to see that they are the same.
    Comparing,
}

/// How far a copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyProgress {
    /// What it is at.
    pub stage: Stage,
    /// Keys done in this stage.
    pub keys: u64,
    /// All keys; 0 while they are being counted.
    pub keys_total: u64,
    /// Bytes of all keys and values; 0 while they are being counted.
    pub bytes_total: u64,
}

/// Is told how far a copy is; an error stops it, and the store is as it was.
pub type Watch<'a> = &'a mut dyn FnMut(CopyProgress) -> Result<()>;

/// Copies the store in `dir` into a fresh, small one and switches to it; the one
/// before stays until the next start. Nobody else may have it open. Refused where the
/// disk has no room for the copy.
pub fn compact(dir: &Path, watch: Watch<'_>) -> Result<Copied> {
    let engine = engine_of(dir)?;
    settle(dir, engine)?;
    let copied = copied_or_undone(dir, engine, engine, watch)?;
    settle(dir, engine)?;
    Ok(copied)
}

/// Copies; what there is of a copy that was stopped goes away.
fn copied_or_undone(
    dir: &Path,
    from: DiskEngine,
    to: DiskEngine,
    watch: Watch<'_>,
) -> Result<Copied> {
    copy(dir, from, to, watch).inspect_err(|_| {
        if let Err(error) = remove(&beside(dir, to, NEW)) {
            tracing::warn!(%error, "the unfinished copy stays until the next start");
        }
    })
}

/// Copies the store in `dir` into one of another engine and switches to it; the
/// one before stays until [`drop_converted`]. Nobody else may have it open.
pub fn convert(dir: &Path, to: DiskEngine, watch: Watch<'_>) -> Result<Copied> {
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
    let copied = copied_or_undone(dir, from, to, watch)?;
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
fn copy(dir: &Path, from: DiskEngine, to: DiskEngine, watch: Watch<'_>) -> Result<Copied> {
    let (old, new) = (engine_folder(dir, from), beside(dir, to, NEW));
    if !old.exists() {
        return Err(no_store(dir));
    }
    let bytes_before = folder_bytes(&old)?;
    let mut at = CopyProgress {
        stage: Stage::Counting,
        keys: 0,
        keys_total: 0,
        bytes_total: 0,
    };
    {
        let source = from.open(&old, CACHE_BYTES)?;
        let mut bytes = 0;
        for tree in Tree::ALL {
            pages(&*source, tree, |rows| {
                at.keys += rows.len() as u64;
                bytes += rows.iter().map(|(k, v)| k.len() + v.len()).sum::<usize>() as u64;
                watch(at)
            })?;
        }
        (at.keys_total, at.bytes_total) = (at.keys, bytes);
        need_room(dir, bytes)?;
        (at.stage, at.keys) = (Stage::Copying, 0);
        watch(at)?;
        let target = to.open(&new, CACHE_BYTES)?;
        for tree in Tree::ALL {
            pages(&*source, tree, |rows| {
                at.keys += rows.len() as u64;
                target.apply(&writes(tree, rows))?;
                watch(at)
            })?;
        }
        (at.stage, at.keys) = (Stage::Comparing, 0);
        for tree in Tree::ALL {
            let before = at.keys;
            let mut seen = |keys| {
                at.keys = before + keys;
                watch(at)
            };
            let wanted = digest(&*source, tree, &mut seen)?;
            if wanted != digest(&*target, tree, &mut |keys| seen(keys))? {
                return Err(StoreError::Corrupt(format!(
                    "the copy of the tree {} differs from its source; the store is left as it was",
                    tree.name()
                )));
            }
        }
    }
    let marker = new.join(COMPLETE);
    fs::File::create(&marker)
        .and_then(|f| f.sync_all())
        .map_err(|e| failed("made", &marker, &e))?;
    sync_folder(&new)?;
    sync_folder(dir)?;
    Ok(Copied {
        keys: at.keys_total,
        bytes_before,
        bytes_after: folder_bytes(&new)?,
    })
}

/// Refuses where the disk has no room for a copy of so many bytes of keys and values.
fn need_room(dir: &Path, bytes: u64) -> Result<()> {
    let needed = bytes.saturating_mul(ROOM_TIMES).saturating_add(ROOM_MORE);
    let free = rustix::fs::statvfs(dir)
        .map_err(|error| StoreError::Io(format!("the free space of {}: {error}", dir.display())))?;
    let free = free.f_bavail.saturating_mul(free.f_frsize);
    if free >= needed {
        return Ok(());
    }
    Err(StoreError::Open(format!(
        "The copy may need {needed} bytes beside the store, and {} has {free} free. Make room, or move the data folder; the store is left as it was.",
        dir.display()
    )))
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

fn writes(tree: Tree, rows: Vec<(Key, Key)>) -> Vec<Applied> {
    rows.into_iter()
        .map(|(key, value)| Applied {
            tree,
            key,
            value: Some(value),
            replaced_bytes: Some(0),
        })
        .collect()
}

/// The number of keys and a checksum over keys and values in order.
fn digest(
    store: &dyn Stored,
    tree: Tree,
    seen: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<(u64, Vec<u8>)> {
    let (mut keys, mut sum) = (0u64, Sha256::new());
    pages(store, tree, |rows| {
        for (key, value) in rows {
            keys += 1;
            for part in [&key, &value] {
                sum.update((part.len() as u64).to_le_bytes());
                sum.update(part);
            }
        }
        seen(keys)
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
