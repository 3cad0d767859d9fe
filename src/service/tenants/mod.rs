//! Tenants: the customer accounts. `erase.rs` removes everything of one.

mod arrival;
mod erase;
mod slugs;

use std::{collections::BTreeMap, sync::Arc};

pub(in crate::service) use arrival::{Arrival, is_arrival};
pub(in crate::service) use erase::is_erasure;
use serde::Deserialize;
pub use slugs::{all_slugs, next_slug};
use tokio::sync::Notify;
use utoipa::ToSchema;

use super::{
    Caller, Code, Core, Error, Result, Scope, TenantAccess, keys::KeyCache, runs::reschedule,
};
use crate::{
    base::Instant,
    domain::{FieldProblem, Tenant, TenantChange, TenantSlug, archive::OwnRulesChange},
    store::{
        Batch, Condition, Key, Scan, StoreError, Tree,
        codec::{self, Stored},
        keys::{self, TenantKeys},
    },
};

impl Stored for Tenant {
    const KIND: &'static str = "tenant";
    const VERSION: u8 = 3;

    fn migrate(version: u8, body: &[u8]) -> crate::store::engine::Result<Self> {
        match version {
            1 => codec::read::<TenantV1>(Self::KIND, body).map(Tenant::from),
            2 => codec::read::<TenantV2>(Self::KIND, body).map(Tenant::from),
            _ => Err(codec::unknown_version(Self::KIND, version)),
        }
    }
}

/// A tenant before it had a weight.
#[derive(Deserialize)]
struct TenantV1 {
    id: TenantSlug,
    name: String,
    timezone: String,
    locale: String,
    meta: BTreeMap<String, String>,
    created_at: Instant,
    updated_at: Instant,
}

/// A tenant before it had archive rules of its own.
#[derive(Deserialize)]
struct TenantV2 {
    id: TenantSlug,
    name: String,
    timezone: String,
    locale: String,
    meta: BTreeMap<String, String>,
    weight: u32,
    created_at: Instant,
    updated_at: Instant,
}

impl From<TenantV2> for Tenant {
    fn from(old: TenantV2) -> Self {
        Self {
            name: old.name,
            timezone: old.timezone,
            locale: old.locale,
            meta: old.meta,
            weight: old.weight,
            updated_at: old.updated_at,
            ..Tenant::new(old.id, old.created_at)
        }
    }
}

impl From<TenantV1> for Tenant {
    fn from(old: TenantV1) -> Self {
        Self {
            name: old.name,
            timezone: old.timezone,
            locale: old.locale,
            meta: old.meta,
            updated_at: old.updated_at,
            ..Tenant::new(old.id, old.created_at)
        }
    }
}

/// A tenant to be made.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTenant {
    /// Its slug, `[a-z0-9][a-z0-9-]{0,62}`, for good.
    pub id: String,
    /// The name for people; the slug unless said.
    #[serde(default)]
    pub name: Option<String>,
    /// Its IANA time zone; UTC unless said.
    #[serde(default)]
    pub timezone: Option<String>,
    /// Its language tag; en unless said.
    #[serde(default)]
    pub locale: Option<String>,
    /// Whatever else is to be kept about it.
    #[serde(default)]
    pub meta: BTreeMap<String, String>,
    /// Its share of the jobs' time, 1 to 100; 1 unless said.
    #[serde(default)]
    pub weight: Option<u32>,
    /// Durations instead of those of archive rules, by entity: `after` and `purge_after`.
    #[serde(default)]
    #[schema(value_type = Option<BTreeMap<String, BTreeMap<String, Option<String>>>>)]
    pub archive: Option<OwnRulesChange>,
}

/// Whether the rows of a tenant that is not there are on their way in or out.
pub(in crate::service) async fn in_between(core: &Core, slug: &TenantSlug) -> Result<bool> {
    let work = [erase::work_key(slug), arrival::work_key(slug)];
    let found = core.engine.get_many(Tree::Hot, &work).await?;
    Ok(found.iter().any(Option::is_some))
}

