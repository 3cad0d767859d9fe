//! What is where and what it weighs.

use serde::Serialize;
use utoipa::ToSchema;

use super::{Archive, plan::COUNTED_MAX, terms};
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

    pub(super) async fn count(
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

    pub(super) async fn rule(
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
}

/// Records with a time before this are behind a duration by `now`.
pub fn archive_end(ms: i64, now: Instant) -> Instant {
    Instant(now.0.saturating_sub(ms).saturating_add(1))
}
