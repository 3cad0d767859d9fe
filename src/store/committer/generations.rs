//! Generations: how a reader of several keys knows that nothing changed meanwhile.
//!
//! A sequence lock for each family of keys (a tenant's entity with its index
//! rows), over a fixed number of slots: odd while a group that touches the
//! family is being written, even and larger afterwards. Two families that share
//! a slot only make each other's readers look twice.

use std::{
    hash::Hasher,
    sync::atomic::{AtomicU64, Ordering, fence},
};

const SLOTS: usize = 1 << 12;

/// The generations.
pub struct Generations(Box<[AtomicU64]>);

impl Generations {
    /// All at 0.
    pub fn new() -> Self {
        Self((0..SLOTS).map(|_| AtomicU64::new(0)).collect())
    }

    /// The generation of the family that `key` belongs to.
    pub fn of(&self, key: &[u8]) -> u64 {
        fence(Ordering::SeqCst);
        self.0[slot(&[], family(key), SLOTS)].load(Ordering::SeqCst)
    }

    /// Marks the families of `keys` as being written; give the answer to [`Self::end`].
    pub fn begin<'a>(&self, keys: impl Iterator<Item = &'a [u8]>) -> Vec<usize> {
        let mut slots: Vec<_> = keys.map(|key| slot(&[], family(key), SLOTS)).collect();
        slots.sort_unstable();
        slots.dedup();
        for slot in &slots {
            self.0[*slot].fetch_add(1, Ordering::SeqCst);
        }
        slots
    }

    /// The writing is over.
    pub fn end(&self, slots: &[usize]) {
        for slot in slots {
            self.0[*slot].fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// A key's first two segments, without what ends the second.
fn family(key: &[u8]) -> &[u8] {
    let Some(first) = key.iter().position(|b| *b == b'#') else {
        return key;
    };
    let second = key[first + 1..]
        .iter()
        .position(|b| matches!(b, b'#' | b'@'));
    second.map_or(key, |end| &key[..first + 1 + end])
}

/// One of `slots` places for some bytes.
pub(super) fn slot(first: &[u8], bytes: &[u8], slots: usize) -> usize {
    let mut hasher = std::hash::DefaultHasher::new();
    hasher.write(first);
    hasher.write(bytes);
    hasher.finish() as usize % slots
}
