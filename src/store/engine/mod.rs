//! The store's contract: four methods over two trees of ordered keys.
//!
//! `get`, `get_many`, `scan`, `commit`. Pages, not iterators; a page is not a
//! snapshot. `commit` returns only when the batch is on disk, and takes all of a
//! batch or nothing, across trees.

pub(super) mod applied;
mod disk;
pub mod faulty;
mod fjall;
mod guard;
pub mod memory;
mod page;
mod sled;

use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;

pub use applied::Applied;
pub use disk::{DiskEngine, Stored};
pub use page::PageBuilder;

/// A key: at most [`KEY_BYTES_MAX`] bytes, ordered bytewise.
pub type Key = Bytes;
/// A value: 0 bytes to [`VALUE_BYTES_MAX`].
pub type Value = Bytes;

/// The longest key that a commit takes (a PostgreSQL row of an index ends near 2.7 KB).
pub const KEY_BYTES_MAX: usize = 1024;
/// The largest value that a commit takes: a record of 400 KiB and its header.
pub const VALUE_BYTES_MAX: usize = 512 * 1024;

/// What a call to the store answers.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Which of the two trees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tree {
    /// Living records, all system rows.
    Hot,
    /// Records that were archived, and their index rows.
    Archive,
}

impl Tree {
    /// Both trees.
    pub const ALL: [Tree; 2] = [Tree::Hot, Tree::Archive];

    /// The tree's name in messages and metrics, which is also the tier's.
    pub fn name(self) -> &'static str {
        match self {
            Tree::Hot => "hot",
            Tree::Archive => "archive",
        }
    }
}

/// The direction of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Order {
    /// Ascending keys.
    #[default]
    Ascending,
    /// Descending keys.
    Descending,
}

/// A bounded read of neighbouring keys: `start <= key < end`, past `after` in
/// the scan's direction.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scan {
    /// The tree to read.
    pub tree: Tree,
    /// The first key of the range, inclusive.
    pub start: Key,
    /// The end of the range, exclusive; `None` is the end of the tree.
    pub end: Option<Key>,
    /// Where the page before ended: only keys beyond this one (in `order`) are given.
    pub after: Option<Key>,
    /// The direction.
    pub order: Order,
    /// At most so many rows; at least 1.
    pub limit: usize,
    /// The page ends after the row that reaches so many bytes of keys and values.
    pub bytes_max: usize,
    /// Whether values are wanted; without, they are left empty.
    pub values: bool,
}

impl Scan {
    /// All keys that begin with `prefix`, ascending, 256 rows or 1 MiB a page.
    pub fn prefix(tree: Tree, prefix: impl Into<Key>) -> Self {
        let start = prefix.into();
        let end = prefix_end(&start);
        Self {
            tree,
            start,
            end,
            after: None,
            order: Order::Ascending,
            limit: 256,
            bytes_max: 1 << 20,
            values: true,
        }
    }
}

/// The smallest key greater than every key that begins with `prefix`; `None`
/// where there is no such key.
pub fn prefix_end(prefix: &[u8]) -> Option<Key> {
    let last = prefix.iter().rposition(|b| *b != 0xff)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end.into())
}

/// What a scan gives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The rows in the scan's order.
    pub rows: Vec<(Key, Value)>,
    /// The last key given, where more rows may follow: the next page's `after`.
    pub next: Option<Key>,
}

/// What must hold of a key for a batch to be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// The key is not there.
    Absent,
    /// The key is there.
    Present,
    /// The key's value is exactly this.
    Value(Bytes),
    /// The key's value begins with this (a record's header).
    Prefix(Bytes),
}

impl Condition {
    /// Whether `found` meets the condition.
    pub fn holds(&self, found: Option<&[u8]>) -> bool {
        match (self, found) {
            (Condition::Absent, None) | (Condition::Present, Some(_)) => true,
            (Condition::Value(want), Some(value)) => value == &want[..],
            (Condition::Prefix(want), Some(value)) => value.starts_with(want),
            _ => false,
        }
    }
}

