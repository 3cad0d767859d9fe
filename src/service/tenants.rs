//! Tenants: the customer accounts.

use super::{Caller, Core, Error, Result, Scope, TenantAccess};
use crate::{
    domain::{Tenant, TenantSlug},
    store::{
        Batch, Condition, Key, Scan, StoreError, Tree,
        codec::{self, Stored},
        keys::{self, TenantKeys},
    },
};

impl Stored for Tenant {
    const KIND: &'static str = "tenant";
    const VERSION: u8 = 1;
}

/// The first tenant whose slug sorts after `after`; of all where `None`.
pub async fn next_slug(core: &Core, after: Option<&str>) -> Result<Option<TenantSlug>> {
    let mut scan = Scan::prefix(Tree::Hot, keys::TENANTS);
    scan.after = after.map(|slug| Key::from(format!("{}{slug}", keys::TENANTS)));
    scan.limit = 1;
    scan.values = false;
    let page = core.engine.scan(&scan).await?;
    page.rows.first().map(|(key, _)| slug_of(key)).transpose()
}

/// Every tenant's slug, in order.
pub async fn all_slugs(core: &Core) -> Result<Vec<TenantSlug>> {
    let mut scan = Scan::prefix(Tree::Hot, keys::TENANTS);
    scan.values = false;
    let mut slugs = Vec::new();
    loop {
        let page = core.engine.scan(&scan).await?;
        for (key, _) in &page.rows {
            slugs.push(slug_of(key)?);
        }
        match page.next {
            Some(next) => scan.after = Some(next),
            None => return Ok(slugs),
        }
    }
}

fn slug_of(key: &Key) -> Result<TenantSlug> {
    let slug = String::from_utf8_lossy(&key[keys::TENANTS.len()..]);
    TenantSlug::parse(&slug).map_err(Error::internal)
}

/// The service.
pub struct Tenants {
    core: Core,
}

impl Tenants {
    /// The service over a store.
    pub fn new(core: Core) -> Self {
        Self { core }
    }

    /// Access to one tenant's data for `caller`, after the tenant was found and
    /// the scope checked.
    pub async fn access(
        &self,
        caller: &Caller,
        tenant: &str,
        scope: Scope,
    ) -> Result<TenantAccess> {
        caller.require_scope(tenant, scope)?;
        let missing = || Error::not_found(format!("tenant {tenant:?}"));
        let slug = TenantSlug::parse(tenant).map_err(|_| missing())?;
        let found = self
            .core
            .engine
            .get(Tree::Hot, &keys::tenant(&slug))
            .await?;
        found.ok_or_else(missing)?;
        Ok(TenantAccess {
            keys: TenantKeys::new(&slug),
            credential: caller.credential(),
        })
    }

    /// Makes the tenant unless it is there; whether it was made.
    pub async fn ensure(&self, caller: &Caller, slug: &TenantSlug, name: &str) -> Result<bool> {
        caller.require_operator()?;
        let mut tenant = Tenant::new(slug.clone(), self.core.clock.now());
        tenant.name = name.chars().take(200).collect();
        let key = keys::tenant(slug);
        let mut batch = Batch::default();
        batch.expect(Tree::Hot, key.clone(), Condition::Absent);
        batch.put(Tree::Hot, key, codec::encode(&tenant)?);
        match self.core.engine.commit(batch).await {
            Ok(()) => Ok(true),
            Err(StoreError::Conflict { .. }) => Ok(false),
            Err(other) => Err(other.into()),
        }
    }
}
