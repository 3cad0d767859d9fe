//! What is where and what it weighs, and what the rules would do now.

use serde::Serialize;
use utoipa::ToSchema;

use super::{Archive, terms};
use crate::{
    base::Instant,
    domain::{
        Entity, Tenant,
        archive::{ArchiveRule, Terms},
        duration,
    },
    service::{Caller, Result, Scope, TenantAccess, counts, holds},
    store::{Tree, keys::Counted},
};

/// A plan counts up to so many due records of an entity.
const COUNTED_MAX: u64 = 1_000_000;

/// A rule as it holds for one tenant.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RuleView {
    /// The field that it counts from.
    pub by: String,
    /// How long after that a record is archived, as in `90d`.
    pub after: String,
    /// How long after that it is erased; null where it is kept.
    pub purge_after: Option<String>,
    /// Whether the tenant has durations of its own.
    pub own: bool,
    /// Whether all of it is under a legal hold.
    pub held: bool,
}

/// The hot tier of an entity.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct HotTier {
    /// Records.
    pub records: u64,
    /// Bytes of their keys and stored values.
    pub bytes: u64,
}

/// The archive of an entity.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ArchivedTier {
    /// Records.
    pub records: u64,
    /// Bytes of their keys and stored values.
    pub bytes: u64,
    /// Bytes of their stored values.
    pub value_bytes: u64,
    /// Bytes of their JSON before it was compressed.
    pub json_bytes: u64,
    /// How many times smaller the values are than the JSON; null without records.
    pub ratio: Option<f64>,
    /// What new ones are compressed with, where it is trained on the tenant's records.
    pub dictionary: Option<DictionaryView>,
}

/// A dictionary trained on a tenant's own records.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DictionaryView {
    /// Its id.
    pub id: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// How many records it was trained on.
    pub samples: u64,
    /// When, RFC 3339.
    pub trained_at: String,
}

/// What there is of an entity, in both tiers.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EntityStatus {
    /// The tenant.
    pub tenant: String,
    /// The entity.
    pub entity: String,
    /// Its rule; null where it has none.
    pub rule: Option<RuleView>,
    /// The hot tier.
    pub hot: HotTier,
    /// The archive.
    pub archive: ArchivedTier,
    /// The time of the oldest record that is due and still hot, RFC 3339.
    pub oldest_due: Option<String>,
}

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
    /// Records that would be archived; at most 1,000,000 are counted.
    pub archive_records: u64,
    /// Bytes that they take in the hot tree, by the entity's average.
    pub archive_bytes: u64,
    /// What is hot now, and would be then.
    pub hot_bytes: u64,
    /// Bytes that would stay hot.
    pub hot_bytes_after: u64,
    /// Archived records that would be erased; at most 1,000,000 are counted.
    pub purge_records: u64,
    /// Bytes that they take in the archive, by the entity's average.
    pub purge_bytes: u64,
}

impl Archive {
    /// What there is of each entity of a tenant that has a rule, or something archived.
    pub async fn status(
        &self,
        caller: &Caller,
        access: &TenantAccess,
        tenant: &Tenant,
    ) -> Result<Vec<EntityStatus>> {
        caller.require_scope(access.tenant(), Scope::Read)?;
        let state = self.apps.for_reading().await?;
        let mut all = Vec::new();
        for entity in state.file.entities.values() {
            let hot = HotTier {
                records: self
                    .count(access, entity, Tree::Hot, Counted::Records)
                    .await?,
                bytes: self
                    .count(access, entity, Tree::Hot, Counted::Bytes)
                    .await?,
            };
            let archive = self.archived(access, entity).await?;
            let rule = match &entity.archive {
                Some(rule) => Some(self.rule(access, entity, rule, tenant).await?),
                None if archive.records == 0 => continue,
                None => None,
            };
            let oldest_due = self.oldest_due(access, entity, tenant).await?;
            all.push(EntityStatus {
                tenant: access.tenant().into(),
                entity: entity.name.to_string(),
                rule,
                hot,
                archive,
                oldest_due: oldest_due.map(Instant::to_rfc3339),
            });
        }
        Ok(all)
    }

    async fn count(
        &self,
        access: &TenantAccess,
        entity: &Entity,
        tier: Tree,
        what: Counted,
    ) -> Result<u64> {
        counts::of_entity(&self.core, &access.keys, &entity.name, tier, what).await
    }

