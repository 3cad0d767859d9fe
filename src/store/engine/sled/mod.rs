//! sled 0.34.7 behind the contract, hardened: a real sync ([`fsync`]), small
//! values ([`split`]), one batch or one transaction for a group that the next start ends
//! where an error broke it off ([`redo`]), bounded memory.
//!
//! sled's own names for things: a tree is ours; a batch is atomic within one
//! tree; a transaction is atomic across trees and never conflicts here, because
//! only the committer writes.

mod fsync;
mod redo;
mod split;
mod waker;

use std::{
    ops::Bound,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use ::sled::{Batch, Config, Db, IVec, Mode, Transactional, transaction::TransactionError};

use self::{split::Head, waker::Waker};
use super::{
    Applied, Embedded, Key, Maintenance, Page, Result, Scan, Stats, StoreError, Tree, TreeStats,
    Value, folder_bytes,
    guard::{guarded, once_free, opened},
    page::page_of,
};

/// How often sled syncs by itself, besides each commit's own sync; without it
/// its log buffers grow without end.
const FLUSH_EVERY_MS: u64 = 500;
/// How often a reader looks again for pieces that a writer replaced meanwhile.
const READ_ATTEMPTS_MAX: usize = 1000;
/// sled's log, which holds everything.
const LOG_FILE: &str = "db";
/// Key of the row whose writing proves the sync at start-up.
const PROOF_KEY: &[u8] = b"sync-proof";

/// The engine.
pub struct Sled {
    _waker: Waker,
    witness: fsync::Witness,
    db: Db,
    hot: ::sled::Tree,
    archive: ::sled::Tree,
    path: PathBuf,
    /// The next split value's id; above every id whose pieces are stored.
    write_id: AtomicU64,
    /// A group broke off, and a part of it may be seen.
    broke_off: AtomicBool,
}

impl Sled {
    /// Opens or creates the store in the folder `path`.
    pub fn open(path: &Path, cache_bytes: u64) -> Result<Self> {
        sweep_torn_snapshots(path)?;
        opened("sled", path, || Self::open_swept(path, cache_bytes))
    }

    fn open_swept(path: &Path, cache_bytes: u64) -> Result<Self> {
        let config = Config::new()
            .path(path)
            .cache_capacity(cache_bytes)
            .mode(Mode::HighThroughput)
            .flush_every_ms(Some(FLUSH_EVERY_MS));
        let is_held = |error: &::sled::Error| match error {
            ::sled::Error::Io(error) => error.to_string().contains("could not acquire lock"),
            _ => false,
        };
        let db = once_free(|| config.open(), is_held).map_err(io)?;
        let waker = Waker::start(config, db.clone())
            .map_err(|error| StoreError::Open(format!("no thread for sled: {error}")))?;
        let store = Self {
            _waker: waker,
            witness: fsync::Witness::of(&path.join(LOG_FILE))
                .map_err(|error| StoreError::Open(format!("{LOG_FILE}: {error}")))?,
            hot: db.open_tree("hot").map_err(io)?,
            archive: db.open_tree("archive").map_err(io)?,
            db,
            path: path.into(),
            write_id: AtomicU64::new(0),
            broke_off: AtomicBool::new(false),
        };
        store
            .write_id
            .store(store.first_free_write_id()?, Ordering::Relaxed);
        store.prove_sync()?;
        if let Some(writes) = redo::noted(path)? {
            store.write(&writes)?;
            redo::done(path)?;
            tracing::warn!(
                writes = writes.len(),
                "a group of writes that the last run broke off in was written to its end"
            );
        }
        Ok(store)
    }

    /// Writes one row and syncs, and fails unless the sync came through `fsync`.
    fn prove_sync(&self) -> Result<()> {
        let before = fsync::calls();
        let count = self
            .db
            .get(PROOF_KEY)
            .map_err(io)?
            .map_or(0, |v| v.first().copied().unwrap_or(0));
        self.db
            .insert(PROOF_KEY, vec![count.wrapping_add(1)])
            .map_err(io)?;
        self.db.flush().map_err(io)?;
        if fsync::calls() > before || fsync::is_given_up() {
            return Ok(());
        }
        Err(StoreError::Open(
            "sled's sync does not reach the disk in this build: its call of sync_file_range was not replaced by fsync. Refusing to serve; this is a defect of the build, report it.".into(),
        ))
    }

    fn first_free_write_id(&self) -> Result<u64> {
        let mut next = 0;
        for tree in [&self.hot, &self.archive] {
            if let Some(last) = tree.range(..[split::PIECES + 1].as_slice()).next_back() {
                let (key, _) = last.map_err(io)?;
                next = next.max(split::write_id_of(&key).map_or(0, |id| id + 1));
            }
        }
        Ok(next)
    }

    fn tree(&self, tree: Tree) -> &::sled::Tree {
        match tree {
            Tree::Hot => &self.hot,
            Tree::Archive => &self.archive,
        }
    }

    /// The value behind a head; from the head anew where a piece is gone.
    fn whole(&self, tree: &::sled::Tree, key: &[u8], stored: IVec) -> Result<Option<Value>> {
        let mut stored = Some(stored);
        for _ in 0..READ_ATTEMPTS_MAX {
            let Some(found) = stored else { return Ok(None) };
            let (write_id, bytes) = match split::head(&found)? {
                Head::Inline(value) => return Ok(Some(value)),
                Head::Split { write_id, bytes } => (write_id, bytes),
            };
            let mut value = Vec::with_capacity(bytes);
            for piece_key in split::piece_keys(write_id, bytes) {
                match tree.get(piece_key).map_err(io)? {
                    Some(piece) => value.extend_from_slice(&piece),
                    None => break,
                }
            }
            if value.len() == bytes {
                return Ok(Some(value.into()));
            }
            let again = tree.get(key).map_err(io)?;
            if again.as_ref() == Some(&found) {
                let what = format!("a piece of the value of {} is missing", key.escape_ascii());
                return Err(match self.broke_off.load(Ordering::Relaxed) {
                    true => StoreError::Io(format!("{what}: its write broke off")),
                    false => StoreError::Corrupt(what),
                });
            }
            stored = again;
        }
        Err(StoreError::Io(
            "a value was replaced faster than it could be read".into(),
        ))
    }

    /// Adds one write to a batch, with the removal of the pieces it replaces.
    fn stage(&self, batch: &mut Batch, write: &Applied) -> Result<()> {
        // Also brings the page into memory: a read that fails inside sled's own batch
        // would leave the first part of it behind.
        let old = self.tree(write.tree).get(&write.key).map_err(io)?;
        // What fits one piece never was several; nor was anything where no value
        // was ever split.
        let was_whole = write.replaced_bytes.is_some_and(split::is_inline)
            || self.write_id.load(Ordering::Relaxed) == 0;
        if !was_whole
            && let Some(old) = old
            && let Head::Split { write_id, bytes } = split::head(&old)?
        {
            split::piece_keys(write_id, bytes).for_each(|key| batch.remove(&key));
        }
        match &write.value {
            Some(value) => split::put(batch, &write.key, value, || {
                self.write_id.fetch_add(1, Ordering::Relaxed)
            }),
            None => batch.remove(&write.key[..]),
        }
        Ok(())
    }
}

/// sled writes a snapshot under this name first; one torn by a crash makes every
/// later open fail. The log has everything that it held.
fn sweep_torn_snapshots(path: &Path) -> Result<()> {
    let Ok(entries) = std::fs::read_dir(path) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            std::fs::remove_file(entry.path()).map_err(|error| {
                StoreError::Open(format!(
                    "{} cannot be removed: {error}",
                    entry.path().display()
                ))
            })?;
        }
    }
    Ok(())
}

