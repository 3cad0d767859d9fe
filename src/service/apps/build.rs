//! The work that follows an applied app file: removing the rows of dropped
//! entities and indexes, and building the rows of new indexes from the records.
//!
//! Everything is done in small commits that carry their own progress, so a
//! restart goes on where the last commit ended. A batch expects the records it
//! read and the absence of the rows it adds; a request that wrote in between
//! wins, and the batch is planned again.

use std::collections::BTreeMap;

use super::{AppState, Apps, BuildProgress, IndexEntry, IndexState};
use crate::{
    domain::{Entity, EntityName, Index, IndexName, TenantSlug, record::parse_strict},
    service::{Error, Result, counts, records::rows, tenants},
    store::{
        Batch, Condition, Key, Scan, StoreError, Tree, Value, codec,
        keys::{self, TenantKeys},
    },
};

/// Records read, or rows removed, in one commit.
const BATCH_ROWS: usize = 128;

impl Apps {
    /// Does one bounded piece of the waiting work; false where none waits.
    pub async fn work_step(&self) -> Result<bool> {
        let state = self.refresh().await?;
        if let Some(entity) = state.head.purging.first() {
            self.purge(&state, entity).await?;
            return Ok(true);
        }
        let waiting =
            |e: &&IndexEntry| matches!(e.state, IndexState::Clearing | IndexState::Building);
        match state.head.indexes.iter().find(waiting) {
            Some(entry) if entry.state == IndexState::Clearing => {
                self.clear(&state, entry).await?;
            }
            Some(entry) => self.build_batch(&state, entry).await?,
            None => return Ok(false),
        }
        Ok(true)
    }

    /// Removes everything of a dropped entity. Nobody writes there any more.
    async fn purge(&self, state: &AppState, name: &str) -> Result<()> {
        let entity = entity_name(name)?;
        let mut tenants = tenants::all_slugs(&self.core).await?;
        while let Some(slug) = tenants.pop() {
            let keys = TenantKeys::new(&slug);
            let mut prefixes = vec![keys.records(&entity), keys.all_indexes(&entity)];
            prefixes.extend(keys.counters(&entity));
            prefixes.push(keys.dictionaries(&entity));
            self.remove_prefixes(&prefixes).await?;
            let mut batch = Batch::default();
            batch.delete(Tree::Hot, keys.dictionary_now(&entity));
            self.core.engine.commit(batch).await?;
        }
        self.change_head(state, None, |head| head.purging.retain(|e| e != name))
            .await
    }

    /// Removes an index's rows and counters; then it is built or forgotten.
    async fn clear(&self, state: &AppState, entry: &IndexEntry) -> Result<()> {
        let (entity, index) = (entity_name(&entry.entity)?, index_name(&entry.index)?);
        for slug in tenants::all_slugs(&self.core).await? {
            let keys = TenantKeys::new(&slug);
            self.remove_prefixes(&[
                keys.index(&entity, &index),
                keys.index_counters(&entity, &index),
            ])
            .await?;
        }
        let declared = declared(state, entry).is_some();
        self.change_head(state, Some(entry), |head| {
            if declared {
                if let Some(entry) = head.entry_mut(&entry.entity, &entry.index) {
                    entry.state = IndexState::Building;
                }
            } else {
                head.indexes
                    .retain(|e| e.entity != entry.entity || e.index != entry.index);
            }
        })
        .await
    }

    /// Removes all rows under each prefix, in both trees, in bounded commits.
    async fn remove_prefixes(&self, prefixes: &[Key]) -> Result<()> {
        for tree in Tree::ALL {
            for prefix in prefixes {
                loop {
                    let mut scan = Scan::prefix(tree, prefix.clone());
                    scan.values = false;
                    let page = self.core.engine.scan(&scan).await?;
                    if page.rows.is_empty() {
                        break;
                    }
                    let mut batch = Batch::default();
                    for (key, _) in page.rows {
                        batch.delete(tree, key);
                    }
                    self.core.engine.commit(batch).await?;
                }
            }
        }
        Ok(())
    }

    /// Changes the head unless somebody else did meanwhile; then the next step
    /// sees what they wrote. How far the work on an index that is `done` has come is
    /// forgotten in the same commit: it would be taken for that of the next one.
    async fn change_head(
        &self,
        state: &AppState,
        done: Option<&IndexEntry>,
        change: impl FnOnce(&mut super::AppHead),
    ) -> Result<()> {
        let mut head = state.head.clone();
        head.epoch += 1;
        change(&mut head);
        let mut batch = Batch::default();
        state.expect_unchanged(&mut batch);
        batch.put(Tree::Hot, keys::APP_HEAD, codec::encode(&head)?);
        if let Some(entry) = done {
            batch.delete(Tree::Hot, work_key(entry));
        }
        match self.core.engine.commit(batch).await {
            Ok(()) | Err(StoreError::Conflict { .. }) => {}
            Err(other) => return Err(other.into()),
        }
        self.refresh().await?;
        Ok(())
    }

