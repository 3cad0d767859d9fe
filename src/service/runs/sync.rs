//! A due row for every job and owner. The app file, a tenant's settings and the
//! clock may each change when a job is due; whoever changes one of them leaves an
//! order to look again, and the tick carries the orders out.

use std::collections::BTreeMap;

use super::{
    Runs,
    rows::MARK,
    stored::{Due, Reschedule},
};
use crate::{
    base::Instant,
    domain::{
        Tenant, TenantSlug,
        job::{Job, run::Owner},
        names::JobName,
    },
    service::{Core, Result, apps::AppState},
    store::{Batch, Condition, Key, Scan, StoreError, Tree, Value, codec, keys, keys::jobs},
};

/// Tenants looked at in one step.
const TENANTS_A_STEP: usize = 64;

impl Runs {
    /// Leaves the order to look at everybody's schedules again.
    pub(super) async fn reschedule_all(&self) -> Result<()> {
        let mut batch = Batch::default();
        order_all(&mut batch)?;
        Ok(self.core.engine.commit(batch).await?)
    }

    /// Carries out a part of the orders; whether there are more.
    pub(super) async fn sync_step(&self, now: Instant) -> Result<bool> {
        let mut scan = Scan::prefix(Tree::Hot, jobs::RESCHEDULE);
        scan.limit = TENANTS_A_STEP;
        let page = self.core.engine.scan(&scan).await?;
        if page.rows.is_empty() {
            return Ok(false);
        }
        let state = self.apps.for_reading().await?;
        for (key, value) in &page.rows {
            let slug = String::from_utf8_lossy(&key[jobs::RESCHEDULE.len()..]);
            if slug.is_empty() {
                self.sync_all(&state, now, key, value).await?;
            } else if let Ok(slug) = TenantSlug::parse(&slug) {
                self.sync_tenant(&state, now, &slug).await?;
                self.done(key, value).await?;
            }
        }
        Ok(true)
    }

    /// The next part of all tenants, and the installation at the end.
    async fn sync_all(
        &self,
        state: &AppState,
        now: Instant,
        key: &Key,
        value: &Value,
    ) -> Result<()> {
        let mut order: Reschedule = codec::decode(value)?;
        let mut scan = Scan::prefix(Tree::Hot, keys::TENANTS);
        let after = order.after.as_deref();
        scan.after = after.map(|slug| Key::from(format!("{}{slug}", keys::TENANTS)));
        scan.limit = TENANTS_A_STEP;
        let page = self.core.engine.scan(&scan).await?;
        let mut tenants = Vec::with_capacity(page.rows.len());
        for (_, row) in &page.rows {
            tenants.push(codec::decode::<Tenant>(row)?);
        }
        let synced = tenants.iter().map(|tenant| {
            let owner = Owner::from(&tenant.id);
            async move { self.sync_owner(state, now, &owner, Some(tenant)).await }
        });
        for result in futures_util::future::join_all(synced).await {
            result?;
        }
        if page.next.is_none() {
            let owner = Owner::installation();
            self.sync_owner(state, now, &owner, None).await?;
            return self.done(key, value).await;
        }
        order.after = tenants.last().map(|tenant| tenant.id.to_string());
        let mut batch = Batch::default();
        batch.expect(Tree::Hot, key.clone(), Condition::Value(value.clone()));
        batch.put(Tree::Hot, key.clone(), codec::encode(&order)?);
        committed(self.core.engine.commit(batch).await).map(drop)
    }

    /// The order is carried out, unless it was given anew meanwhile.
    async fn done(&self, key: &Key, value: &Value) -> Result<()> {
        let mut batch = Batch::default();
        batch.expect(Tree::Hot, key.clone(), Condition::Value(value.clone()));
        batch.delete(Tree::Hot, key.clone());
        committed(self.core.engine.commit(batch).await).map(drop)
    }

    async fn sync_tenant(&self, state: &AppState, now: Instant, slug: &TenantSlug) -> Result<()> {
        if let Some(tenant) = tenant(&self.core, slug).await? {
            let owner = Owner::from(slug);
            self.sync_owner(state, now, &owner, Some(&tenant)).await?;
        }
        Ok(())
    }

    /// Brings an owner's due rows in line with the app file, its settings and the
    /// clock. A job never becomes due by that: the next slot is one after now.
    pub(super) async fn sync_owner(
        &self,
        state: &AppState,
        now: Instant,
        owner: &Owner,
        tenant: Option<&Tenant>,
    ) -> Result<()> {
        loop {
            let known = self.schedules_of(owner).await?;
            let batch = self.sync_batch(state, now, owner, tenant, &known)?;
            if batch.writes.is_empty() || committed(self.core.engine.commit(batch).await)? {
                return Ok(());
            }
        }
    }