fn io(error: ::sled::Error) -> StoreError {
    match error {
        ::sled::Error::Corruption { .. } => StoreError::Corrupt(error.to_string()),
        other => StoreError::Io(other.to_string()),
    }
}

impl Embedded for Sled {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Value>> {
        if key.first() == Some(&split::PIECES) {
            return Ok(None);
        }
        let tree = self.tree(tree);
        guarded("sled", || match tree.get(key).map_err(io)? {
            Some(stored) => self.whole(tree, key, stored),
            None => Ok(None),
        })
    }

    fn scan(&self, scan: &Scan) -> Result<Page> {
        guarded("sled", || self.scan_rows(scan))
    }

    fn apply(&self, writes: &[Applied]) -> Result<()> {
        guarded("sled", || self.write(writes)).inspect_err(|_| {
            self.broke_off.store(true, Ordering::Relaxed);
            if let Err(error) = redo::note(&self.path, writes) {
                tracing::error!(
                    %error,
                    "the group of writes in doubt cannot be written down for the next start; run `tenantry store check --repair` then"
                );
            }
        })
    }
}

impl Sled {
    fn scan_rows(&self, scan: &Scan) -> Result<Page> {
        let Some((lower, upper)) = scan.bounds() else {
            return Ok(Page::default());
        };
        let tree = self.tree(scan.tree);
        let lower = above_pieces(lower);
        let rows = tree.range::<Key, (Bound<Key>, Bound<Key>)>((lower, upper));
        page_of(scan, rows, |row| {
            let (key, stored) = row.map_err(io)?;
            let value = match scan.values {
                true => self.whole(tree, &key, stored)?,
                false => Some(Value::new()),
            };
            Ok(value.map(|value| (key, value)))
        })
    }