/// The service.
pub struct Tenants {
    core: Core,
    key_cache: Arc<KeyCache>,
    erasures: Notify,
}

impl Tenants {
    /// The service over a store.
    pub fn new(core: Core, key_cache: Arc<KeyCache>) -> Self {
        Self {
            core,
            key_cache,
            erasures: Notify::new(),
        }
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
        let slug = TenantSlug::parse(tenant).map_err(|_| missing(tenant))?;
        let found = self
            .core
            .engine
            .get(Tree::Hot, &keys::tenant(&slug))
            .await?;
        found.ok_or_else(|| missing(tenant))?;
        Ok(TenantAccess {
            keys: TenantKeys::new(&slug),
            caller: caller.clone(),
        })
    }

    /// Makes a tenant. For operators.
    pub async fn create(&self, caller: &Caller, wish: NewTenant) -> Result<Tenant> {
        caller.require_operator()?;
        let slug = TenantSlug::parse(&wish.id)
            .map_err(|error| Error::new(Code::BadRequest, format!("The tenant's id: {error}.")))?;
        let now = self.core.clock.now();
        let settings = TenantChange {
            name: wish.name,
            timezone: wish.timezone,
            locale: wish.locale,
            meta: Some(wish.meta.into_iter().map(|(k, v)| (k, Some(v))).collect()),
            weight: wish.weight,
            archive: wish.archive,
        };
        let tenant = settings
            .apply(&Tenant::new(slug, now), now)
            .map_err(|problems| invalid(&problems))?;
        match self.insert(&tenant).await? {
            true => Ok(tenant),
            false => Err(Error::new(
                Code::AlreadyExists,
                format!("The tenant {:?} exists.", tenant.id.as_str()),
            )),
        }
    }

    /// Makes a tenant with the usual settings unless it is there; whether it was
    /// made. For operators' imports.
    pub async fn ensure(&self, caller: &Caller, slug: &TenantSlug, name: &str) -> Result<bool> {
        caller.require_operator()?;
        let now = self.core.clock.now();
        let settings = TenantChange {
            name: Some(name.to_owned()),
            ..TenantChange::default()
        };
        let tenant = settings
            .apply(&Tenant::new(slug.clone(), now), now)
            .map_err(|problems| invalid(&problems))?;
        self.insert(&tenant).await
    }

    /// Writes a new tenant's row; false where there is one.
    async fn insert(&self, tenant: &Tenant) -> Result<bool> {
        loop {
            let counter = Key::from_static(keys::TENANT_COUNT.as_bytes());
            let counted = self.core.engine.get(Tree::Hot, &counter).await?;
            let tenants = codec::decode_counter(counted.as_ref())?;
            let mut batch = Batch::default();
            batch.expect(Tree::Hot, keys::tenant(&tenant.id), Condition::Absent);
            batch.expect(Tree::Hot, erase::work_key(&tenant.id), Condition::Absent);
            batch.expect(Tree::Hot, arrival::work_key(&tenant.id), Condition::Absent);
            let unchanged = counted.map_or(Condition::Absent, Condition::Value);
            batch.expect(Tree::Hot, counter.clone(), unchanged);
            batch.put(Tree::Hot, keys::tenant(&tenant.id), codec::encode(tenant)?);
            reschedule(&mut batch, &tenant.id);
            batch.add(Tree::Hot, counter, 1);
            let max = i64::try_from(self.core.limits.tenants_max).unwrap_or(i64::MAX);
            if tenants >= max && !self.exists(&tenant.id).await? {
                return Err(Error::new(
                    Code::LimitReached,
                    format!("There are {max} tenants, as many as limits.tenants_max allows."),
                ));
            }
            match self.core.engine.commit(batch).await {
                Ok(()) => return Ok(true),
                Err(StoreError::Conflict { index: 0, .. }) => return Ok(false),
                Err(StoreError::Conflict { index: 2, .. }) => {
                    return Err(Error::new(
                        Code::AlreadyExists,
                        "A tenant of this name is being brought back from a backup.",
                    ));
                }
                Err(StoreError::Conflict { index: 1, .. }) => {
                    return Err(Error::new(
                        Code::AlreadyExists,
                        "A deleted tenant of this name is still being erased; try again shortly.",
                    )
                    .retry_after(1));
                }
                // Another tenant was made meanwhile.
                Err(StoreError::Conflict { .. }) => {}
                Err(other) => return Err(other.into()),
            }
        }
    }

