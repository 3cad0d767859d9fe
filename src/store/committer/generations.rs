//! Generations: how a reader of several keys knows that nothing changed meanwhile.
//!
//! A sequence lock for each family of keys (a tenant's entity with its index
//! rows), over a fixed number of slots: odd while a group that touches the
//! family is being written, even and larger afterwards. Two families that share
//! a slot only make each other's readers look twice.

use std::{
    hash::{BuildHasher as _, Hasher as _},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering, fence},
    },
};

use foldhash::fast::RandomState;

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
        self.0[slot(Self::family(key))].load(Ordering::SeqCst)
    }

    /// Marks the families of `keys` as being written; give the answer to [`Self::end`].
    pub fn begin<'a>(&self, keys: impl Iterator<Item = &'a [u8]>) -> Vec<usize> {
        let mut slots: Vec<_> = keys.map(|key| slot(Self::family(key))).collect();
        slots.sort_unstable();
        slots.dedup();
        for slot in &slots {
            self.0[*slot].fetch_add(1, Ordering::SeqCst);
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
            self.0[*slot].fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// A hash of some bytes, the same while the process lives and another in the next.
pub(super) fn hash(first: &[u8], bytes: &[u8]) -> u64 {
    static SEED: LazyLock<RandomState> = LazyLock::new(RandomState::default);
    let mut hasher = SEED.build_hasher();
    hasher.write(first);
    hasher.write(bytes);
    hasher.finish()
}

/// The place of a family among the generations.
fn slot(family: &[u8]) -> usize {
    hash(&[], family) as usize % SLOTS
}
