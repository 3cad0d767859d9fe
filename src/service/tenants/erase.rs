//! Erasing a tenant: its row goes at once, so that nothing can be written any
//! more; everything else follows in bounded commits.

use super::{Tenants, missing};
use crate::{
    domain::TenantSlug,
    service::{Caller, Error, Result, holds, keys::stored_hash, records::expiry_of, runs::Runs},
    store::{
        Batch, Condition, Key, Scan, StoreError, Tree, Value,
        keys::{self, TenantKeys},
    },
};

/// The work rows of tenants that are being erased; the slug follows.
const WORK: &str = "erase#";

/// What tells that a tenant is being erased.
pub(super) fn work_key(slug: &TenantSlug) -> Key {
    keys::work(&format!("{WORK}{slug}"))
}

/// Whether a piece of background work is the erasing of a tenant.
pub(in crate::service) fn is_erasure(work: &str) -> bool {
    work.strip_prefix(WORK)
        .is_some_and(|slug| TenantSlug::parse(slug).is_ok())
}

impl Tenants {
    /// Deletes a tenant with everything it has. It is gone when this answers; its
    /// rows are removed in the background. For operators.
    pub async fn delete(&self, caller: &Caller, tenant: &str) -> Result<()> {
        caller.require_operator()?;
        let slug = TenantSlug::parse(tenant).map_err(|_| missing(tenant))?;
        let mut batch = Batch::default();
        batch.expect(Tree::Hot, keys::tenant(&slug), Condition::Present);
        let held = TenantKeys::new(&slug).holds_count();
        let held = batch.expect(Tree::Hot, held, Condition::Absent);
        batch.delete(Tree::Hot, keys::tenant(&slug));
        batch.put(Tree::Hot, work_key(&slug), Value::new());
        batch.add(Tree::Hot, keys::TENANT_COUNT, -1);
        match self.core.engine.commit(batch).await {
            Ok(()) => {}
            Err(StoreError::Conflict { index, .. }) if index == held => {
                return Err(holds::held(&format!("Something of the tenant {tenant:?}")));
            }
            Err(StoreError::Conflict { .. }) => return Err(missing(tenant)),
            Err(other) => return Err(other.into()),
        }
        self.key_cache.clear();
        self.erasures.notify_one();
        Ok(())
    }

    /// Completes when there may be something to erase.
    pub async fn erasure_waiting(&self) {
        self.erasures.notified().await;
    }

    /// Removes one bounded part of a deleted tenant; false where none is left.
    pub async fn erase_step(&self) -> Result<bool> {
        let mut scan = Scan::prefix(Tree::Hot, keys::work(WORK));
        scan.limit = 1;
        let page = self.core.engine.scan(&scan).await?;
        let Some((work, _)) = page.rows.into_iter().next() else {
            return Ok(false);
        };
        let name = String::from_utf8_lossy(&work[keys::work(WORK).len()..]);
        let slug = TenantSlug::parse(&name).map_err(Error::internal)?;
        let tenant = TenantKeys::new(&slug);
        let erased = self.erase_keys(&tenant).await?
            || self.erase_answers(&tenant).await?
            || Runs::erase_step(&self.core, &slug).await?
            || self.erase_rows(&tenant).await?;
        if !erased {
            let mut done = Batch::default();
            done.delete(Tree::Hot, work);
            self.core.engine.commit(done).await?;
            // Whoever looked a key up meanwhile may have remembered it.
            self.key_cache.clear();
        }
        Ok(true)
    }

    /// API keys stand in two places; the row that finds one by its secret goes
    /// with the row that describes it.
    async fn erase_keys(&self, tenant: &TenantKeys) -> Result<bool> {
        let scan = Scan::prefix(Tree::Hot, tenant.api_keys());
        let page = self.core.engine.scan(&scan).await?;
        let mut batch = Batch::default();
        for (key, row) in &page.rows {
            batch.delete(Tree::Hot, keys::api_key_by_hash(&stored_hash(row)?));
            batch.delete(Tree::Hot, key.clone());
        }
        self.commit_some(batch).await
    }

    /// A remembered answer goes with its expiry, which would otherwise take away
    /// an answer of a later tenant of the same name.
    async fn erase_answers(&self, tenant: &TenantKeys) -> Result<bool> {
        let scan = Scan::prefix(Tree::Hot, tenant.idempotency(""));
        let page = self.core.engine.scan(&scan).await?;
        let mut batch = Batch::default();
        for (key, row) in &page.rows {
            batch.delete(Tree::Hot, expiry_of(key, row)?);
            batch.delete(Tree::Hot, key.clone());
        }
        self.commit_some(batch).await
    }

    async fn erase_rows(&self, tenant: &TenantKeys) -> Result<bool> {
        for tree in Tree::ALL {
            let mut scan = Scan::prefix(tree, tenant.everything());
            scan.values = false;
            let page = self.core.engine.scan(&scan).await?;
            let mut batch = Batch::default();
            for (key, _) in page.rows {
                batch.delete(tree, key);
            }
            if self.commit_some(batch).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn commit_some(&self, batch: Batch) -> Result<bool> {
        let some = !batch.writes.is_empty();
        if some {
            self.core.engine.commit(batch).await?;
        }
        Ok(some)
    }
}
