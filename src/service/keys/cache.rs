//! Whose a secret is, remembered, and forgotten in the commit that revokes it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicI64};

use crate::{base::Instant, service::Caller};

/// Keys remembered; the least used go first.
const KEYS_MAX: usize = 10_000;

/// A key as it was looked up.
pub(super) struct Known {
    pub caller: Caller,
    pub expires_at: Option<Instant>,
    /// When its use was last written down, in milliseconds.
    pub noted_at: AtomicI64,
}

/// Known keys by the hash of their secret.
pub struct KeyCache {
    known: quick_cache::sync::Cache<String, Arc<Known>>,
    /// Grows whenever something is forgotten: what was looked up before that may
    /// be older than the revocation and is not remembered. Held while the known
    /// keys change, so that no old one is there for even a moment.
    epoch: Mutex<u64>,
}

impl Default for KeyCache {
    fn default() -> Self {
        Self {
            known: quick_cache::sync::Cache::new(KEYS_MAX),
            epoch: Mutex::new(0),
        }
    }
}

impl KeyCache {
    pub(super) fn get(&self, hash: &str) -> Option<Arc<Known>> {
        self.known.get(hash)
    }

    /// The state before a lookup, for [`KeyCache::remember`].
    pub(super) fn epoch(&self) -> u64 {
        *self.changing()
    }

    /// Remembers what was looked up since `epoch`, unless something was forgotten
    /// meanwhile.
    pub(super) fn remember(&self, hash: &str, known: Arc<Known>, epoch: u64) {
        let now = self.changing();
        if *now == epoch {
            self.known.insert(hash.to_owned(), known);
        }
    }

    pub(super) fn forget(&self, hash: &str) {
        let mut epoch = self.changing();
        *epoch += 1;
        self.known.remove(hash);
    }

    /// Forgets everything.
    pub(in crate::service) fn clear(&self) {
        let mut epoch = self.changing();
        *epoch += 1;
        self.known.clear();
    }

    fn changing(&self) -> MutexGuard<'_, u64> {
        self.epoch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
