//! Where keys have their places among marks and generations.

use std::hash::{BuildHasher as _, Hasher as _};

use foldhash::fast::{FixedState, RandomState};

/// A hash of keys: the same for the same seed.
#[derive(Debug, Clone)]
pub struct KeyHash(FixedState);

impl KeyHash {
    /// The hash of this seed.
    pub fn seeded(seed: u64) -> Self {
        Self(FixedState::with_seed(seed))
    }

    /// Another one in each process, so that nobody can choose keys that share a place.
    pub fn random() -> Self {
        Self::seeded(RandomState::default().hash_one(0_u8))
    }

    /// The hash of some bytes.
    pub fn of(&self, first: &[u8], bytes: &[u8]) -> u64 {
        let mut hasher = self.0.build_hasher();
        hasher.write(first);
        hasher.write(bytes);
        hasher.finish()
    }
}