    /// An owner's jobs with their due rows.
    pub(super) async fn schedules_of(
        &self,
        owner: &Owner,
    ) -> Result<BTreeMap<JobName, (Due, Value)>> {
        let prefix = jobs::schedules(owner);
        let rows = crate::service::scan::every(&self.core, prefix.clone()).await?;
        let mut known = BTreeMap::new();
        for (key, value) in rows {
            let name = String::from_utf8_lossy(&key[prefix.len()..]);
            if let Ok(name) = JobName::parse(&name) {
                known.insert(name, (codec::decode(&value)?, value));
            }
        }
        Ok(known)
    }

    fn sync_batch(
        &self,
        state: &AppState,
        now: Instant,
        owner: &Owner,
        tenant: Option<&Tenant>,
        known: &BTreeMap<JobName, (Due, Value)>,
    ) -> Result<Batch> {
        let mut batch = Batch::default();
        if let Some(tenant) = tenant {
            // Nothing is scheduled for a tenant that goes meanwhile.
            batch.expect(Tree::Hot, keys::tenant(&tenant.id), Condition::Present);
        }
        let wanted = |name: &JobName| {
            let job = state.file.jobs.get(name)?;
            (job.is_for(tenant) && job.schedule.is_some()).then_some(job)
        };
        for (name, (due, bytes)) in known.iter().filter(|(name, _)| wanted(name).is_none()) {
            let key = jobs::schedule(owner, name);
            batch.expect(Tree::Hot, key.clone(), Condition::Value(bytes.clone()));
            batch.delete(Tree::Hot, key);
            batch.delete(Tree::Hot, jobs::due(due.at, owner, name));
        }
        for (name, job) in &state.file.jobs {
            let old = known.get(name);
            if wanted(name).is_none() {
                continue;
            }
            let Some(mut due) = next_due(job, owner, tenant, now) else {
                // Its calendar has ended.
                if let Some((old, bytes)) = old {
                    let key = jobs::schedule(owner, name);
                    batch.expect(Tree::Hot, key.clone(), Condition::Value(bytes.clone()));
                    batch.delete(Tree::Hot, key);
                    batch.delete(Tree::Hot, jobs::due(old.at, owner, name));
                }
                continue;
            };
            if let Some((old, _)) = old {
                // One that is due and was not looked at yet stays as it is; one that
                // lies beyond the next slot was made by a clock that went astray.
                if old.fingerprint == due.fingerprint && old.at <= due.at {
                    continue;
                }
                due.failures = old.failures;
            }
            move_due(&mut batch, owner, name, old, &due)?;
        }
        Ok(batch)
    }
}

/// When a job is due next, after now.
pub(super) fn next_due(
    job: &Job,
    owner: &Owner,
    tenant: Option<&Tenant>,
    now: Instant,
) -> Option<Due> {
    let zone = job.zone(tenant);
    let offset = job.offset_ms(owner.as_str());
    let slot = job.schedule.as_ref()?.next(now.plus_ms(-offset), zone)?;
    Some(Due {
        slot,
        at: slot.plus_ms(offset),
        fingerprint: job.fingerprint(tenant),
        failures: 0,
    })
}

/// Adds to `batch` that a job's due row moves from `old` to `new`.
pub(super) fn move_due(
    batch: &mut Batch,
    owner: &Owner,
    job: &JobName,
    old: Option<&(Due, Value)>,
    new: &Due,
) -> Result<()> {
    let key = jobs::schedule(owner, job);
    match old {
        Some((old, bytes)) => {
            batch.expect(Tree::Hot, key.clone(), Condition::Value(bytes.clone()));
            batch.delete(Tree::Hot, jobs::due(old.at, owner, job));
        }
        None => drop(batch.expect(Tree::Hot, key.clone(), Condition::Absent)),
    }
    batch.put(
        Tree::Hot,
        jobs::due(new.at, owner, job),
        Value::from_static(MARK),
    );
    batch.put(Tree::Hot, key, codec::encode(new)?);
    Ok(())
}

/// A tenant's settings, where it is there.
pub(super) async fn tenant(core: &Core, slug: &TenantSlug) -> Result<Option<Tenant>> {
    let row = core.engine.get(Tree::Hot, &keys::tenant(slug)).await?;
    Ok(row.map(|row| codec::decode(&row)).transpose()?)
}

/// Adds the order to look at everybody's schedules to a change of the app file.
pub fn order_all(batch: &mut Batch) -> Result<(), StoreError> {
    let order = Reschedule {
        nonce: nonce(),
        after: None,
    };
    batch.put(Tree::Hot, jobs::reschedule(""), codec::encode(&order)?);
    Ok(())
}

/// Adds the order to look at a tenant's schedules to a change of its settings.
pub fn order(batch: &mut Batch, slug: &TenantSlug) {
    let nonce = Value::from(nonce().to_be_bytes().to_vec());
    batch.put(Tree::Hot, jobs::reschedule(slug.as_str()), nonce);
}

/// Tells an order from an earlier one that is being carried out.
fn nonce() -> u64 {
    uuid::Uuid::now_v7().as_u64_pair().1
}

/// Whether a commit went through; a conflict is no error.
pub(super) fn committed(result: Result<(), StoreError>) -> Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(StoreError::Conflict { .. }) => Ok(false),
        Err(other) => Err(other.into()),
    }
}
