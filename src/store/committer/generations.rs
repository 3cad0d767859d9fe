//! Generations: how a reader of several keys knows that nothing changed meanwhile.
//!
//! A sequence lock for each family of keys (a tenant's entity with its index
//! rows), over a fixed number of slots: odd while a group that touches the
//! family is being written, even and larger afterwards. Two families that share
//! a slot only make each other's readers look twice.

use super::hash::KeyHash;
use crate::base::sync::{AtomicU64, Ordering, fence};

const SLOTS: usize = 1 << 12;

/// The generations.
pub struct Generations {
    slots: Box<[AtomicU64]>,
    hash: KeyHash,
}

impl Generations {
    /// All at 0.
    pub fn new(hash: KeyHash) -> Self {
        let slots = (0..SLOTS).map(|_| AtomicU64::new(0)).collect();
        Self { slots, hash }
    }

    /// The place of the family that `key` belongs to.
    fn slot(&self, key: &[u8]) -> usize {
        self.hash.of(&[], Self::family(key)) as usize % SLOTS
    }

    /// The generation of the family that `key` belongs to.
    pub fn of(&self, key: &[u8]) -> u64 {
        fence(Ordering::SeqCst);
        self.slots[self.slot(key)].load(Ordering::SeqCst)
    }

    /// Marks the families of `keys` as being written; give the answer to [`Self::end`].
    pub fn begin<'a>(&self, keys: impl Iterator<Item = &'a [u8]>) -> Vec<usize> {
        let mut slots: Vec<_> = keys.map(|key| self.slot(key)).collect();
        slots.sort_unstable();
        slots.dedup();
        for slot in &slots {
            self.slots[*slot].fetch_add(1, Ordering::SeqCst);
        }
        slots
    }

    /// A key's first two segments, without what ends the second.
    pub fn family(key: &[u8]) -> &[u8] {
        let Some(first) = key.iter().position(|b| *b == b'#') else {
            return key;
        };
        let second = key[first + 1..]
            .iter()
            .position(|b| matches!(b, b'#' | b'@'));
        second.map_or(key, |end| &key[..first + 1 + end])
    }

    /// The writing is over.
    pub fn end(&self, slots: &[usize]) {
        for slot in slots {
            self.slots[*slot].fetch_add(1, Ordering::SeqCst);
        }
    }
}
