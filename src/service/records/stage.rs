//! Operations become one batch: what is expected of the store, the records, their
//! index rows and the counters. Nothing is written here.

use std::collections::BTreeMap;

use super::{
    Action, Operation, Outcome, OutcomeKind, Record,
    conditions::{check_conditions, exists},
    document::{Document, parse_stored},
    read::missing,
    rows::{self, Row},
    targets::Target,
    uniques::Uniques,
};
use crate::{
    base::time_of_record_id,
    domain::{Entity, Index, RecordId, RecordMeta},
    service::{Core, Error, Result, TenantAccess, apps::AppState},
    store::{Batch, Condition, Key, Tree, Value, codec, keys::Counted},
};

/// What a failed expectation of a write means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The app file or an index's state changed: plan again with it.
    App,
    /// The tenant is gone.
    Tenant,
    /// Another write was faster: plan again.
    Raced,
    /// What the write was to be committed with does not hold.
    Fence,
}

/// A batch and what it will have done.
pub(super) struct Staged {
    pub batch: Batch,
    /// One for each expectation of the batch.
    pub meanings: Vec<Meaning>,
    pub outcomes: Vec<Outcome>,
}

/// A record as it was, or as it will be.
struct Version {
    meta: RecordMeta,
    value: Value,
    rows: Rows,
}

/// The rows of each maintained index, in the entity's order of indexes.
type Rows = Vec<BTreeMap<Key, Row>>;

/// Where writes go; archived records are read only.
const TIER: Tree = Tree::Hot;

pub(super) struct Stager<'a> {
    core: &'a Core,
    access: &'a TenantAccess,
    state: &'a AppState,
    staged: Staged,
    counters: BTreeMap<Key, i64>,
    uniques: Uniques,
}

impl<'a> Stager<'a> {
    pub fn new(core: &'a Core, access: &'a TenantAccess, state: &'a AppState) -> Self {
        let mut batch = Batch::default();
        state.expect_unchanged(&mut batch);
        batch.expect(TIER, access.keys.tenant_row(), Condition::Present);
        Self {
            core,
            access,
            state,
            staged: Staged {
                batch,
                meanings: vec![Meaning::App, Meaning::Tenant],
                outcomes: Vec::new(),
            },
            counters: BTreeMap::new(),
            uniques: Uniques::default(),
        }
    }

    /// Stages the next operation.
    pub async fn add(&mut self, operation: &Operation, target: &Target) -> Result<()> {
        let state = self.state;
        let entity = state.entity(&operation.entity)?;
        let key = self.access.keys.record(&entity.name, &target.id);
        // Under an id that was made a moment ago nothing is; the commit checks it.
        let stored = match target.made {
            Some(_) => None,
            None => self.core.engine.get(TIER, &key).await?,
        };
        let before = match stored {
            Some(value) => Some(self.version(entity, target, value)?),
            None => None,
        };
        check_conditions(operation, before.as_ref().map(|b| &b.meta))?;
        let document = match document(entity, operation, target, before.as_ref())? {
            Next::Unchanged => {
                return self.unchanged(entity, target, before);
            }
            Next::Gone => None,
            Next::Document(document) => Some(document),
        };
        let after = match document {
            None => None,
            Some(document) => {
                Some(self.next_version(entity, operation, target, &before, document)?)
            }
        };
        self.expect_as_read(key.clone(), before.as_ref())?;
        self.move_rows(entity, before.as_ref(), after.as_ref())
            .await?;
        self.move_counters(entity, target, &key, before.as_ref(), after.as_ref());
        let kind = match (&before, &after) {
            (None, _) => OutcomeKind::Created,
            (Some(_), Some(_)) => OutcomeKind::Updated,
            (Some(_), None) => OutcomeKind::Deleted,
        };
        match &after {
            Some(after) => self.staged.batch.put(TIER, key, after.value.clone()),
            None => self.staged.batch.delete(TIER, key),
        }
        self.outcome(kind, entity, target, after)
    }