    fn write(&self, writes: &[Applied]) -> Result<()> {
        let (mut hot, mut archive) = (Batch::default(), Batch::default());
        let (mut any_hot, mut any_archive) = (false, false);
        for write in writes {
            match write.tree {
                Tree::Hot => any_hot = true,
                Tree::Archive => any_archive = true,
            }
            let batch = if write.tree == Tree::Hot {
                &mut hot
            } else {
                &mut archive
            };
            self.stage(batch, write)?;
        }
        match (any_hot, any_archive) {
            (true, true) => (&self.hot, &self.archive)
                .transaction(|(hot_tree, archive_tree)| {
                    hot_tree.apply_batch(&hot)?;
                    archive_tree.apply_batch(&archive)?;
                    Ok(())
                })
                .map_err(|error: TransactionError<()>| match error {
                    TransactionError::Storage(error) => io(error),
                    TransactionError::Abort(()) => {
                        StoreError::Io("a transaction was aborted".into())
                    }
                })?,
            (true, false) => self.hot.apply_batch(hot).map_err(io)?,
            (false, true) => self.archive.apply_batch(archive).map_err(io)?,
            (false, false) => return Ok(()),
        }
        self.tidy(writes)?;
        self.db.flush().map_err(io)?;
        self.witness.ask().map_err(|error| {
            StoreError::Io(format!("what was written did not get there: {error}"))
        })?;
        // Without this sled's garbage waits for a collection that never comes.
        crossbeam_epoch::pin().flush();
        Ok(())
    }
}

impl Sled {
    /// Has pages that grew too large split, by going there once more. sled leaves that to
    /// whoever comes next, also a reader, who then fails where nothing can be written.
    fn tidy(&self, writes: &[Applied]) -> Result<()> {
        writes.iter().try_for_each(|write| {
            let tree = self.tree(write.tree);
            tree.get(&write.key).map(drop).map_err(io)
        })
    }
}

/// No scan shows the pieces of split values.
fn above_pieces(lower: Bound<Key>) -> Bound<Key> {
    let first = [split::PIECES + 1];
    match &lower {
        Bound::Included(key) | Bound::Excluded(key) if key[..] >= first[..] => lower,
        _ => Bound::Included(Key::copy_from_slice(&first)),
    }
}

impl Maintenance for Sled {
    fn name(&self) -> &'static str {
        "sled"
    }

    fn disk_bytes(&self) -> Result<u64> {
        folder_bytes(&self.path)
    }

    fn stats(&self) -> Result<Stats> {
        let of = |tree| guarded("sled", || self.tree_stats(tree));
        let trees = [of(Tree::Hot)?, of(Tree::Archive)?];
        Ok(Stats::of("sled", trees.into(), self.disk_bytes()?))
    }

    fn verify(&self) -> Result<Vec<String>> {
        match guarded("sled", || self.db.verify_integrity().map_err(io)) {
            Ok(()) => Ok(Vec::new()),
            Err(error) => Ok(vec![error.to_string()]),
        }
    }
}

impl Sled {
    fn tree_stats(&self, tree: Tree) -> Result<TreeStats> {
        let mut stats = TreeStats {
            tree: tree.name().into(),
            ..TreeStats::default()
        };
        for row in self.tree(tree).range([split::PIECES + 1].as_slice()..) {
            let (key, stored) = row.map_err(io)?;
            stats.keys += 1;
            stats.key_bytes += key.len() as u64;
            stats.value_bytes += match split::head(&stored)? {
                Head::Inline(value) => value.len() as u64,
                Head::Split { bytes, .. } => bytes as u64,
            };
        }
        Ok(stats)
    }
}

#[cfg(test)]
mod tests;