    /// Whether a row of the installation's is there.
    pub(in crate::service) async fn has(&self, key: &Key) -> Result<bool> {
        Ok(self.core.engine.get(Tree::Hot, key).await?.is_some())
    }

    async fn exists(&self, slug: &TenantSlug) -> Result<bool> {
        let row = self.core.engine.get(Tree::Hot, &keys::tenant(slug)).await?;
        Ok(row.is_some())
    }

    /// Tenants in the order of their slugs, past `after`, and where the next page
    /// begins. For operators.
    pub async fn list(
        &self,
        caller: &Caller,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Tenant>, Option<String>)> {
        caller.require_operator()?;
        let mut scan = Scan::prefix(Tree::Hot, keys::TENANTS);
        scan.after = after.map(|slug| Key::from(format!("{}{slug}", keys::TENANTS)));
        scan.limit = limit;
        scan.bytes_max = self.core.limits.page_bytes_max;
        let page = self.core.engine.scan(&scan).await?;
        let tenants = page
            .rows
            .iter()
            .map(|(_, row)| codec::decode::<Tenant>(row));
        let tenants = tenants.collect::<Result<Vec<_>, _>>()?;
        let next = page.next.and(tenants.last()).map(|t| t.id.to_string());
        Ok((tenants, next))
    }

    /// One tenant. For operators and the tenant's own keys.
    pub async fn get(&self, caller: &Caller, tenant: &str) -> Result<Tenant> {
        caller.require_scope(tenant, Scope::Read)?;
        Ok(self.read(tenant).await?.0)
    }

    async fn read(&self, tenant: &str) -> Result<(Tenant, Key, crate::store::Value)> {
        let slug = TenantSlug::parse(tenant).map_err(|_| missing(tenant))?;
        let key = keys::tenant(&slug);
        let row = self.core.engine.get(Tree::Hot, &key).await?;
        let row = row.ok_or_else(|| missing(tenant))?;
        Ok((codec::decode(&row)?, key, row))
    }

    /// Changes a tenant's settings. For operators and the tenant's own keys with
    /// the scope `admin`.
    pub async fn change(
        &self,
        caller: &Caller,
        tenant: &str,
        change: &TenantChange,
    ) -> Result<Tenant> {
        caller.require_scope(tenant, Scope::Admin)?;
        loop {
            let (before, key, row) = self.read(tenant).await?;
            let after = change
                .apply(&before, self.core.clock.now())
                .map_err(|problems| invalid(&problems))?;
            let mut batch = Batch::default();
            batch.expect(Tree::Hot, key.clone(), Condition::Value(row));
            batch.put(Tree::Hot, key, codec::encode(&after)?);
            reschedule(&mut batch, &after.id);
            match self.core.engine.commit(batch).await {
                Ok(()) => return Ok(after),
                Err(StoreError::Conflict { .. }) => {}
                Err(other) => return Err(other.into()),
            }
        }
    }
}

fn missing(tenant: &str) -> Error {
    Error::not_found(format!("tenant {tenant:?}"))
}

fn invalid(problems: &[FieldProblem]) -> Error {
    let first = problems
        .first()
        .map_or_else(String::new, |problem| format!(" {problem}."));
    Error::new(
        Code::BadRequest,
        format!("The tenant's settings are not accepted.{first}"),
    )
    .with("problems", problems)
}

#[cfg(test)]
mod tests;
