//! What the app file declares, entity by entity and job by job, as the console shows it.

use serde::Serialize;
use serde_json::Value as Json;
use utoipa::ToSchema;

use super::{AppState, view::IndexView, view::ProgressView};
use crate::domain::{
    AppFile, Entity, Index,
    app_file::is_built_in,
    archive::{ArchiveRule, OnWrite},
    duration,
    job::Job,
};

/// An entity as it is in force.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EntityView {
    /// Its name.
    pub name: String,
    /// The field that stands for a record in a list.
    #[schema(required = true)]
    pub title: Option<String>,
    /// The JSON Schema (2020-12) of its records.
    #[schema(value_type = Object)]
    pub schema: Json,
    /// Its indexes, the archive rule's too.
    pub indexes: Vec<IndexDeclared>,
    /// The sizes of its records.
    pub limits: EntityLimits,
    /// When its records leave the hot tier; null where they never do.
    #[schema(required = true)]
    pub archive: Option<ArchiveDeclared>,
    /// Whether it is Tenantry's own.
    pub built_in: bool,
}

/// The sizes of an entity's records.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EntityLimits {
    /// The largest record, in bytes of its JSON.
    pub max_record_bytes: usize,
    /// The longest array in one.
    pub max_array_items: usize,
}

/// An index as it is declared, and where it stands.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct IndexDeclared {
    /// Its name.
    pub name: String,
    /// Its fields, first to last.
    pub fields: Vec<String>,
    /// Whether a second record with the same values is refused.
    pub unique: bool,
    /// Whether there is a counter for each value of all fields but the last.
    pub count: bool,
    /// Whether it is the archive rule's, which lists never use.
    pub internal: bool,
    /// `ready`, `building`, `dropping` or `failed`. Lists use it only when ready.
    pub state: String,
    /// Why building failed.
    #[schema(required = true)]
    pub reason: Option<String>,
    /// How far building has come.
    #[schema(required = true)]
    pub progress: Option<ProgressView>,
}

/// An archive rule as it is declared; tenants may have durations of their own.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ArchiveDeclared {
    /// Fields and the values that they have to have.
    #[schema(value_type = Object)]
    pub when: Json,
    /// The field that it counts from.
    pub by: String,
    /// How long after that a record is archived, as in `90d`.
    pub after: String,
    /// How long after that it is erased; null where it is kept.
    #[schema(required = true)]
    pub purge_after: Option<String>,
    /// How long a restored record stays hot.
    pub restored_for: String,
    /// What a write to an archived record does: `refuse` or `restore`.
    pub on_write: String,
    /// Entities whose records go along.
    pub with: Vec<String>,
}

/// A job as it is declared.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct JobDeclared {
    /// Its name.
    pub name: String,
    /// What it does.
    pub kind: String,
    /// When; null where it runs only by hand.
    #[schema(required = true)]
    pub schedule: Option<String>,
    /// Its table in the app file; null where it came along with an archive rule.
    #[schema(required = true, value_type = Option<Object>)]
    pub definition: Option<Json>,
}

/// The entities, those of the app file first.
pub(super) fn entities(state: &AppState, indexes: &[IndexView]) -> Vec<EntityView> {
    let source = tables(&state.file);
    let mut all: Vec<_> = state.file.entities.values().collect();
    all.sort_by_key(|entity| (is_built_in(&entity.name), entity.name.clone()));
    let view = |entity: &std::sync::Arc<Entity>| EntityView {
        name: entity.name.to_string(),
        title: entity.title.clone(),
        schema: entity.schema.clone(),
        indexes: entity
            .all_indexes()
            .map(|index| index_view(entity, index, indexes))
            .collect(),
        limits: EntityLimits {
            max_record_bytes: entity.max_record_bytes,
            max_array_items: entity.max_array_items,
        },
        archive: entity.archive.as_ref().map(|rule| {
            let when = &source["entity"][entity.name.as_str()]["archive"]["when"];
            archive_view(rule, when.clone())
        }),
        built_in: is_built_in(&entity.name),
    };
    all.into_iter().map(view).collect()
}

/// The jobs.
pub(super) fn jobs(state: &AppState) -> Vec<JobDeclared> {
    let source = tables(&state.file);
    let view = |job: &std::sync::Arc<Job>| JobDeclared {
        name: job.name.to_string(),
        kind: job.kind.name().to_owned(),
        schedule: job.schedule.as_ref().map(ToString::to_string),
        definition: source["job"].get(job.name.as_str()).cloned(),
    };
    state.file.jobs.values().map(view).collect()
}

/// The app file's tables; it was read before, so it is TOML.
fn tables(file: &AppFile) -> Json {
    let table = file.source.parse::<toml::Table>().unwrap_or_default();
    serde_json::to_value(table).unwrap_or_default()
}

fn index_view(entity: &Entity, index: &Index, indexes: &[IndexView]) -> IndexDeclared {
    let (entity, name) = (entity.name.as_str(), index.name.as_str());
    let mut found = indexes.iter();
    let found = found.find(|one| one.entity == entity && one.name == name);
    IndexDeclared {
        name: name.to_owned(),
        fields: index
            .fields
            .iter()
            .map(|field| field.path.clone())
            .collect(),
        unique: index.unique,
        count: index.count,
        internal: index.when.is_some(),
        state: found
            .map_or("building", |one| one.state.as_str())
            .to_owned(),
        reason: found.and_then(|one| one.reason.clone()),
        progress: found.and_then(|one| one.progress.clone()),
    }
}

fn archive_view(rule: &ArchiveRule, when: Json) -> ArchiveDeclared {
    ArchiveDeclared {
        when: match when {
            Json::Object(_) => when,
            _ => serde_json::json!({}),
        },
        by: rule.by().path.clone(),
        after: duration::format(rule.after_ms),
        purge_after: rule.purge_after_ms.map(duration::format),
        restored_for: duration::format(rule.restored_ms),
        on_write: match rule.on_write {
            OnWrite::Refuse => "refuse",
            OnWrite::Restore => "restore",
        }
        .to_owned(),
        with: rule
            .with
            .iter()
            .map(|child| child.entity.to_string())
            .collect(),
    }
}
