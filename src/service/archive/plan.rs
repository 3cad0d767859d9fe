//! What the rules would do: those in force by their rows, those of a file that is not
//! applied yet by reading the records.

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use super::{Archive, RuleView, archive_end, terms};
use crate::{
    domain::{
        AppFile, Entity, Tenant,
        archive::{ArchiveRule, time_of},
    },
    service::{Caller, Error, Result, Scope, TenantAccess},
    store::{Scan, Tree, codec, keys::Counted},
};

/// A plan counts up to so many due records of an entity.
pub(super) const COUNTED_MAX: u64 = 1_000_000;
/// So long a plan reads records of a tenant that no rows tell about.
const READING_MAX: Duration = Duration::from_secs(10);

/// What the rules would do now.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EntityPlan {
    /// The tenant.
    pub tenant: String,
    /// The entity.
    pub entity: String,
    /// Its rule.
    pub rule: RuleView,
    /// False while the index that finds what is due is being built: the rest is 0 then.
    pub ready: bool,
    /// False where not all could be counted in time: there is more than is said.
    pub complete: bool,
    /// Records that would be archived; at most 1,000,000 are counted.
    pub archive_records: u64,
    /// Bytes that they take in the hot tree: by the entity's average, or summed up where
    /// the rule is not applied yet.
    pub archive_bytes: u64,
    /// What is hot now, and would be then.
    pub hot_bytes: u64,
    /// Bytes that would stay hot.
    pub hot_bytes_after: u64,
    /// Archived records that would be erased; at most 1,000,000 are counted.
    pub purge_records: u64,
    /// Bytes that they take in the archive, counted in the same way.
    pub purge_bytes: u64,
}

impl Archive {
    /// What the rules would do to a tenant's records now.
    pub async fn plan(
        &self,
        caller: &Caller,
        access: &TenantAccess,
        tenant: &Tenant,
    ) -> Result<Vec<EntityPlan>> {
        caller.require_scope(access.tenant(), Scope::Read)?;
        let mut plans = Vec::new();
        for entity in self.entities().await? {
            let Some(rule) = &entity.archive else {
                continue;
            };
            let found = match self.is_ready(&entity).await? {
                true => {
                    let found = self.find_by_rows(access, &entity, rule, tenant).await?;
                    Some((found, true))
                }
                false => None,
            };
            let plan = self.planned(access, &entity, rule, tenant, found);
            plans.push(plan.await?);
        }
        Ok(plans)
    }

    /// What the rules of a file that is not applied would do to a tenant's records, those
    /// that are in force already left out. Without rows of theirs, every record of the
    /// entity is read, for [`READING_MAX`] at most.
    pub async fn plan_of(
        &self,
        caller: &Caller,
        access: &TenantAccess,
        tenant: &Tenant,
        file: &AppFile,
    ) -> Result<Vec<EntityPlan>> {
        caller.require_scope(access.tenant(), Scope::Read)?;
        let applied = self.apps.for_reading().await?;
        let until = tokio::time::Instant::now() + READING_MAX;
        let mut plans = Vec::new();
        for entity in file.entities.values() {
            let Some(rule) = &entity.archive else {
                continue;
            };
            let stands = applied.file.entities.get(&entity.name);
            let stands = stands.and_then(|entity| entity.archive.as_ref());
            if stands == Some(rule) {
                continue;
            }
            // Other durations read the same rows.
            let rows = stands.is_some_and(|stands| stands.due == rule.due);
            let found = match rows && self.is_ready(entity).await? {
                true => {
                    let found = self.find_by_rows(access, entity, rule, tenant).await?;
                    (found, true)
                }
                false => {
                    self.find_by_reading(access, entity, rule, tenant, until)
                        .await?
                }
            };
            let plan = self.planned(access, entity, rule, tenant, Some(found));
            plans.push(plan.await?);
        }
        Ok(plans)
    }

