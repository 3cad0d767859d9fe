//! sled's files never shrink: only a copy in key order into a new folder does.
//!
//! The copy is verified by counts and checksums, synced, and switched to by two
//! renames. [`settle`] finishes or takes back what a crash interrupted; the old
//! store is kept until the next successful start.

use std::{fs, path::Path};

use sha2::{Digest, Sha256};

use super::{
    engine::{Applied, Embedded, Key, Result, Scan, StoreError, Tree, folder_bytes, sled::Sled},
    open::{check_folder, engine_folder, failed, sync_folder},
};

const NEW: &str = "sled.new";
const OLD: &str = "sled.old";
/// In the new folder once its copy is verified and synced.
const COMPLETE: &str = "COMPLETE";
const CACHE_BYTES: u64 = 64 << 20;
const PAGE_ROWS: usize = 512;

/// Copies the store in `dir` into a fresh, small one and switches to it. Nobody
/// else may have it open. Answers the bytes on disk before and after.
pub fn compact(dir: &Path) -> Result<(u64, u64)> {
    check_folder(dir, "sled")?;
    settle(dir)?;
    let (from, to) = (engine_folder(dir), dir.join(NEW));
    if !from.exists() {
        return Err(StoreError::Open(format!("{} has no store.", dir.display())));
    }
    let before = folder_bytes(&from)?;
    {
        let source = Sled::open(&from, CACHE_BYTES)?;
        let target = Sled::open(&to, CACHE_BYTES)?;
        for tree in Tree::ALL {
            copy_tree(&source, &target, tree)?;
        }
        for tree in Tree::ALL {
            if digest(&source, tree)? != digest(&target, tree)? {
                return Err(StoreError::Corrupt(format!(
                    "the copy of the tree {} differs from its source; the store is left as it was",
                    tree.name()
                )));
            }
        }
    }
    let marker = to.join(COMPLETE);
    fs::File::create(&marker)
        .and_then(|f| f.sync_all())
        .map_err(|e| failed("made", &marker, &e))?;
    sync_folder(&to)?;
    sync_folder(dir)?;
    settle(dir)?;
    Ok((before, folder_bytes(&engine_folder(dir))?))
}

fn pages(
    source: &Sled,
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

fn copy_tree(source: &Sled, target: &Sled, tree: Tree) -> Result<()> {
    pages(source, tree, |rows| {
        let writes: Vec<_> = rows
            .into_iter()
            .map(|(key, value)| Applied {
                tree,
                key,
                value: Some(value),
            })
            .collect();
        target.apply(&writes)
    })
}

/// The number of keys and a checksum over keys and values in order.
fn digest(store: &Sled, tree: Tree) -> Result<(u64, Vec<u8>)> {
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

/// Brings a folder into order in which a copy was interrupted: a complete copy
/// takes its place, an incomplete one goes away.
pub(super) fn settle(dir: &Path) -> Result<()> {
    let (current, new, old) = (engine_folder(dir), dir.join(NEW), dir.join(OLD));
    let rename = |from: &Path, to: &Path| {
        fs::rename(from, to).map_err(|e| failed("renamed", from, &e))?;
        sync_folder(dir)
    };
    let remove = |path: &Path| match path.exists() {
        true => fs::remove_dir_all(path).map_err(|e| failed("removed", path, &e)),
        false => Ok(()),
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

/// Removes the store from before the last copy, now that the new one opened.
pub(super) fn forget_old(dir: &Path) {
    let old = dir.join(OLD);
    if old.exists()
        && let Err(error) = fs::remove_dir_all(&old)
    {
        tracing::warn!(path = %old.display(), %error, "the store from before the last compaction cannot be removed");
    }
}
