//! What changes when one app file replaces another.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::AppFile;
use crate::domain::entity::{Entity, Index};
use crate::domain::names::{EntityName, IndexName, JobName};

/// The difference between two app files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AppDiff {
    /// Entities that are new.
    pub added: Vec<EntityName>,
    /// Entities that are gone.
    pub dropped: Vec<EntityName>,
    /// Entities that stay and change.
    pub changed: Vec<EntityDiff>,
    /// Jobs that are new.
    pub jobs_added: Vec<JobName>,
    /// Jobs that are gone.
    pub jobs_dropped: Vec<JobName>,
    /// Jobs that stay and change.
    pub jobs_changed: Vec<JobName>,
}

/// What changes in an entity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EntityDiff {
    /// The entity.
    pub entity: EntityName,
    /// Whether its title is another field.
    pub title_changed: bool,
    /// Whether its schema is another one. Stored records are not touched.
    pub schema_changed: bool,
    /// Whether its limits are others.
    pub limits_changed: bool,
    /// Whether its archive rule is another one.
    pub archive_changed: bool,
    /// Indexes that are new.
    pub indexes_added: Vec<IndexName>,
    /// Indexes that are gone.
    pub indexes_dropped: Vec<IndexName>,
    /// Indexes whose rows change: they are built anew.
    pub indexes_changed: Vec<IndexName>,
}

impl AppDiff {
    /// Whether nothing changes but, perhaps, comments and layout.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl EntityDiff {
    fn is_empty(&self) -> bool {
        !self.title_changed
            && !self.schema_changed
            && !self.limits_changed
            && !self.archive_changed
            && self.indexes_added.is_empty()
            && self.indexes_dropped.is_empty()
            && self.indexes_changed.is_empty()
    }
}

/// What changes from `old` to `new`.
pub fn diff(old: &AppFile, new: &AppFile) -> AppDiff {
    let missing = |from: &AppFile, of: &AppFile| -> Vec<EntityName> {
        let names = of.entities.keys();
        names
            .filter(|name| !from.entities.contains_key(*name))
            .cloned()
            .collect()
    };
    let both = |(name, entity): (&EntityName, &Arc<Entity>)| {
        let change = entity_diff(old.entities.get(name)?, entity);
        (!change.is_empty()).then_some(change)
    };
    let jobs_missing = |from: &AppFile, of: &AppFile| -> Vec<JobName> {
        let names = of.jobs.keys();
        names
            .filter(|name| !from.jobs.contains_key(*name))
            .cloned()
            .collect()
    };
    let jobs_changed = new.jobs.iter().filter(|(name, job)| {
        let before = old.jobs.get(*name);
        before.is_some_and(|before| before != *job)
    });
    AppDiff {
        added: missing(old, new),
        dropped: missing(new, old),
        changed: new.entities.iter().filter_map(both).collect(),
        jobs_added: jobs_missing(old, new),
        jobs_dropped: jobs_missing(new, old),
        jobs_changed: jobs_changed.map(|(name, _)| name.clone()).collect(),
    }
}

fn entity_diff(old: &Entity, new: &Entity) -> EntityDiff {
    let names = |indexes: Vec<&Index>| indexes.into_iter().map(|i| i.name.clone()).collect();
    let other = |entity: &Entity, index: &Index| entity.index(index.name.as_str()).cloned();
    EntityDiff {
        entity: new.name.clone(),
        title_changed: old.title != new.title,
        schema_changed: old.schema != new.schema,
        limits_changed: (old.max_record_bytes, old.max_array_items)
            != (new.max_record_bytes, new.max_array_items),
        archive_changed: old.archive != new.archive,
        indexes_added: names(
            new.indexes
                .iter()
                .filter(|i| other(old, i).is_none())
                .collect(),
        ),
        indexes_dropped: names(
            old.indexes
                .iter()
                .filter(|i| other(new, i).is_none())
                .collect(),
        ),
        indexes_changed: names(
            new.indexes
                .iter()
                .filter(|i| other(old, i).is_some_and(|o| o.fingerprint() != i.fingerprint()))
                .collect(),
        ),
    }
}
