//! API keys: a tenant's secrets for programs.
//!
//! A secret is shown once, when it is made, and stored only as its SHA-256 (it has
//! 256 random bits, so a slow hash would add nothing). Two rows hold a key: one
//! among its tenant's, which describes it, one among the installation's, which
//! finds it by the hash.

mod cache;
mod lookup;

use std::sync::Arc;

pub use cache::KeyCache;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Caller, Code, Core, Error, Result, Scope, TenantAccess, scan, secret};
use crate::{
    base::Instant,
    store::{
        Batch, Condition, Key, Scan, StoreError, Tree, Value,
        codec::{self, Stored},
        keys,
    },
};

/// What a secret begins with.
pub const PREFIX: &str = "tk_";
/// The longest name of a key, in characters.
const NAME_CHARS_MAX: usize = 200;

/// The row that describes a key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct StoredKey {
    id: String,
    name: String,
    scopes: Vec<Scope>,
    created_at: Instant,
    expires_at: Option<Instant>,
    last_used_at: Option<Instant>,
    /// SHA-256 of the secret, in hex.
    hash: String,
}

impl Stored for StoredKey {
    const KIND: &'static str = "API key";
    const VERSION: u8 = 1;
}

/// The row that finds a key by its secret's hash.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct KeyOwner {
    tenant: String,
    id: String,
}

impl Stored for KeyOwner {
    const KIND: &'static str = "API key's owner";
    const VERSION: u8 = 1;
}

/// The hash in a stored key's row.
pub(super) fn stored_hash(row: &Value) -> Result<String> {
    Ok(codec::decode::<StoredKey>(row)?.hash)
}

/// The tenant and the id in a row that finds a key by its secret.
pub(super) fn owner_of_hash(row: &Value) -> Result<(String, String)> {
    let owner: KeyOwner = codec::decode(row)?;
    Ok((owner.tenant, owner.id))
}

/// A key to be made.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// What it is for, up to 200 characters.
    #[serde(default)]
    pub name: String,
    /// What it may do; `read` and `write` unless said.
    #[serde(default)]
    pub scopes: Vec<Scope>,
    /// When it stops working, RFC 3339; never unless said.
    #[serde(default)]
    pub expires_at: Option<String>,
}

/// A key as it is shown: all but its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct KeyView {
    /// Its id, for revoking it.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it stops working; null is never.
    #[schema(format = DateTime)]
    pub expires_at: Option<String>,
    /// When it was last used, to the minute.
    #[schema(format = DateTime)]
    pub last_used_at: Option<String>,
}

/// The service.
pub struct Keys {
    core: Core,
    cache: Arc<KeyCache>,
    /// One at a time in this process, so that the limit holds.
    creating: tokio::sync::Mutex<()>,
}

impl Keys {
    /// The service over a store.
    pub fn new(core: Core, cache: Arc<KeyCache>) -> Self {
        Self {
            core,
            cache,
            creating: tokio::sync::Mutex::default(),
        }
    }

    /// Makes a key of the tenant; answers it with its secret, which is shown this
    /// once. `caller` cannot give a scope that it lacks itself.
    pub async fn create(
        &self,
        access: &TenantAccess,
        caller: &Caller,
        wish: NewKey,
    ) -> Result<(KeyView, String)> {
        let now = self.core.clock.now();
        let scopes = scopes(caller, &wish)?;
        let expires_at = expiry(&wish, now)?;
        let name = wish.name.as_str();
        if name.chars().count() > NAME_CHARS_MAX || name.chars().any(char::is_control) {
            return Err(Error::new(
                Code::BadRequest,
                format!("name: expected up to {NAME_CHARS_MAX} characters, no control characters."),
            ));
        }
        let secret = secret::make(&self.core.random, PREFIX)?;
        let stored = StoredKey {
            id: self.core.random.id(now).map_err(Error::internal)?.0,
            name: name.to_owned(),
            scopes,
            created_at: now,
            expires_at,
            last_used_at: None,
            hash: secret::hash(&secret),
        };
        let _one_at_a_time = self.creating.lock().await;
        self.refuse_more(access).await?;
        let owner = KeyOwner {
            tenant: access.tenant().to_owned(),
            id: stored.id.clone(),
        };
        let mut batch = Batch::default();
        batch.expect(Tree::Hot, access.keys.tenant_row(), Condition::Present);
        let row = access.keys.api_key(&stored.id);
        batch.put(Tree::Hot, row, codec::encode(&stored)?);
        let by_hash = keys::api_key_by_hash(&stored.hash);
        batch.put(Tree::Hot, by_hash, codec::encode(&owner)?);
        match self.core.engine.commit(batch).await {
            Ok(()) => Ok((view(stored), secret)),
            Err(StoreError::Conflict { .. }) => Err(Error::not_found("such tenant any more")),
            Err(other) => Err(other.into()),
        }
    }