    async fn archived(&self, access: &TenantAccess, entity: &Entity) -> Result<ArchivedTier> {
        let count = |what| self.count(access, entity, Tree::Archive, what);
        let (value_bytes, json_bytes) =
            (count(Counted::Packed).await?, count(Counted::Json).await?);
        let now = self.core.dictionary_now(&access.keys, &entity.name).await?;
        Ok(ArchivedTier {
            records: count(Counted::Records).await?,
            bytes: count(Counted::Bytes).await?,
            value_bytes,
            json_bytes,
            ratio: (value_bytes > 0)
                .then(|| (json_bytes as f64 / value_bytes as f64 * 100.0).round() / 100.0),
            dictionary: now.map(|now| DictionaryView {
                id: format!("{:08x}", now.id),
                bytes: now.bytes,
                samples: now.samples,
                trained_at: Instant(now.trained_at).to_rfc3339(),
            }),
        })
    }

    async fn rule(
        &self,
        access: &TenantAccess,
        entity: &Entity,
        rule: &ArchiveRule,
        tenant: &Tenant,
    ) -> Result<RuleView> {
        let terms = terms(entity, rule, Some(tenant));
        Ok(RuleView {
            by: rule.by().path.clone(),
            after: duration::format(terms.after_ms),
            purge_after: terms.purge_after_ms.map(duration::format),
            own: tenant.archive.contains_key(&entity.name),
            held: holds::holds_entity(&self.core, &access.keys, &entity.name).await?,
        })
    }

    /// The time of the oldest record that is due and still hot.
    pub async fn oldest_due(
        &self,
        access: &TenantAccess,
        entity: &Entity,
        tenant: &Tenant,
    ) -> Result<Option<Instant>> {
        let Some(rule) = &entity.archive else {
            return Ok(None);
        };
        let end = archive_end(
            terms(entity, rule, Some(tenant)).after_ms,
            self.core.clock.now(),
        );
        let page = self
            .due(access, entity, Tree::Hot, (false, end), None, 1)
            .await?;
        Ok(page.records.first().map(|(_, at)| *at))
    }

    /// How many records of an entity are due for the archive, up to [`COUNTED_MAX`] of
    /// those that were restored and of the others.
    pub(super) async fn count_due_now(
        &self,
        access: &TenantAccess,
        entity: &Entity,
        terms: Terms,
        now: Instant,
    ) -> Result<u64> {
        let end = archive_end(terms.after_ms, now);
        let mut due = 0;
        for range in [(false, end), (true, now.plus_ms(1))] {
            due += self
                .count_due(access, entity, Tree::Hot, range, COUNTED_MAX)
                .await?;
        }
        Ok(due)
    }

    /// What the rules would do to a tenant's records now.
    pub async fn plan(
        &self,
        caller: &Caller,
        access: &TenantAccess,
        tenant: &Tenant,
    ) -> Result<Vec<EntityPlan>> {
        caller.require_scope(access.tenant(), Scope::Read)?;
        let now = self.core.clock.now();
        let mut plans = Vec::new();
        for entity in self.entities().await? {
            let Some(rule) = &entity.archive else {
                continue;
            };
            let view = self.rule(access, &entity, rule, tenant).await?;
            let ready = self.is_ready(&entity).await?;
            let terms = terms(&entity, rule, Some(tenant));
            let (mut archive_records, mut purge_records) = (0, 0);
            if ready {
                archive_records = self.count_due_now(access, &entity, terms, now).await?;
                if let Some(purge) = terms.purge_after_ms.filter(|_| !view.held) {
                    let due = (false, archive_end(purge, now));
                    purge_records = self
                        .count_due(access, &entity, Tree::Archive, due, COUNTED_MAX)
                        .await?;
                }
            }
            let part = async |tier, records: u64| -> Result<(u64, u64)> {
                let bytes = self.count(access, &entity, tier, Counted::Bytes).await?;
                let all = self.count(access, &entity, tier, Counted::Records).await?;
                let average = bytes as f64 / all.max(1) as f64;
                Ok((bytes, (average * records as f64).round() as u64))
            };
            let (hot_bytes, archive_bytes) = part(Tree::Hot, archive_records).await?;
            let (_, purge_bytes) = part(Tree::Archive, purge_records).await?;
            plans.push(EntityPlan {
                tenant: access.tenant().into(),
                entity: entity.name.to_string(),
                rule: view,
                ready,
                archive_records,
                archive_bytes,
                hot_bytes,
                hot_bytes_after: hot_bytes.saturating_sub(archive_bytes),
                purge_records,
                purge_bytes,
            });
        }
        Ok(plans)
    }
}

/// Records with a time before this are behind a duration by `now`.
pub fn archive_end(ms: i64, now: Instant) -> Instant {
    Instant(now.0.saturating_sub(ms).saturating_add(1))
}