/// A condition on one key, checked before anything of the batch is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// The key's tree.
    pub tree: Tree,
    /// The key.
    pub key: Key,
    /// What must hold.
    pub condition: Condition,
}

/// One change of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Sets a key.
    Put {
        /// The key's tree.
        tree: Tree,
        /// The key.
        key: Key,
        /// Its new value.
        value: Value,
    },
    /// Removes a key; no error where it is absent.
    Delete {
        /// The key's tree.
        tree: Tree,
        /// The key.
        key: Key,
    },
    /// Adds to a counter (i64, little endian, absent is 0) without a conflict.
    /// A counter that comes to 0 is removed.
    Add {
        /// The counter's tree.
        tree: Tree,
        /// The counter's key.
        key: Key,
        /// What is added.
        delta: i64,
    },
}

/// Expectations and writes that are taken together or not at all. Writes of one
/// batch apply in order; no key may be both set and added to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// What must hold first.
    pub expectations: Vec<Expectation>,
    /// What is then written.
    pub writes: Vec<Write>,
}

impl Batch {
    /// Adds an expectation and returns its position, by which a conflict names it.
    pub fn expect(&mut self, tree: Tree, key: impl Into<Key>, condition: Condition) -> usize {
        self.expectations.push(Expectation {
            tree,
            key: key.into(),
            condition,
        });
        self.expectations.len() - 1
    }

    /// Sets a key.
    pub fn put(&mut self, tree: Tree, key: impl Into<Key>, value: impl Into<Value>) {
        self.writes.push(Write::Put {
            tree,
            key: key.into(),
            value: value.into(),
        });
    }

    /// Removes a key.
    pub fn delete(&mut self, tree: Tree, key: impl Into<Key>) {
        self.writes.push(Write::Delete {
            tree,
            key: key.into(),
        });
    }

    /// Adds to a counter; a delta of 0 is left out.
    pub fn add(&mut self, tree: Tree, key: impl Into<Key>, delta: i64) {
        if delta != 0 {
            self.writes.push(Write::Add {
                tree,
                key: key.into(),
                delta,
            });
        }
    }

    /// The bytes of keys and values to be written.
    pub fn bytes(&self) -> usize {
        self.writes
            .iter()
            .map(|write| match write {
                Write::Put { key, value, .. } => key.len() + value.len(),
                Write::Delete { key, .. } => key.len(),
                Write::Add { key, .. } => key.len() + 8,
            })
            .sum()
    }
}

/// Why the store did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// An expectation did not hold; nothing of the batch was written.
    #[error("expectation {index} did not hold")]
    Conflict {
        /// The position of the first expectation that failed.
        index: usize,
        /// What stands under its key instead (at most the first 1,024 bytes).
        found: Option<Value>,
    },
    /// The batch breaks a limit of the contract; nothing was written.
    #[error("{0}")]
    TooLarge(String),
    /// Writing or syncing failed earlier; reads go on, writes need a restart.
    #[error("the store takes no writes until a restart: {0}")]
    ReadOnly(String),
    /// The disk has not answered an earlier write for too long; whether this batch will
    /// be written is unknown. Reads go on, and writes do when the disk answers.
    #[error("a write is stalled: {0}")]
    Stalled(String),
    /// So many batches wait that no further one is taken; try again later.
    #[error("too many writes are waiting")]
    Busy,
    /// Stored bytes are not what they should be.
    #[error("damaged data: {0}")]
    Corrupt(String),
    /// The disk or the engine failed. Of a batch that is answered so nothing was written.
    #[error("the storage engine failed: {0}")]
    Io(String),
    /// The disk or the engine failed while the batch was written; whether it was is unknown.
    #[error("the storage engine failed in a write: {0}")]
    InDoubt(String),
    /// The store cannot be opened.
    #[error("{0}")]
    Open(String),
}

