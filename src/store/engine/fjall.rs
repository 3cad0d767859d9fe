//! fjall 3 behind the contract: a keyspace for each tree, one batch for a group,
//! written to the journal and synced (`fdatasync`) before a reader sees any of it.

use std::{path::Path, path::PathBuf, time::Duration};

use ::fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::{
    Applied, Embedded, Key, Maintenance, Order, Page, PageBuilder, Result, Scan, Stats, StoreError,
    Tree, TreeStats, Value, folder_bytes, guarded,
};

/// What a tree gathers in memory before it is written as a table. The journal
/// has it meanwhile.
const MEMTABLE_BYTES: u64 = 16 << 20;
/// The journals are kept below this by writing tables out; the least that fjall takes.
const JOURNAL_BYTES: u64 = 64 << 20;
/// How often, and after which pause, a lock that is held is tried again.
const LOCK_ATTEMPTS_MAX: usize = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(100);

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
        guarded("fjall", || Self::open_unguarded(path, cache_bytes)).map_err(|error| {
            StoreError::Open(format!(
                "{} does not open: {error}. Do not delete anything; copy the folder aside, check the disk, and restore the last copy of it if opening goes on failing.",
                path.display()
            ))
        })
    }

    fn open_unguarded(path: &Path, cache_bytes: u64) -> Result<Self> {
        let db = open_unlocked(path, cache_bytes).map_err(io)?;
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
        let mut rows = self.tree(scan.tree).range::<Key, _>(bounds);
        let mut page = PageBuilder::new(scan);
        loop {
            let row = match scan.order {
                Order::Ascending => rows.next(),
                Order::Descending => rows.next_back(),
            };
            let Some(row) = row else {
                return Ok(page.last());
            };
            if page.is_full() {
                return Ok(page.more());
            }
            let (key, value) = match scan.values {
                true => row.into_inner().map_err(io)?,
                false => (row.key().map_err(io)?, [].into()),
            };
            page.push(copied(&key), copied(&value));
        }
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

/// Opens the files. Threads of an instance that was dropped a moment ago may hold
/// the lock for a while yet, and nobody else does: the data folder has a lock of
/// its own.
fn open_unlocked(path: &Path, cache_bytes: u64) -> ::fjall::Result<Database> {
    let mut attempts = 0;
    loop {
        let database = Database::builder(path)
            .cache_size(cache_bytes)
            .max_journaling_size(JOURNAL_BYTES)
            .open();
        match database {
            Err(::fjall::Error::Locked) if attempts < LOCK_ATTEMPTS_MAX => {
                attempts += 1;
                std::thread::sleep(LOCK_PAUSE);
            }
            other => return other,
        }
    }
}

fn io(error: ::fjall::Error) -> StoreError {
    use ::fjall::Error;
    match error {
        Error::Io(_) | Error::Poisoned | Error::Locked => StoreError::Io(error.to_string()),
        damage => StoreError::Corrupt(damage.to_string()),
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
    fn stats(&self) -> Result<Stats> {
        let of = |tree| guarded("fjall", || self.tree_stats(tree));
        let trees = vec![of(Tree::Hot)?, of(Tree::Archive)?];
        Ok(Stats::of("fjall", trees, folder_bytes(&self.path)?))
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