    /// Adds the rows of the next records that lack them.
    async fn build_batch(&self, state: &AppState, entry: &IndexEntry) -> Result<()> {
        let Some((entity, index)) = declared(state, entry) else {
            return Err(Error::internal(format!(
                "{}@{} is not declared",
                entry.entity, entry.index
            )));
        };
        let mut rows = BATCH_ROWS;
        loop {
            let progress = self.progress(entry).await?;
            match self.build_rows(state, entity, index, progress, rows).await {
                Ok(Built::More) => return Ok(()),
                Ok(Built::All) => return self.finish(state, entry, IndexState::Ready).await,
                Ok(Built::Refused(reason)) => {
                    tracing::warn!(entity = %entity.name, index = %index.name, reason, "index cannot be built");
                    return self.finish(state, entry, IndexState::Failed(reason)).await;
                }
                Err(BuildError::Store(StoreError::Conflict { .. })) => {
                    let head = self
                        .core
                        .engine
                        .get(Tree::Hot, &keys::APP_HEAD.into())
                        .await?;
                    if head != state.head_bytes {
                        return Ok(());
                    }
                    rows = (rows / 4).max(1);
                    tokio::task::yield_now().await;
                }
                Err(BuildError::Store(error)) => return Err(error.into()),
                Err(BuildError::Service(error)) => return Err(error),
            }
        }
    }

    async fn finish(&self, state: &AppState, entry: &IndexEntry, to: IndexState) -> Result<()> {
        self.change_head(state, Some(entry), |head| {
            if let Some(entry) = head.entry_mut(&entry.entity, &entry.index) {
                entry.state = to;
            }
        })
        .await
    }

    /// How far the building of an index has come.
    pub(super) async fn progress(&self, entry: &IndexEntry) -> Result<BuildProgress> {
        match self.core.engine.get(Tree::Hot, &work_key(entry)).await? {
            Some(bytes) => Ok(codec::decode(&bytes)?),
            None => {
                let total =
                    counts::records_of_entity(&self.core, &entity_name(&entry.entity)?).await?;
                Ok(BuildProgress {
                    total,
                    ..BuildProgress::default()
                })
            }
        }
    }

    async fn build_rows(
        &self,
        state: &AppState,
        entity: &Entity,
        index: &Index,
        mut progress: BuildProgress,
        limit: usize,
    ) -> Result<Built, BuildError> {
        let (slug, tree, page) = loop {
            let Some(slug) = self.tenant_at(&progress).await? else {
                return Ok(Built::All);
            };
            let tree = if progress.archive {
                Tree::Archive
            } else {
                Tree::Hot
            };
            let prefix = TenantKeys::new(&slug).records(&entity.name);
            let mut scan = Scan::prefix(tree, prefix);
            scan.after = progress.after.clone().map(Key::from);
            scan.limit = limit;
            let page = self.core.engine.scan(&scan).await?;
            if !page.rows.is_empty() {
                break (slug, tree, page);
            }
            // Nothing to commit for a tenant without records.
            advance(&mut progress, &slug, None, 0);
        };
        let keys = TenantKeys::new(&slug);
        let mut batch = Batch::default();
        state.expect_unchanged(&mut batch);
        let mut planned = Planned {
            keys: &keys,
            entity,
            index,
            tree,
            rows: BTreeMap::new(),
        };
        for (key, value) in &page.rows {
            let plain = self.core.unpack(&keys, &entity.name, value.clone()).await?;
            if let Some(refused) = planned.add(key, &plain)? {
                return Ok(Built::Refused(refused));
            }
            let header = codec::record_header(value)?;
            batch.expect(tree, key.clone(), Condition::Prefix(header));
        }
        if let Some(refused) = self.add_absent(&mut batch, &planned).await? {
            return Ok(Built::Refused(refused));
        }
        advance(&mut progress, &slug, page.next, page.rows.len());
        let entry = work_name(entity.name.as_str(), index.name.as_str());
        batch.put(Tree::Hot, keys::work(&entry), codec::encode(&progress)?);
        self.core.engine.commit(batch).await?;
        Ok(Built::More)
    }

    /// The tenant to go on with: the one in progress, or the first after it.
    async fn tenant_at(&self, progress: &BuildProgress) -> Result<Option<TenantSlug>> {
        let in_progress = progress.after.is_some() || progress.archive;
        let at = progress.tenant.as_deref();
        if let (Some(at), true) = (at, in_progress) {
            return TenantSlug::parse(at).map(Some).map_err(Error::internal);
        }
        tenants::next_slug(&self.core, at).await
    }