/// The contract. See the conformance suite for each promise.
#[async_trait]
pub trait Engine: Send + Sync + 'static {
    /// The value of a key.
    async fn get(&self, tree: Tree, key: &Key) -> Result<Option<Value>>;

    /// The values of several keys, in their order.
    async fn get_many(&self, tree: Tree, keys: &[Key]) -> Result<Vec<Option<Value>>>;

    /// A page of neighbouring keys.
    async fn scan(&self, scan: &Scan) -> Result<Page>;

    /// Takes the whole batch or nothing of it, and answers when it is on disk.
    async fn commit(&self, batch: Batch) -> Result<()>;

    /// Whether this process is the only writer, so that caches may be trusted.
    fn exclusive(&self) -> bool;

    /// The generation of the family of keys that `key` belongs to (its first two
    /// segments: a tenant's entity with its index rows). Even and the same before
    /// and after some reads: nothing of the family was written meanwhile. Odd: a
    /// write is under way. `None` where the engine cannot tell.
    fn generation(&self, key: &[u8]) -> Option<u64>;

    /// Why writes are refused, where they are.
    fn read_only(&self) -> Option<String>;
}

/// What an embedded engine has to do, below the committer. The committer calls
/// `apply` from one thread; `get` and `scan` come from many.
pub trait Embedded: Send + Sync + 'static {
    /// The value of a key.
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Value>>;
    /// A page of neighbouring keys.
    fn scan(&self, scan: &Scan) -> Result<Page>;
    /// Writes all or nothing, across trees, and returns when it is on disk. Each
    /// key stands at most once.
    fn apply(&self, writes: &[Applied]) -> Result<()>;
}

/// What an operator asks of an embedded engine besides reading and writing.
pub trait Maintenance: Send + Sync + 'static {
    /// The engine's name.
    fn name(&self) -> &'static str;
    /// Bytes that the store's files take on the disk; 0 where it has none.
    fn disk_bytes(&self) -> Result<u64>;
    /// Sizes; walks the keys, so it takes time in proportion to the data.
    fn stats(&self) -> Result<Stats>;
    /// The engine's own verification of what it stores, each problem as a line.
    fn verify(&self) -> Result<Vec<String>>;
}

/// Sizes of a store.
#[derive(
    Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
pub struct Stats {
    /// The engine's name.
    pub engine: String,
    /// Each tree's keys and bytes.
    pub trees: Vec<TreeStats>,
    /// Bytes that the store's files take on the disk.
    pub disk_bytes: u64,
    /// Disk bytes to bytes of keys and values; 0 where the store is empty.
    pub space_amplification: f64,
}

impl Stats {
    /// The sizes of an engine's trees and of its folder.
    fn of(engine: &str, trees: Vec<TreeStats>, disk_bytes: u64) -> Self {
        let logical: u64 = trees.iter().map(|t| t.key_bytes + t.value_bytes).sum();
        let space_amplification = match logical {
            0 => 0.0,
            _ => disk_bytes as f64 / logical as f64,
        };
        Self {
            engine: engine.into(),
            trees,
            disk_bytes,
            space_amplification,
        }
    }
}

/// The sizes of one tree.
#[derive(
    Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
pub struct TreeStats {
    /// `hot` or `archive`.
    pub tree: String,
    /// How many keys.
    pub keys: u64,
    /// Bytes of all keys.
    pub key_bytes: u64,
    /// Bytes of all values.
    pub value_bytes: u64,
}

/// Bytes that a folder's files take on the disk, which for sparse files is less
/// than their length.
pub(super) fn folder_bytes(path: &Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    let entries = std::fs::read_dir(path).map_err(|e| StoreError::Io(e.to_string()))?;
    for entry in entries.flatten() {
        // A file that goes away meanwhile takes no space.
        let Ok(meta) = entry.metadata() else { continue };
        bytes += if meta.is_dir() {
            folder_bytes(&entry.path())?
        } else {
            meta.blocks() * 512
        };
    }
    Ok(bytes)
}