    /// Counts the rows of what is due; the bytes are the entity's average.
    async fn find_by_rows(
        &self,
        access: &TenantAccess,
        entity: &Entity,
        rule: &ArchiveRule,
        tenant: &Tenant,
    ) -> Result<Found> {
        let now = self.core.clock.now();
        let terms = terms(entity, rule, Some(tenant));
        let archive_records = self.count_due_now(access, entity, terms, now).await?;
        let mut purge_records = 0;
        if let Some(purge) = terms.purge_after_ms {
            let due = (false, archive_end(purge, now));
            purge_records = self
                .count_due(access, entity, Tree::Archive, due, COUNTED_MAX)
                .await?;
        }
        let bytes = async |tier, records: u64| -> Result<u64> {
            let bytes = self.count(access, entity, tier, Counted::Bytes).await?;
            let all = self.count(access, entity, tier, Counted::Records).await?;
            let average = bytes as f64 / all.max(1) as f64;
            Ok((average * records as f64).round() as u64)
        };
        Ok(Found {
            archive_records,
            archive_bytes: bytes(Tree::Hot, archive_records).await?,
            purge_records,
            purge_bytes: bytes(Tree::Archive, purge_records).await?,
        })
    }

    /// Reads records until all are read or the time is up; whether all were.
    async fn find_by_reading(
        &self,
        access: &TenantAccess,
        entity: &Entity,
        rule: &ArchiveRule,
        tenant: &Tenant,
        until: tokio::time::Instant,
    ) -> Result<(Found, bool)> {
        let now = self.core.clock.now();
        let terms = terms(entity, rule, Some(tenant));
        let ends = [Some(terms.after_ms), terms.purge_after_ms];
        let ends = ends.map(|ms| ms.map(|ms| archive_end(ms, now)));
        let mut found = [(0, 0), (0, 0)];
        for ((tier, end), (records, bytes)) in Tree::ALL.into_iter().zip(ends).zip(&mut found) {
            let Some(end) = end else { continue };
            let mut scan = Scan::prefix(tier, access.keys.records(&entity.name));
            loop {
                if tokio::time::Instant::now() > until {
                    return Ok((Found::from(found), false));
                }
                let page = self.core.engine.scan(&scan).await?;
                for (key, value) in page.rows {
                    let size = (key.len() + value.len()) as u64;
                    let plain = self.core.unpack(&access.keys, &entity.name, value).await?;
                    let (meta, json) = codec::split_record(&plain)?;
                    let data = serde_json::from_slice(json).map_err(Error::internal)?;
                    let stays = meta.restored_until.is_some_and(|until| until > now);
                    let time = time_of(rule, &meta, &data);
                    if !stays && time.is_some_and(|time| time < end) {
                        *records += 1;
                        *bytes += size;
                    }
                }
                match page.next {
                    Some(next) => scan.after = Some(next),
                    None => break,
                }
                tokio::task::yield_now().await;
            }
        }
        Ok((Found::from(found), true))
    }

    async fn planned(
        &self,
        access: &TenantAccess,
        entity: &Entity,
        rule: &ArchiveRule,
        tenant: &Tenant,
        found: Option<(Found, bool)>,
    ) -> Result<EntityPlan> {
        let rule = self.rule(access, entity, rule, tenant).await?;
        let ready = found.is_some();
        let (mut found, complete) = found.unwrap_or((Found::default(), false));
        if rule.held {
            (found.purge_records, found.purge_bytes) = (0, 0);
        }
        let hot_bytes = self
            .count(access, entity, Tree::Hot, Counted::Bytes)
            .await?;
        Ok(EntityPlan {
            tenant: access.tenant().into(),
            entity: entity.name.to_string(),
            rule,
            ready,
            complete,
            archive_records: found.archive_records,
            archive_bytes: found.archive_bytes,
            hot_bytes,
            hot_bytes_after: hot_bytes.saturating_sub(found.archive_bytes),
            purge_records: found.purge_records,
            purge_bytes: found.purge_bytes,
        })
    }
}

/// What a plan found.
#[derive(Debug, Clone, Copy, Default)]
struct Found {
    archive_records: u64,
    archive_bytes: u64,
    purge_records: u64,
    purge_bytes: u64,
}

impl From<[(u64, u64); 2]> for Found {
    fn from([archive, purge]: [(u64, u64); 2]) -> Self {
        Self {
            archive_records: archive.0,
            archive_bytes: archive.1,
            purge_records: purge.0,
            purge_bytes: purge.1,
        }
    }
}
