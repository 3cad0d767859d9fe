//! Counters read back, never recounted: they change in the commit of each write.

use super::{Core, Result, tenants};
use crate::{
    domain::EntityName,
    store::{
        Key, Tree, codec,
        keys::{Counted, TenantKeys},
    },
};

/// The value of one counter; never below 0.
pub async fn value(core: &Core, key: &Key) -> Result<u64> {
    let stored = core.engine.get(Tree::Hot, key).await?;
    Ok(u64::try_from(codec::decode_counter(stored.as_ref())?).unwrap_or(0))
}

/// What one tenant has of an entity in one tier.
pub async fn of_entity(
    core: &Core,
    keys: &TenantKeys,
    entity: &EntityName,
    tier: Tree,
    what: Counted,
) -> Result<u64> {
    value(core, &keys.count(entity, tier, what)).await
}

/// The records of an entity in all tenants and tiers: one counter read for each.
pub async fn records_of_entity(core: &Core, entity: &EntityName) -> Result<u64> {
    let mut sum = 0;
    let mut after = None;
    while let Some(slug) = tenants::next_slug(core, after.as_deref()).await? {
        let keys = TenantKeys::new(&slug);
        for tier in Tree::ALL {
            sum += of_entity(core, &keys, entity, tier, Counted::Records).await?;
        }
        after = Some(slug.to_string());
    }
    Ok(sum)
}