    /// Puts the planned rows that no write has added yet.
    async fn add_absent(&self, batch: &mut Batch, planned: &Planned<'_>) -> Result<Option<String>> {
        let wanted: Vec<Key> = planned.rows.keys().cloned().collect();
        if planned.index.unique && planned.tree == Tree::Archive {
            // Archived records keep their values to themselves, too.
            let hot = self.core.engine.get_many(Tree::Hot, &wanted).await?;
            for ((key, row), found) in planned.rows.iter().zip(hot) {
                match found {
                    None => batch.expect(Tree::Hot, key.clone(), Condition::Absent),
                    // The record itself, restored since it was read: the commit sees
                    // that it is not where it was, and the batch is planned again.
                    Some(other) if other == row.value => continue,
                    Some(other) => return Ok(Some(planned.duplicate(&other, &row.value))),
                };
            }
        }
        let found = self.core.engine.get_many(planned.tree, &wanted).await?;
        for ((key, row), found) in planned.rows.iter().zip(found) {
            match found {
                None => {
                    batch.expect(planned.tree, key.clone(), Condition::Absent);
                    batch.put(planned.tree, key.clone(), row.value.clone());
                    if let Some(counter) = &row.counter {
                        batch.add(Tree::Hot, counter.clone(), 1);
                    }
                }
                Some(other) if other != row.value => {
                    return Ok(Some(planned.duplicate(&other, &row.value)));
                }
                Some(_) => {}
            }
        }
        Ok(None)
    }
}

enum Built {
    More,
    All,
    Refused(String),
}

enum BuildError {
    Store(StoreError),
    Service(Error),
}

impl From<StoreError> for BuildError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Error> for BuildError {
    fn from(error: Error) -> Self {
        Self::Service(error)
    }
}

/// The rows of one batch, each key once.
struct Planned<'a> {
    keys: &'a TenantKeys,
    entity: &'a Entity,
    index: &'a Index,
    tree: Tree,
    rows: BTreeMap<Key, rows::Row>,
}

impl Planned<'_> {
    /// Plans one record's rows; a text where the index cannot hold it.
    fn add(&mut self, key: &Key, value: &Value) -> Result<Option<String>, BuildError> {
        let (meta, json) = codec::decode_record(value)?;
        let id = keys::last_segment(key)
            .ok_or_else(|| StoreError::Corrupt(format!("a record's key: {key:?}")))?;
        let data = parse_strict(&json)
            .map_err(|e| StoreError::Corrupt(format!("the JSON of {key:?}: {}", e.message)))?;
        let made = rows::of_index(
            self.keys,
            self.entity,
            self.index,
            self.tree,
            &id,
            &meta,
            &data,
        );
        let made = match made {
            Ok(made) => made,
            Err(error) => {
                return Ok(Some(format!(
                    "tenant {}, record {id}: {}",
                    self.keys.slug(),
                    error.detail
                )));
            }
        };
        for (key, row) in made {
            match self.rows.get(&key) {
                Some(other) if other.value != row.value => {
                    return Ok(Some(self.duplicate(&other.value, &row.value)));
                }
                _ => {
                    self.rows.insert(key, row);
                }
            }
        }
        Ok(None)
    }

    fn duplicate(&self, first: &[u8], second: &[u8]) -> String {
        format!(
            "tenant {}: the records {} and {} have the same values; change one and apply the app file again",
            self.keys.slug(),
            String::from_utf8_lossy(first),
            String::from_utf8_lossy(second)
        )
    }
}

/// Moves on behind a page: within the tenant, to its archive, to the next tenant.
fn advance(progress: &mut BuildProgress, slug: &TenantSlug, next: Option<Key>, done: usize) {
    progress.tenant = Some(slug.to_string());
    progress.done += done as u64;
    match next {
        Some(key) => progress.after = Some(key.to_vec()),
        None => {
            progress.after = None;
            progress.archive = !progress.archive;
        }
    }
}

fn declared<'a>(state: &'a AppState, entry: &IndexEntry) -> Option<(&'a Entity, &'a Index)> {
    let entity = state.file.entities.get(&entity_name(&entry.entity).ok()?)?;
    let index = entity
        .all_indexes()
        .find(|i| i.name.as_str() == entry.index)?;
    Some((entity, index))
}

fn work_name(entity: &str, index: &str) -> String {
    format!("index#{entity}@{index}")
}

fn work_key(entry: &IndexEntry) -> Key {
    keys::work(&work_name(&entry.entity, &entry.index))
}

fn entity_name(name: &str) -> Result<EntityName> {
    EntityName::parse(name).map_err(Error::internal)
}

fn index_name(name: &str) -> Result<IndexName> {
    IndexName::parse(name).map_err(Error::internal)
}
