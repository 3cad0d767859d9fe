//! The record cache: values by key, never stale.
//!
//! Every cached value carries the mark of its key's slot as it was before the
//! value was read. A commit changes the marks of the keys it wrote after they
//! are in the engine and before anybody is answered; a value with an old mark is
//! no hit. So no order of readers and writers shows an old value after a
//! write was acknowledged, without a lock on the read path.

use std::hash::{Hash, Hasher};

use quick_cache::{Equivalent, Weighter, sync::Cache};

use super::hash::KeyHash;
use crate::{
    base::sync::{AtomicBool, AtomicU64, Ordering},
    store::engine::{Key, Tree, Value},
};

/// Slots of marks; two keys that share one only cost each other a miss.
const SLOTS: usize = 1 << 14;
/// Values above this size are not worth the room.
const VALUE_BYTES_MAX: usize = 64 * 1024;
/// What an entry takes besides its key and value, roughly.
const ENTRY_BYTES: u64 = 96;

/// A key with its hash, which is made once for the mark and for the entry.
#[derive(Debug, Clone, PartialEq, Eq)]
struct CacheKey {
    hash: u64,
    tree: Tree,
    key: Key,
}

struct Borrowed<'a> {
    hash: u64,
    tree: Tree,
    key: &'a Key,
}

impl Hash for CacheKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Hash for Borrowed<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Equivalent<CacheKey> for Borrowed<'_> {
    fn equivalent(&self, key: &CacheKey) -> bool {
        self.hash == key.hash && self.tree == key.tree && self.key == &key.key
    }
}

#[derive(Clone)]
struct Weight;

impl Weighter<CacheKey, (u64, Value)> for Weight {
    fn weight(&self, key: &CacheKey, value: &(u64, Value)) -> u64 {
        key.key.len() as u64 + value.1.len() as u64 + ENTRY_BYTES
    }
}

/// Allows a value to be put into the cache that was read after it was given.
pub struct Ticket {
    mark: u64,
    hash: u64,
}

/// The cache.
pub struct RecordCache {
    entries: Cache<CacheKey, (u64, Value), Weight>,
    hash: KeyHash,
    marks: Box<[AtomicU64]>,
    disabled: AtomicBool,
}

impl RecordCache {
    /// A cache of about `bytes`.
    pub fn new(bytes: u64, hash: KeyHash) -> Self {
        let items = usize::try_from(bytes / 512).unwrap_or(usize::MAX).max(16);
        Self {
            entries: Cache::with_weighter(items, bytes, Weight),
            hash,
            marks: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(),
            disabled: AtomicBool::new(false),
        }
    }

    fn borrowed<'a>(&self, tree: Tree, key: &'a Key) -> Borrowed<'a> {
        let hash = self.hash.of(&[tree as u8], key);
        Borrowed { hash, tree, key }
    }

    fn mark(&self, key: &Borrowed<'_>) -> &AtomicU64 {
        &self.marks[key.hash as usize % SLOTS]
    }

    /// The value, or a ticket to put it in after reading it.
    pub fn get(&self, tree: Tree, key: &Key) -> Result<Value, Ticket> {
        let key = self.borrowed(tree, key);
        let mark = self.mark(&key).load(Ordering::SeqCst);
        match self.entries.get(&key) {
            Some((marked, value)) if marked == mark && !self.disabled.load(Ordering::SeqCst) => {
                Ok(value)
            }
            _ => Err(Ticket {
                mark,
                hash: key.hash,
            }),
        }
    }

    /// Keeps a value that was read with `ticket`, and a copy of its key, which may
    /// be part of something larger.
    pub fn insert(&self, tree: Tree, key: &Key, value: &Value, ticket: Ticket) {
        if value.len() <= VALUE_BYTES_MAX {
            let key = CacheKey {
                hash: ticket.hash,
                tree,
                key: Key::copy_from_slice(key),
            };
            self.entries.insert(key, (ticket.mark, value.clone()));
        }
    }

    /// Says that a key was written; before the write is acknowledged.
    pub fn forget(&self, tree: Tree, key: &Key) {
        let key = self.borrowed(tree, key);
        self.mark(&key).fetch_add(1, Ordering::SeqCst);
        self.entries.remove(&key);
    }

    /// No hits any more: what a failed write left behind is unknown.
    pub fn disable(&self) {
        self.disabled.store(true, Ordering::SeqCst);
        self.entries.clear();
    }
}
