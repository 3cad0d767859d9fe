//! The tiers as a whole, for the metrics: gathered now and then, never by who asks.

use std::{
    sync::PoisonError,
    time::{Duration, Instant as Moment},
};

use super::{Archive, terms};
use crate::{
    base::Instant,
    domain::Tenant,
    service::{Result, TenantAccess, counts, tenants},
    store::{
        Tree, codec,
        keys::{Counted, TenantKeys},
    },
};

/// Totals are gathered again after this, and after so many times what it took.
const AGAIN: Duration = Duration::from_secs(5);
const AGAIN_TIMES: u32 = 50;

/// What there is of all tenants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Of each tier in the order of [`Tree::ALL`]: records, and bytes of their keys and
    /// stored values.
    pub tiers: [(u64, u64); 2],
    /// Bytes of archived records' JSON before it was compressed.
    pub archived_json_bytes: u64,
    /// Bytes of it as it is stored.
    pub archived_packed_bytes: u64,
    /// Since when the record is due that is due for longest, and still hot.
    pub oldest_due: Option<Instant>,
}

/// The totals, and when they are to be gathered next.
#[derive(Default)]
pub(super) struct Gathered {
    totals: Totals,
    next: Option<Moment>,
}

impl Archive {
    /// The totals as they were gathered last.
    pub fn totals(&self) -> Totals {
        let gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        gathered.totals.clone()
    }

    /// Gathers the totals where it is time.
    pub async fn gather_if_due(&self) -> Result<()> {
        let next = {
            let gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
            gathered.next
        };
        let began = Moment::now();
        if next.is_some_and(|next| began < next) {
            return Ok(());
        }
        let totals = self.gather().await?;
        let rest = AGAIN.max(began.elapsed() * AGAIN_TIMES);
        *self.gathered.lock().unwrap_or_else(PoisonError::into_inner) = Gathered {
            totals,
            next: Some(Moment::now() + rest),
        };
        Ok(())
    }

    async fn gather(&self) -> Result<Totals> {
        let state = self.apps.for_reading().await?;
        let mut totals = Totals::default();
        let mut after: Option<String> = None;
        while let Some(slug) = tenants::next_slug(&self.core, after.as_deref()).await? {
            let access = TenantAccess {
                keys: TenantKeys::new(&slug),
                caller: crate::service::Caller::Local,
            };
            let key = access.keys.tenant_row();
            let Some(row) = self.core.engine.get(Tree::Hot, &key).await? else {
                after = Some(slug.to_string());
                continue;
            };
            let tenant: Tenant = codec::decode(&row)?;
            for entity in state.file.entities.values() {
                let count = |tier, what| {
                    counts::of_entity(&self.core, &access.keys, &entity.name, tier, what)
                };
                for (tier, total) in Tree::ALL.into_iter().zip(&mut totals.tiers) {
                    let records = count(tier, Counted::Records).await?;
                    if records > 0 {
                        total.0 += records;
                        total.1 += count(tier, Counted::Bytes).await?;
                    }
                }
                totals.archived_json_bytes += count(Tree::Archive, Counted::Json).await?;
                totals.archived_packed_bytes += count(Tree::Archive, Counted::Packed).await?;
                if let Some(rule) = &entity.archive
                    && self.is_ready(entity).await?
                {
                    let after_ms = terms(entity, rule, Some(&tenant)).after_ms;
                    let due = self.oldest_due(&access, entity, &tenant).await?;
                    let due = due.map(|at| at.plus_ms(after_ms));
                    totals.oldest_due = [totals.oldest_due, due].into_iter().flatten().min();
                }
            }
            after = Some(slug.to_string());
            tokio::task::yield_now().await;
        }
        Ok(totals)
    }

    /// How long the oldest due record has been due, in seconds; 0 where none is.
    pub fn oldest_due_s(&self) -> f64 {
        let now = self.core.clock.now();
        let due = self.totals().oldest_due;
        due.map_or(0.0, |due| (now.0 - due.0).max(0) as f64 / 1_000.0)
    }
}