    async fn refuse_more(&self, access: &TenantAccess) -> Result<()> {
        let max = self.core.limits.keys_per_tenant_max;
        let mut scan = Scan::prefix(Tree::Hot, access.keys.api_keys());
        scan.limit = max;
        scan.bytes_max = usize::MAX;
        scan.values = false;
        let page = self.core.engine.scan(&scan).await?;
        if page.rows.len() < max {
            return Ok(());
        }
        Err(Error::new(
            Code::LimitReached,
            format!(
                "The tenant has {max} API keys, as many as limits.keys_per_tenant_max allows; revoke one first."
            ),
        ))
    }

    /// All keys of the tenant, oldest first.
    pub async fn list(&self, access: &TenantAccess) -> Result<Vec<KeyView>> {
        let rows = scan::every(&self.core, access.keys.api_keys()).await?;
        rows.iter()
            .map(|(_, row)| Ok(view(codec::decode(row)?)))
            .collect()
    }

    /// Revokes a key. No request is served by it once this answers. A caller that
    /// goes away meanwhile does not stop it half-way: what is revoked in the store
    /// must not stay known here.
    pub async fn revoke(&self, access: &TenantAccess, id: &str) -> Result<()> {
        let (core, cache) = (self.core.clone(), self.cache.clone());
        let (key, id) = (access.keys.api_key(id), id.to_owned());
        tokio::spawn(async move { revoke(&core, &cache, key, &id).await })
            .await
            .map_err(Error::internal)?
    }
}

async fn revoke(core: &Core, cache: &KeyCache, key: Key, id: &str) -> Result<()> {
    loop {
        let row = core.engine.get(Tree::Hot, &key).await?;
        let row = row.ok_or_else(|| Error::not_found(format!("API key {id:?}")))?;
        let stored: StoredKey = codec::decode(&row)?;
        let mut batch = Batch::default();
        batch.expect(Tree::Hot, key.clone(), Condition::Value(row));
        batch.delete(Tree::Hot, key.clone());
        batch.delete(Tree::Hot, keys::api_key_by_hash(&stored.hash));
        let done = core.engine.commit(batch).await;
        // Also after a failure, which does not tell whether it was written.
        cache.forget(&stored.hash);
        match done {
            Ok(()) => return Ok(()),
            // Its last use was noted meanwhile.
            Err(StoreError::Conflict { .. }) => {}
            Err(other) => return Err(other.into()),
        }
    }
}

fn scopes(caller: &Caller, wish: &NewKey) -> Result<Vec<Scope>> {
    let mut scopes = match wish.scopes.is_empty() {
        true => vec![Scope::Read, Scope::Write],
        false => wish.scopes.clone(),
    };
    scopes.sort_unstable();
    scopes.dedup();
    if let Caller::Key { scopes: own, .. } = caller
        && let Some(more) = scopes.iter().find(|scope| !own.contains(scope))
    {
        return Err(Error::new(
            Code::InsufficientScope,
            "This API key cannot give a scope that it lacks itself.",
        )
        .with("scope", more));
    }
    Ok(scopes)
}

fn expiry(wish: &NewKey, now: Instant) -> Result<Option<Instant>> {
    let Some(text) = &wish.expires_at else {
        return Ok(None);
    };
    match Instant::parse_rfc3339(text) {
        Some(at) if at > now => Ok(Some(at)),
        _ => Err(Error::new(
            Code::BadRequest,
            "expires_at: expected a moment to come, as in 2030-01-01T00:00:00Z.",
        )),
    }
}

fn view(stored: StoredKey) -> KeyView {
    KeyView {
        id: stored.id,
        name: stored.name,
        scopes: stored.scopes,
        created_at: stored.created_at.to_rfc3339(),
        expires_at: stored.expires_at.map(Instant::to_rfc3339),
        last_used_at: stored.last_used_at.map(Instant::to_rfc3339),
    }
}

#[cfg(test)]
mod tests;