    /// The batch, when every operation is staged.
    pub async fn finish(mut self) -> Result<Staged> {
        let Staged {
            batch, meanings, ..
        } = &mut self.staged;
        self.uniques.resolve(self.core, batch, meanings).await?;
        for (key, delta) in self.counters {
            self.staged.batch.add(Tree::Hot, key, delta);
        }
        Ok(self.staged)
    }

    fn version(&self, entity: &Entity, target: &Target, value: Value) -> Result<Version> {
        let (meta, json) = codec::decode_record(&value)?;
        let rows = if self.state.maintained(entity).next().is_some() {
            self.rows(entity, &target.id, &meta, &parse_stored(&json)?)?
        } else {
            Rows::new()
        };
        Ok(Version { meta, value, rows })
    }

    fn rows(
        &self,
        entity: &Entity,
        id: &RecordId,
        meta: &RecordMeta,
        data: &serde_json::Value,
    ) -> Result<Rows> {
        self.state
            .maintained(entity)
            .map(|m| rows::of_index(&self.access.keys, entity, m.index, TIER, id, meta, data))
            .collect()
    }

    fn next_version(
        &self,
        entity: &Entity,
        operation: &Operation,
        target: &Target,
        before: &Option<Version>,
        document: Document,
    ) -> Result<Version> {
        let now = self.core.clock.now();
        let restored = match &operation.action {
            Action::Import { restored, .. } => restored.as_ref(),
            _ => None,
        };
        let meta = match (before, restored) {
            (Some(before), _) => RecordMeta {
                version: before.meta.version + 1,
                updated_at: now.max(before.meta.updated_at),
                ..before.meta
            },
            (None, Some(restored)) => RecordMeta {
                incarnation: incarnation()?,
                ..*restored
            },
            (None, None) => {
                let created_at = target.made.unwrap_or(now);
                RecordMeta {
                    version: 1,
                    created_at,
                    updated_at: created_at,
                    incarnation: incarnation()?,
                }
            }
        };
        Ok(Version {
            rows: self.rows(entity, &target.id, &meta, &document.value)?,
            value: codec::encode_record(&meta, &document.json)?,
            meta,
        })
    }

    /// The record must still be as it was read.
    fn expect_as_read(&mut self, key: Key, before: Option<&Version>) -> Result<()> {
        let condition = match before {
            Some(before) => Condition::Prefix(codec::record_header(&before.value)?),
            None => Condition::Absent,
        };
        self.expect(key, condition);
        Ok(())
    }

    fn expect(&mut self, key: Key, condition: Condition) {
        self.staged.batch.expect(TIER, key, condition);
        self.staged.meanings.push(Meaning::Raced);
    }

    async fn move_rows(
        &mut self,
        entity: &Entity,
        before: Option<&Version>,
        after: Option<&Version>,
    ) -> Result<()> {
        let (state, none) = (self.state, BTreeMap::new());
        for (number, maintained) in state.maintained(entity).enumerate() {
            let of = |v: Option<&'_ Version>| v.and_then(|v| v.rows.get(number)).cloned();
            let (old, new) = (of(before), of(after));
            let (old, new) = (old.as_ref().unwrap_or(&none), new.as_ref().unwrap_or(&none));
            for (key, row) in old.iter().filter(|(key, _)| !new.contains_key(*key)) {
                self.remove_row(maintained.index, maintained.building, key, row)
                    .await?;
            }
            for (key, row) in new.iter().filter(|(key, _)| !old.contains_key(*key)) {
                self.add_row(maintained.index, key, row)?;
            }
        }
        Ok(())
    }

    /// While an index is being built, a record's old row may not be there yet.
    async fn remove_row(
        &mut self,
        index: &Index,
        building: bool,
        key: &Key,
        row: &Row,
    ) -> Result<()> {
        if building {
            let found = self.core.engine.get(TIER, key).await?;
            match found {
                Some(value) if value == row.value => {
                    self.expect(key.clone(), Condition::Value(value));
                }
                // Somebody else's: the build finds two records with the same values.
                Some(_) => return Ok(()),
                None => {
                    self.expect(key.clone(), Condition::Absent);
                    return Ok(());
                }
            }
        }
        if index.unique {
            self.uniques.free(key.clone(), row.value.clone());
        } else {
            self.staged.batch.delete(TIER, key.clone());
        }
        self.count(row.counter.clone(), -1);
        Ok(())
    }

