//! Applying an app file: show what changes, refuse what would lose data, then
//! move the head in one commit.
//!
//! Indexes start as `Building`, and only after that commit, when every further
//! write maintains them, are those of empty entities called `Ready`. In the
//! same way an entity is dropped first and its records are counted again
//! behind the fence; a record that slipped in takes the drop back.

use serde::Serialize;
use utoipa::ToSchema;

use super::{AppHead, AppState, AppVersion, Apps, IndexEntry, IndexState};
use crate::{
    domain::{
        AppDiff, AppFile, EntityName,
        app_file::{diff, is_built_in},
    },
    service::{Caller, Code, Error, Result, counts, holds, runs::reschedule_all, tenants},
    store::{
        Batch, Condition, StoreError, Tree, codec,
        keys::{self, TenantKeys},
    },
};

/// Applied versions that are kept; older ones are forgotten.
pub const VERSIONS_MAX: u64 = 100;
/// How often a change that lost against another is planned again.
const ATTEMPTS_MAX: usize = 16;

/// How to apply.
#[derive(Debug, Clone, Copy, Default)]
pub struct ApplyOptions {
    /// Only tell what would change.
    pub dry_run: bool,
    /// Drop entities although they have records.
    pub drop_data: bool,
}

/// What applying did, or would do.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Applied {
    /// The version now applied.
    pub version: u64,
    /// Whether anything was changed in the store.
    pub applied: bool,
    /// What differs from the version before.
    pub changes: AppDiff,
    /// Entities that are dropped, with the records that go with them.
    pub dropped: Vec<DroppedEntity>,
}

/// An entity that a new app file leaves out.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DroppedEntity {
    /// The entity.
    pub entity: String,
    /// Its records in all tenants and tiers.
    pub records: u64,
}

impl Apps {
    /// Applies `file`, or tells what that would change.
    pub async fn apply(
        &self,
        caller: &Caller,
        file: AppFile,
        options: ApplyOptions,
    ) -> Result<Applied> {
        caller.require_operator()?;
        let _one_at_a_time = self.applying.lock().await;
        let file = std::sync::Arc::new(file);
        for _ in 0..ATTEMPTS_MAX {
            let before = self.refresh().await?;
            let changes = diff(&before.file, &file);
            let dropped = self.dropped(&before.file, &file).await?;
            let retried = before.head.indexes.iter().any(|e| failed(&e.state));
            let version = before.head.version;
            if (changes.is_empty() && !retried && version > 0) || options.dry_run {
                return Ok(Applied {
                    version,
                    applied: false,
                    changes,
                    dropped,
                });
            }
            if !options.drop_data {
                refuse_data_loss(&dropped)?;
            }
            let holds_set = self.refuse_held(&dropped).await?;
            refuse_purging(&before.head, &file)?;
            let mut head = next_head(&before.head, &file, !changes.is_empty() || version == 0);
            head.purging
                .extend(dropped.iter().map(|d| d.entity.clone()));
            match self
                .commit_head(&before, &head, Some((&file, caller)), holds_set)
                .await
            {
                Err(StoreError::Conflict { .. }) => continue,
                other => other?,
            }
            self.refresh().await?;
            if !options.drop_data {
                self.take_back_if_written(&before, &file).await?;
            }
            self.ready_where_empty().await?;
            self.work.notify_one();
            return Ok(Applied {
                version: head.version,
                applied: true,
                changes,
                dropped,
            });
        }
        Err(busy(
            "The app was changed by others again and again; try again.",
        ))
    }

    /// An older release applied the file, before some built-in entity had its indexes.
    pub(super) async fn add_built_in(&self) -> Result<()> {
        for _ in 0..ATTEMPTS_MAX {
            let state = self.current();
            if state.head.version == 0 {
                return Ok(());
            }
            let built_in = state
                .file
                .entities
                .values()
                .filter(|e| is_built_in(&e.name));
            let missing = built_in
                .flat_map(|entity| entity.all_indexes().map(move |index| (entity, index)))
                .any(|(e, i)| state.head.entry(e.name.as_str(), i.name.as_str()).is_none());
            if !missing {
                return Ok(());
            }
            let head = next_head(&state.head, &state.file, false);
            match self.commit_head(&state, &head, None, None).await {
                Err(StoreError::Conflict { .. }) => {}
                other => other?,
            }
            self.refresh().await?;
            self.ready_where_empty().await?;
        }
        Ok(())
    }

    /// The entities of `before` that `after` leaves out, with their records.
    async fn dropped(&self, before: &AppFile, after: &AppFile) -> Result<Vec<DroppedEntity>> {
        let mut dropped = Vec::new();
        for name in before
            .entities
            .keys()
            .filter(|name| !after.entities.contains_key(*name))
        {
            let records = counts::records_of_entity(&self.core, name).await?;
            dropped.push(DroppedEntity {
                entity: name.to_string(),
                records,
            });
        }
        Ok(dropped)
    }

    /// What a legal hold covers is not dropped. Answers what the commit of the drop is to
    /// find: that no hold was set since.
    async fn refuse_held(&self, dropped: &[DroppedEntity]) -> Result<Option<Condition>> {
        if dropped.is_empty() {
            return Ok(None);
        }
        let set = keys::HOLDS_SET.into();
        let set = self.core.engine.get(Tree::Hot, &set).await?;
        for dropped in dropped.iter().filter(|dropped| dropped.records > 0) {
            let entity = EntityName::parse(&dropped.entity).map_err(Error::internal)?;
            for slug in tenants::all_slugs(&self.core).await? {
                let keys = TenantKeys::new(&slug);
                if holds::holds_any_of(&self.core, &keys, &entity).await? {
                    let what = format!("The entity {entity} of the tenant {slug}");
                    return Err(holds::held(&what));
                }
            }
        }
        Ok(Some(set.map_or(Condition::Absent, Condition::Value)))
    }

