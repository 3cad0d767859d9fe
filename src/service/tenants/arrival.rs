//! A tenant that arrives with all its rows, out of a backup: they are written first, in
//! bounded commits, and its own row last, so that nobody sees a part of it. An arrival that
//! is broken off is erased as a deleted tenant is.

use super::{Tenants, erase};
use crate::{
    domain::{Tenant, TenantSlug},
    service::{Code, Error, Result, apps::AppState, runs::reschedule},
    store::{
        Batch, Condition, Key, Scan, StoreError, Tree, Value, codec,
        keys::{self, TenantKeys},
    },
};

/// The work rows of tenants that are arriving; the slug follows.
const WORK: &str = "arrive#";

/// What tells that a tenant is arriving.
pub(super) fn work_key(slug: &TenantSlug) -> Key {
    keys::work(&format!("{WORK}{slug}"))
}

/// Whether a piece of background work is the arrival of a tenant.
pub(in crate::service) fn is_arrival(work: &str) -> bool {
    work.strip_prefix(WORK)
        .is_some_and(|slug| TenantSlug::parse(slug).is_ok())
}

/// A tenant that is arriving.
pub(in crate::service) struct Arrival<'a> {
    tenants: &'a Tenants,
    slug: TenantSlug,
    app: &'a AppState,
}

impl Tenants {
    /// Begins the arrival of a tenant whose rows fit the app `app`. Refused where one of
    /// that name is there, or is being erased, or has rows.
    pub(in crate::service) async fn arrive<'a>(
        &'a self,
        slug: TenantSlug,
        app: &'a AppState,
    ) -> Result<Arrival<'a>> {
        for tree in Tree::ALL {
            let mut scan = Scan::prefix(tree, TenantKeys::new(&slug).everything());
            (scan.limit, scan.values) = (1, false);
            if !self.core.engine.scan(&scan).await?.rows.is_empty() {
                return Err(taken(&slug));
            }
        }
        let mut batch = Batch::default();
        for key in [keys::tenant(&slug), erase::work_key(&slug), work_key(&slug)] {
            batch.expect(Tree::Hot, key, Condition::Absent);
        }
        batch.put(Tree::Hot, work_key(&slug), Value::new());
        match self.core.engine.commit(batch).await {
            Ok(()) => Ok(Arrival {
                tenants: self,
                slug,
                app,
            }),
            Err(StoreError::Conflict { .. }) => Err(taken(&slug)),
            Err(other) => Err(other.into()),
        }
    }

    /// Has the rows erased of tenants whose arrival the last process left. Before anything
    /// else is done with the store.
    pub async fn undo_arrivals(&self) -> Result<()> {
        let mut scan = Scan::prefix(Tree::Hot, keys::work(WORK));
        scan.values = false;
        let mut batch = Batch::default();
        for (key, _) in self.core.engine.scan(&scan).await?.rows {
            let name = String::from_utf8_lossy(&key[keys::work(WORK).len()..]);
            let slug = TenantSlug::parse(&name).map_err(Error::internal)?;
            tracing::warn!(tenant = %slug, "a tenant's arrival was broken off; its rows are erased");
            batch.put(Tree::Hot, erase::work_key(&slug), Value::new());
            batch.delete(Tree::Hot, key);
        }
        if !batch.writes.is_empty() {
            self.core.engine.commit(batch).await?;
            self.erasures.notify_one();
        }
        Ok(())
    }
}

impl Arrival<'_> {
    /// Writes some of its rows.
    pub async fn write(&self, mut batch: Batch) -> Result<()> {
        self.app.expect_unchanged(&mut batch);
        batch.expect(Tree::Hot, work_key(&self.slug), Condition::Present);
        self.commit(batch).await
    }

    /// Everything is there: from now on it is a tenant, with so many legal holds.
    pub async fn finish(&self, tenant: &Tenant, holds: i64) -> Result<()> {
        let core = &self.tenants.core;
        let counter = Key::from_static(keys::TENANT_COUNT.as_bytes());
        let counted = core.engine.get(Tree::Hot, &counter).await?;
        let max = i64::try_from(core.limits.tenants_max).unwrap_or(i64::MAX);
        if codec::decode_counter(counted.as_ref())? >= max {
            return Err(Error::new(
                Code::LimitReached,
                format!("There are {max} tenants, as many as limits.tenants_max allows."),
            ));
        }
        let mut batch = Batch::default();
        self.app.expect_unchanged(&mut batch);
        batch.expect(Tree::Hot, keys::tenant(&self.slug), Condition::Absent);
        batch.put(Tree::Hot, keys::tenant(&self.slug), codec::encode(tenant)?);
        batch.delete(Tree::Hot, work_key(&self.slug));
        batch.add(Tree::Hot, counter, 1);
        // Who is dropping an entity looks for holds again.
        batch.add(Tree::Hot, keys::HOLDS_SET, holds);
        reschedule(&mut batch, &self.slug);
        self.commit(batch).await
    }

    /// Has everything erased that was written.
    pub async fn undo(&self) -> Result<()> {
        let mut batch = Batch::default();
        batch.delete(Tree::Hot, work_key(&self.slug));
        batch.put(Tree::Hot, erase::work_key(&self.slug), Value::new());
        self.tenants.core.engine.commit(batch).await?;
        self.tenants.erasures.notify_one();
        Ok(())
    }

    async fn commit(&self, batch: Batch) -> Result<()> {
        match self.tenants.core.engine.commit(batch).await {
            Err(StoreError::Conflict { .. }) => Err(Error::new(
                Code::AppBusy,
                "The app was changed meanwhile; bring the tenant back again.",
            )),
            other => Ok(other?),
        }
    }
}

fn taken(slug: &TenantSlug) -> Error {
    Error::new(
        Code::AlreadyExists,
        format!(
            "The tenant {:?} exists, is arriving, or is still being erased: bring it back under another name.",
            slug.as_str()
        ),
    )
}
