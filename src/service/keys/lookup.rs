//! From a secret to its caller, on every request that comes with one.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use super::{KeyOwner, Keys, StoredKey, cache::Known};
use crate::{
    base::Instant,
    domain::TenantSlug,
    service::{Caller, Core, Error, Result, secret},
    store::{
        Batch, Condition, Key, StoreError, Tree, codec,
        keys::{self, TenantKeys},
    },
};

/// A key's last use is written down at most this often, in milliseconds.
const NOTE_EVERY_MS: i64 = 60_000;

impl Keys {
    /// Whose `token` is; `None` where it is unknown, revoked or expired.
    pub async fn caller(&self, token: &str) -> Result<Option<Caller>> {
        let hash = secret::hash(token);
        let now = self.core.clock.now();
        let known = match self.remembered(&hash) {
            Some(known) => known,
            None => match self.look_up(&hash).await? {
                Some(known) => known,
                None => return Ok(None),
            },
        };
        if known.expires_at.is_some_and(|at| at <= now) {
            return Ok(None);
        }
        self.note_use(&known, now);
        Ok(Some(known.caller.clone()))
    }

    /// Another process may revoke a key without this one being told.
    fn remembered(&self, hash: &str) -> Option<Arc<Known>> {
        let trusted = self.core.engine.exclusive();
        self.cache.get(hash).filter(|_| trusted)
    }

    async fn look_up(&self, hash: &str) -> Result<Option<Arc<Known>>> {
        let epoch = self.cache.epoch();
        let engine = &self.core.engine;
        let Some(row) = engine.get(Tree::Hot, &keys::api_key_by_hash(hash)).await? else {
            return Ok(None);
        };
        let owner: KeyOwner = codec::decode(&row)?;
        let tenant = TenantSlug::parse(&owner.tenant).map_err(Error::internal)?;
        let row = TenantKeys::new(&tenant).api_key(&owner.id);
        let Some(row) = engine.get(Tree::Hot, &row).await? else {
            return Ok(None);
        };
        let stored: StoredKey = codec::decode(&row)?;
        let known = Arc::new(Known {
            caller: Caller::Key {
                tenant,
                id: owner.id.into(),
                scopes: stored.scopes.into(),
            },
            expires_at: stored.expires_at,
            noted_at: AtomicI64::new(stored.last_used_at.map_or(i64::MIN, |at| at.0)),
        });
        self.cache.remember(hash, known.clone(), epoch);
        Ok(Some(known))
    }

    /// Writes the use down, beside the request, where that is due.
    fn note_use(&self, known: &Known, now: Instant) {
        let noted = known.noted_at.load(Ordering::Relaxed);
        if now.0.saturating_sub(noted) < NOTE_EVERY_MS {
            return;
        }
        let ours =
            known
                .noted_at
                .compare_exchange(noted, now.0, Ordering::Relaxed, Ordering::Relaxed);
        let Caller::Key { tenant, id, .. } = &known.caller else {
            return;
        };
        if ours.is_ok() {
            let row = TenantKeys::new(tenant).api_key(id);
            tokio::spawn(note(self.core.clone(), row, now));
        }
    }
}

/// A failure only leaves an older moment behind; the next use tries again.
async fn note(core: Core, key: Key, now: Instant) {
    let noted = async {
        let Some(row) = core.engine.get(Tree::Hot, &key).await? else {
            return Ok(());
        };
        let mut stored: StoredKey = codec::decode(&row)?;
        stored.last_used_at = Some(now);
        let mut batch = Batch::default();
        batch.expect(Tree::Hot, key.clone(), Condition::Value(row));
        batch.put(Tree::Hot, key, codec::encode(&stored)?);
        core.engine.commit(batch).await
    };
    match noted.await {
        Ok(()) | Err(StoreError::Conflict { .. }) => {}
        Err(error) => tracing::warn!(%error, "the use of an API key could not be noted"),
    }
}