    /// Writes a new head over the one of `before`, with the version it brings; expects of
    /// the number of holds that were set what `holds_set` says.
    pub(super) async fn commit_head(
        &self,
        before: &AppState,
        head: &AppHead,
        version: Option<(&AppFile, &Caller)>,
        holds_set: Option<Condition>,
    ) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        before.expect_unchanged(&mut batch);
        if let Some(as_read) = holds_set {
            batch.expect(Tree::Hot, keys::HOLDS_SET, as_read);
        }
        batch.put(Tree::Hot, keys::APP_HEAD, codec::encode(head)?);
        if let Some((file, caller)) = version.filter(|_| head.version != before.head.version) {
            let row = AppVersion {
                version: head.version,
                source: file.source.clone(),
                applied_at: self.core.clock.now().0,
                applied_by: caller.credential(),
            };
            let key = keys::app_version(head.version);
            batch.expect(Tree::Hot, key.clone(), Condition::Absent);
            batch.put(Tree::Hot, key, codec::encode(&row)?);
            reschedule_all(&mut batch)?;
            if let Some(old) = head.version.checked_sub(VERSIONS_MAX) {
                batch.delete(Tree::Hot, keys::app_version(old));
            }
        }
        self.core.engine.commit(batch).await
    }

    /// Records of a dropped entity that were written between the count and the
    /// commit: the version before is put back, and the drop refused.
    async fn take_back_if_written(&self, before: &AppState, file: &AppFile) -> Result<()> {
        let dropped = self.dropped(&before.file, file).await?;
        let Err(refusal) = refuse_data_loss(&dropped) else {
            return Ok(());
        };
        let now = self.current();
        let head = AppHead {
            epoch: now.head.epoch + 1,
            ..before.head.clone()
        };
        self.commit_head(&now, &head, None, None).await?;
        self.refresh().await?;
        Err(refusal)
    }

    /// Indexes that are to be built over no records are ready at once.
    async fn ready_where_empty(&self) -> Result<()> {
        for _ in 0..ATTEMPTS_MAX {
            let state = self.current();
            let mut head = state.head.clone();
            for entry in head
                .indexes
                .iter_mut()
                .filter(|e| e.state == IndexState::Building)
            {
                let Ok(entity) = EntityName::parse(&entry.entity) else {
                    continue;
                };
                if counts::records_of_entity(&self.core, &entity).await? == 0 {
                    entry.state = IndexState::Ready;
                }
            }
            if head == state.head {
                return Ok(());
            }
            head.epoch += 1;
            match self.commit_head(&state, &head, None, None).await {
                Err(StoreError::Conflict { .. }) => {}
                other => other?,
            }
            self.refresh().await?;
        }
        Ok(())
    }
}

fn busy(detail: &str) -> Error {
    Error::new(Code::AppBusy, detail).retry_after(1)
}

fn failed(state: &IndexState) -> bool {
    matches!(state, IndexState::Failed(_))
}

fn refuse_data_loss(dropped: &[DroppedEntity]) -> Result<()> {
    let lost: Vec<_> = dropped.iter().filter(|d| d.records > 0).collect();
    if lost.is_empty() {
        return Ok(());
    }
    let list: Vec<_> = lost
        .iter()
        .map(|d| format!("{} ({} records)", d.entity, d.records))
        .collect();
    Err(Error::new(
        Code::WouldDropData,
        format!(
            "The new app file leaves out entities that have records: {}. Keep them in the file, or apply it with --drop-data (drop_data=true) to erase those records.",
            list.join(", ")
        ),
    )
    .with("dropped", dropped))
}

fn refuse_purging(head: &AppHead, file: &AppFile) -> Result<()> {
    match head
        .purging
        .iter()
        .find(|name| file.entities.keys().any(|e| e.as_str() == *name))
    {
        Some(name) => Err(busy(&format!(
            "The entity {name} was dropped and its rows are still being removed; declare it again when GET /v1/app no longer lists it under `purging`."
        ))),
        None => Ok(()),
    }
}

/// The head after applying `file`: which indexes stay, which are built, cleared
/// or dropped, which entities are purged.
fn next_head(before: &AppHead, file: &AppFile, new_version: bool) -> AppHead {
    let mut head = AppHead {
        epoch: before.epoch + 1,
        version: before.version + u64::from(new_version),
        indexes: Vec::new(),
        purging: before.purging.clone(),
    };
    for (name, entity) in &file.entities {
        for index in entity.all_indexes() {
            let fingerprint = index.fingerprint();
            let state = match before.entry(name.as_str(), index.name.as_str()) {
                None => IndexState::Building,
                Some(old) if old.fingerprint == fingerprint && !failed(&old.state) => {
                    old.state.clone()
                }
                Some(_) => IndexState::Clearing,
            };
            head.indexes.push(IndexEntry {
                entity: name.to_string(),
                index: index.name.to_string(),
                fingerprint,
                state,
            });
        }
    }
    for old in &before.indexes {
        let entity = file.entities.keys().any(|e| e.as_str() == old.entity);
        if entity && head.entry(&old.entity, &old.index).is_none() {
            head.indexes.push(IndexEntry {
                state: IndexState::Clearing,
                ..old.clone()
            });
        }
    }
    head
}
