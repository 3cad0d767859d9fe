//! fjall 3 behind the contract: a keyspace for each tree, one batch for a group,
//! written to the journal and synced (`fdatasync`) before a reader sees any of it.

use std::path::{Path, PathBuf};

use ::fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::{
    Applied, Embedded, Key, Maintenance, Page, Result, Scan, Stats, StoreError, Tree, TreeStats,
    Value, folder_bytes,
    guard::{guarded, once_free, opened},
    page::page_of,
};

/// What a tree gathers in memory before it is written as a table. The journal
/// has it meanwhile.
const MEMTABLE_BYTES: u64 = 16 << 20;
/// The journals are kept below this by writing tables out; the least that fjall takes.
const JOURNAL_BYTES: u64 = 64 << 20;

/// The engine.
pub struct Fjall {
    db: Database,
    hot: Keyspace,
    archive: Keyspace,
    path: PathBuf,
}

impl Fjall {
    /// Opens or creates the store in the folder `path`.
    pub fn open(path: &Path, cache_bytes: u64) -> Result<Self> {
        opened("fjall", path, || Self::open_unguarded(path, cache_bytes))
    }

    fn open_unguarded(path: &Path, cache_bytes: u64) -> Result<Self> {
        let open = || {
            Database::builder(path)
                .cache_size(cache_bytes)
                .max_journaling_size(JOURNAL_BYTES)
                .open()
        };
        let is_held = |error: &::fjall::Error| matches!(error, ::fjall::Error::Locked);
        let db = once_free(open, is_held).map_err(io)?;
        let keyspace = |tree: Tree| {
            let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
            db.keyspace(tree.name(), options).map_err(io)
        };
        Ok(Self {
            hot: keyspace(Tree::Hot)?,
            archive: keyspace(Tree::Archive)?,
            path: path.into(),
            db,
        })
    }

    fn tree(&self, tree: Tree) -> &Keyspace {
        match tree {
            Tree::Hot => &self.hot,
            Tree::Archive => &self.archive,
        }
    }

    fn scan_rows(&self, scan: &Scan) -> Result<Page> {
        let Some(bounds) = scan.bounds() else {
            return Ok(Page::default());
        };
        let rows = self.tree(scan.tree).range::<Key, _>(bounds);
        page_of(scan, rows, |row| {
            let (key, value) = match scan.values {
                true => row.into_inner().map_err(io)?,
                false => (row.key().map_err(io)?, [].into()),
            };
            Ok(Some((key, copied(&value))))
        })
    }

    fn write(&self, writes: &[Applied]) -> Result<()> {
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncData));
        for write in writes {
            let tree = self.tree(write.tree);
            match &write.value {
                Some(value) => batch.insert(tree, &write.key[..], &value[..]),
                None => batch.remove(tree, &write.key[..]),
            }
        }
        batch.commit().map_err(io)
    }

    fn tree_stats(&self, tree: Tree) -> Result<TreeStats> {
        let mut stats = TreeStats {
            tree: tree.name().into(),
            ..TreeStats::default()
        };
        for row in self.tree(tree).iter() {
            let (key, value) = row.into_inner().map_err(io)?;
            stats.keys += 1;
            stats.key_bytes += key.len() as u64;
            stats.value_bytes += value.len() as u64;
        }
        Ok(stats)
    }
}

/// A copy of its own: fjall's bytes keep the whole block that they came from.
fn copied(bytes: &[u8]) -> Key {
    Key::copy_from_slice(bytes)
}

fn io(error: ::fjall::Error) -> StoreError {
    use ::fjall::Error;
    let by_disk = matches!(error, Error::Poisoned | Error::Locked) || is_of_disk(&error);
    match by_disk {
        true => StoreError::Io(error.to_string()),
        false => StoreError::Corrupt(error.to_string()),
    }
}

/// Whether the system failed, and not what was read: the tables wrap its errors once more.
fn is_of_disk(error: &(dyn std::error::Error + 'static)) -> bool {
    use std::io::ErrorKind::{InvalidData, UnexpectedEof};
    match error.downcast_ref::<std::io::Error>() {
        Some(io) => !matches!(io.kind(), InvalidData | UnexpectedEof),
        None => error.source().is_some_and(is_of_disk),
    }
}

impl Embedded for Fjall {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Value>> {
        guarded("fjall", || {
            let found = self.tree(tree).get(key).map_err(io)?;
            Ok(found.map(|value| copied(&value)))
        })
    }

    fn scan(&self, scan: &Scan) -> Result<Page> {
        guarded("fjall", || self.scan_rows(scan))
    }

    fn apply(&self, writes: &[Applied]) -> Result<()> {
        guarded("fjall", || self.write(writes))
    }
}

impl Maintenance for Fjall {
    fn name(&self) -> &'static str {
        "fjall"
    }

    fn disk_bytes(&self) -> Result<u64> {
        folder_bytes(&self.path)
    }

    fn stats(&self) -> Result<Stats> {
        let of = |tree| guarded("fjall", || self.tree_stats(tree));
        let trees = vec![of(Tree::Hot)?, of(Tree::Archive)?];
        Ok(Stats::of("fjall", trees, self.disk_bytes()?))
    }

    /// Every block that is read has its checksum compared.
    fn verify(&self) -> Result<Vec<String>> {
        let read = |tree| guarded("fjall", || self.tree_stats(tree));
        let problems = Tree::ALL.into_iter().filter_map(|tree| {
            let error = read(tree).err()?;
            Some(format!("the tree {}: {error}", tree.name()))
        });
        Ok(problems.collect())
    }
}