    fn add_row(&mut self, index: &Index, key: &Key, row: &Row) -> Result<()> {
        if index.unique {
            let operation = self.staged.outcomes.len();
            self.uniques
                .take(operation, &index.name, key.clone(), row.value.clone())?;
        } else {
            self.staged.batch.put(TIER, key.clone(), row.value.clone());
        }
        self.count(row.counter.clone(), 1);
        Ok(())
    }

    fn count(&mut self, counter: Option<Key>, delta: i64) {
        if let Some(counter) = counter {
            *self.counters.entry(counter).or_default() += delta;
        }
    }

    fn move_counters(
        &mut self,
        entity: &Entity,
        target: &Target,
        key: &Key,
        before: Option<&Version>,
        after: Option<&Version>,
    ) {
        let made_at = time_of_record_id(target.id.as_str());
        for (version, sign) in [(before, -1), (after, 1)] {
            let Some(version) = version else { continue };
            let bytes = i64::try_from(key.len() + version.value.len()).unwrap_or(i64::MAX);
            let given = i64::from(made_at != Some(version.meta.created_at));
            for (what, amount) in [
                (Counted::Records, 1),
                (Counted::Bytes, bytes),
                (Counted::Given, given),
            ] {
                let counter = self.access.keys.count(&entity.name, TIER, what);
                self.count(Some(counter), sign * amount);
            }
        }
    }

    fn unchanged(
        &mut self,
        entity: &Entity,
        target: &Target,
        before: Option<Version>,
    ) -> Result<()> {
        self.outcome(OutcomeKind::Unchanged, entity, target, before)
    }

    fn outcome(
        &mut self,
        kind: OutcomeKind,
        entity: &Entity,
        target: &Target,
        version: Option<Version>,
    ) -> Result<()> {
        let record = match version {
            Some(version) => Some(Record {
                id: target.id.clone(),
                meta: version.meta,
                tier: TIER,
                json: codec::decode_record(&version.value)?.1,
            }),
            None => None,
        };
        self.staged.outcomes.push(Outcome {
            kind,
            entity: entity.name.clone(),
            id: target.id.clone(),
            record,
        });
        Ok(())
    }
}

/// What an operation makes of a record.
enum Next {
    Document(Document),
    Gone,
    Unchanged,
}

fn document(
    entity: &Entity,
    operation: &Operation,
    target: &Target,
    before: Option<&Version>,
) -> Result<Next> {
    let body = &operation.body;
    let stored = |version: &Version| Ok::<_, Error>(codec::decode_record(&version.value)?.1);
    match (&operation.action, before) {
        (Action::Create { .. }, Some(before)) => Err(exists(entity, target, &before.meta)),
        (Action::Create { .. } | Action::Put { .. }, _) | (Action::Import { .. }, None) => {
            Ok(Next::Document(Document::whole(entity, body)?))
        }
        (Action::Import { .. }, Some(before)) => {
            let document = Document::whole(entity, body)?;
            let same = document.json == stored(before)?;
            Ok(if same {
                Next::Unchanged
            } else {
                Next::Document(document)
            })
        }
        (Action::Patch { .. }, Some(before)) => {
            let document = Document::patched(entity, &stored(before)?, body)?;
            Ok(Next::Document(document))
        }
        (Action::Delete { .. }, Some(_)) => Ok(Next::Gone),
        (Action::Patch { .. } | Action::Delete { .. }, None) => {
            Err(missing(entity, target.id.as_str()))
        }
    }
}

/// Drawn at random, so that nobody can guess the ETag of a record to come.
fn incarnation() -> Result<u64> {
    getrandom::u64().map_err(|error| Error::internal(format!("no random numbers: {error}")))
}
