//! What a tenant's entities and indexes weigh.

use serde::Serialize;
use utoipa::ToSchema;

use super::{Core, Result, TenantAccess, apps::Apps, counts};
use crate::{
    domain::{Entity, Index},
    store::{Scan, Tree, keys::Counted},
};

/// Rows of an index that are looked at.
const SAMPLE_ROWS: usize = 1_000;
/// Bytes written for one unit.
const WRITE_UNIT_BYTES: f64 = 1_024.0;

/// What a tenant has of an entity.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EntitySize {
    /// The entity.
    pub entity: String,
    /// The hot tier.
    pub hot: TierSize,
    /// The archive.
    pub archive: TierSize,
}

/// What is in one tier.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TierSize {
    /// Records.
    pub records: u64,
    /// Bytes of their keys and stored values.
    pub bytes: u64,
}

/// What an index costs a tenant, estimated from its first rows.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct IndexSize {
    /// The entity.
    pub entity: String,
    /// The index.
    pub index: String,
    /// Rows of both tiers: as many as were looked at, or as there are records.
    pub rows_estimated: u64,
    /// Bytes of their keys and values.
    pub bytes_estimated: u64,
    /// Bytes of one row.
    pub bytes_per_row: f64,
    /// How many rows were looked at, at most 1,000 of each tier.
    pub sampled: u64,
    /// Write units (1 KiB each) that the rows of one new record add.
    pub write_units_per_record: f64,
}

/// What a tenant has of each entity; from counters.
pub async fn of_entities(
    core: &Core,
    apps: &Apps,
    access: &TenantAccess,
) -> Result<Vec<EntitySize>> {
    let state = apps.for_reading().await?;
    let mut all = Vec::new();
    for entity in state.file.entities.values() {
        all.push(EntitySize {
            entity: entity.name.to_string(),
            hot: tier(core, access, entity, Tree::Hot).await?,
            archive: tier(core, access, entity, Tree::Archive).await?,
        });
    }
    Ok(all)
}

/// What each index costs; reads at most 1,000 rows of each tier.
pub async fn of_indexes(core: &Core, apps: &Apps, access: &TenantAccess) -> Result<Vec<IndexSize>> {
    let state = apps.for_reading().await?;
    let mut all = Vec::new();
    for entity in state.file.entities.values() {
        for index in entity.all_indexes() {
            all.push(of_index(core, access, entity, index).await?);
        }
    }
    Ok(all)
}

async fn tier(core: &Core, access: &TenantAccess, entity: &Entity, tree: Tree) -> Result<TierSize> {
    let count = |what| counts::of_entity(core, &access.keys, &entity.name, tree, what);
    Ok(TierSize {
        records: count(Counted::Records).await?,
        bytes: count(Counted::Bytes).await?,
    })
}

async fn of_index(
    core: &Core,
    access: &TenantAccess,
    entity: &Entity,
    index: &Index,
) -> Result<IndexSize> {
    let (mut sampled, mut bytes, mut rows, mut records) = (0, 0, 0, 0);
    for tree in Tree::ALL {
        let mut scan = Scan::prefix(tree, access.keys.index(&entity.name, &index.name));
        scan.limit = SAMPLE_ROWS;
        scan.bytes_max = usize::MAX;
        let page = core.engine.scan(&scan).await?.rows;
        let in_tree = counts::of_entity(core, &access.keys, &entity.name, tree, Counted::Records);
        let in_tree = in_tree.await?;
        let looked_at = page.len() as u64;
        sampled += looked_at;
        records += in_tree;
        bytes += page
            .iter()
            .map(|(key, value)| (key.len() + value.len()) as u64)
            .sum::<u64>();
        rows += match page.len() < SAMPLE_ROWS {
            true => looked_at,
            false => looked_at.max(in_tree),
        };
    }
    let bytes_per_row = if sampled == 0 {
        0.0
    } else {
        bytes as f64 / sampled as f64
    };
    let rows_per_record = if records == 0 {
        0.0
    } else {
        rows as f64 / records as f64
    };
    let round = |value: f64| (value * 1_000.0).round() / 1_000.0;
    Ok(IndexSize {
        entity: entity.name.to_string(),
        index: index.name.to_string(),
        rows_estimated: rows,
        bytes_estimated: (bytes_per_row * rows as f64) as u64,
        bytes_per_row: round(bytes_per_row),
        sampled,
        write_units_per_record: round(bytes_per_row * rows_per_record / WRITE_UNIT_BYTES),
    })
}
