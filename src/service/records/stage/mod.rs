//! Operations become one batch: what is expected of the store, the records, their
//! index rows and the counters. Nothing is written here.
//!
//! A record that moves between the tiers is one version that goes away in one tree
//! and one that comes in the other: the same batch, the same rows and counters.

mod next;
mod version;

use std::collections::BTreeMap;

use self::{
    next::{Next, next, next_meta},
    version::{Version, Versions},
};
use super::{
    Action, Operation, Outcome, OutcomeKind, Record, conditions::check_conditions,
    document::parse_stored, rows::Row, targets::Target, uniques::Uniques,
};
use crate::{
    domain::{Entity, Index},
    service::{Core, Error, Result, TenantAccess, apps::AppState, dictionaries::Needs, holds},
    store::{Batch, Condition, Key, Tree},
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

pub(super) struct Stager<'a> {
    versions: Versions<'a>,
    staged: Staged,
    counters: BTreeMap<Key, i64>,
    uniques: Uniques,
}

impl<'a> Stager<'a> {
    pub fn new(core: &'a Core, access: &'a TenantAccess, state: &'a AppState) -> Self {
        let mut batch = Batch::default();
        state.expect_unchanged(&mut batch);
        batch.expect(Tree::Hot, access.keys.tenant_row(), Condition::Present);
        Self {
            versions: Versions {
                core,
                access,
                state,
            },
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
        let Versions {
            core,
            access,
            state,
        } = self.versions;
        let entity = state.entity(&operation.entity)?;
        let key = access.keys.record(&entity.name, &target.id);
        // Under an id that was made a moment ago nothing is; the commit checks it.
        let before = match target.made {
            Some(_) => None,
            None => self.versions.read(entity, &target.id, &key).await?,
        };
        check_conditions(operation, before.as_ref().map(|b| &b.meta))?;
        if !self.expect_along(operation).await? {
            self.outcome(OutcomeKind::Unchanged, entity, target, before);
            return Ok(());
        }
        let now = core.clock.now();
        let after = match next(entity, operation, target, before.as_ref(), now)? {
            Next::Unchanged => {
                // What is told of it holds when the rest of the batch is committed.
                self.expect_as_read(&key, target, before.as_ref(), before.as_ref())?;
                self.outcome(OutcomeKind::Unchanged, entity, target, before);
                return Ok(());
            }
            Next::Gone => None,
            Next::Document(document, tier) => {
                let meta = next_meta(
                    entity,
                    operation,
                    target,
                    before.as_ref(),
                    (now, &core.random),
                )?;
                let data = (document.json, &document.value);
                Some(self.versions.make(entity, target, tier, meta, data).await?)
            }
            Next::Kept(tier, meta) => match &before {
                None => None,
                Some(before) => {
                    let data = parse_stored(&before.json)?;
                    let data = (before.json.clone(), &data);
                    Some(self.versions.make(entity, target, tier, meta, data).await?)
                }
            },
        };
        self.expect_as_read(&key, target, before.as_ref(), after.as_ref())?;
        if after.is_none() {
            self.expect_no_hold(entity, target).await?;
        }
        self.move_rows(entity, before.as_ref(), after.as_ref())
            .await?;
        self.move_counters(entity, target, &key, before.as_ref(), after.as_ref());
        if let Some(before) = &before
            && after.as_ref().is_none_or(|after| after.tier != before.tier)
        {
            self.staged.batch.delete(before.tier, key.clone());
        }
        if let Some(after) = &after {
            self.staged.batch.put(after.tier, key, after.value.clone());
            if let Some(needs) = &after.needs {
                self.need(needs);
            }
        }
        let kind = match (&before, &after) {
            (None, _) => OutcomeKind::Created,
            (Some(_), None) => match &operation.action {
                Action::Purge { .. } => OutcomeKind::Purged,
                _ => OutcomeKind::Deleted,
            },
            (Some(_), Some(_)) => match &operation.action {
                Action::Archive { .. } => OutcomeKind::Archived,
                Action::Restore { .. } => OutcomeKind::Restored,
                _ => OutcomeKind::Updated,
            },
        };
        self.outcome(kind, entity, target, after);
        Ok(())
    }

    /// The batch, when every operation is staged; and why it is not to be done, if all that
    /// it expects is so.
    pub async fn finish(mut self) -> Result<(Staged, Option<Error>)> {
        let Staged {
            batch, meanings, ..
        } = &mut self.staged;
        let refusal = self
            .uniques
            .resolve(self.versions.core, batch, meanings)
            .await?;
        for (key, delta) in self.counters {
            self.staged.batch.add(Tree::Hot, key, delta);
        }
        Ok((self.staged, refusal))
    }

    /// The record must still be as it was read: where it was, and not in the other tree.
    fn expect_as_read(
        &mut self,
        key: &Key,
        target: &Target,
        before: Option<&Version>,
        after: Option<&Version>,
    ) -> Result<()> {
        for tier in Tree::ALL {
            let condition = match before {
                Some(before) if before.tier == tier => before.as_read()?,
                // One that stays in the hot tree was not in the other, nor is one under
                // an id that was made a moment ago.
                Some(before) if before.tier == Tree::Hot => match after {
                    Some(after) if after.tier == tier => Condition::Absent,
                    _ => continue,
                },
                None if tier == Tree::Archive && target.made.is_some() => continue,
                _ => Condition::Absent,
            };
            self.expect(tier, key.clone(), condition);
        }
        Ok(())
    }

    /// What is purged along with another record goes only while that is in the archive:
    /// one that was restored meanwhile keeps what is its own.
    async fn expect_along(&mut self, operation: &Operation) -> Result<bool> {
        let Action::Purge {
            along: Some((entity, id)),
            ..
        } = &operation.action
        else {
            return Ok(true);
        };
        let key = self.versions.access.keys.record(entity, id);
        let archived = self.versions.core.engine.get(Tree::Archive, &key).await?;
        if archived.is_some() {
            self.expect(Tree::Archive, key, Condition::Present);
        }
        Ok(archived.is_some())
    }

    /// What a legal hold covers is not deleted.
    async fn expect_no_hold(&mut self, entity: &Entity, target: &Target) -> Result<()> {
        let (core, keys) = (self.versions.core, &self.versions.access.keys);
        holds::refuse_held(core, keys, &entity.name, &target.id).await?;
        for key in holds::covering(keys, &entity.name, &target.id) {
            self.expect(Tree::Hot, key, Condition::Absent);
        }
        Ok(())
    }

    fn expect(&mut self, tier: Tree, key: Key, condition: Condition) {
        self.staged.batch.expect(tier, key, condition);
        self.staged.meanings.push(Meaning::Raced);
    }

    fn need(&mut self, needs: &Needs) {
        if let Some((key, condition)) = needs.expectation() {
            self.expect(Tree::Hot, key, condition);
        }
        if let Needs::Put(key, bytes) = needs {
            self.staged.batch.put(Tree::Hot, key.clone(), bytes.clone());
        }
    }

    async fn move_rows(
        &mut self,
        entity: &Entity,
        before: Option<&Version>,
        after: Option<&Version>,
    ) -> Result<()> {
        let (state, none) = (self.versions.state, BTreeMap::new());
        let stays = before.map(|b| b.tier) == after.map(|a| a.tier);
        for (number, maintained) in state.maintained(entity).enumerate() {
            let of = |v: Option<&'_ Version>| v.and_then(|v| v.rows.get(number)).cloned();
            let (old, new) = (of(before), of(after));
            let (old, new) = (old.as_ref().unwrap_or(&none), new.as_ref().unwrap_or(&none));
            if let Some(before) = before {
                for (key, row) in old.iter().filter(|(k, _)| !stays || !new.contains_key(*k)) {
                    let (index, building) = (maintained.index, maintained.building);
                    self.remove_row(index, building, before.tier, key, row)
                        .await?;
                }
            }
            if let Some(after) = after {
                for (key, row) in new.iter().filter(|(k, _)| !stays || !old.contains_key(*k)) {
                    self.add_row(maintained.index, after.tier, key, row)?;
                }
            }
        }
        Ok(())
    }

    /// While an index is being built, a record's old row may not be there yet.
    async fn remove_row(
        &mut self,
        index: &Index,
        building: bool,
        tier: Tree,
        key: &Key,
        row: &Row,
    ) -> Result<()> {
        if building {
            let found = self.versions.core.engine.get(tier, key).await?;
            match found {
                Some(value) if value == row.value => {
                    self.expect(tier, key.clone(), Condition::Value(value));
                }
                // Somebody else's: the build finds two records with the same values.
                Some(_) => return Ok(()),
                None => {
                    self.expect(tier, key.clone(), Condition::Absent);
                    return Ok(());
                }
            }
        }
        if index.unique {
            self.uniques.free(key.clone(), tier, row.value.clone());
        } else {
            self.staged.batch.delete(tier, key.clone());
        }
        self.count(row.counter.clone(), -1);
        Ok(())
    }

    fn add_row(&mut self, index: &Index, tier: Tree, key: &Key, row: &Row) -> Result<()> {
        if index.unique {
            let operation = self.staged.outcomes.len();
            let value = (tier, row.value.clone());
            self.uniques
                .take(operation, &index.name, key.clone(), value);
        } else {
            self.staged.batch.put(tier, key.clone(), row.value.clone());
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
        for (version, sign) in [(before, -1), (after, 1)] {
            let Some(version) = version else { continue };
            for (what, amount) in version.counted(target, key) {
                let keys = &self.versions.access.keys;
                let counter = keys.count(&entity.name, version.tier, what);
                self.count(Some(counter), sign * amount);
            }
        }
    }

    fn outcome(
        &mut self,
        kind: OutcomeKind,
        entity: &Entity,
        target: &Target,
        version: Option<Version>,
    ) {
        let record = version.map(|version| Record {
            id: target.id.clone(),
            meta: version.meta,
            tier: version.tier,
            json: version.json,
        });
        self.staged.outcomes.push(Outcome {
            kind,
            entity: entity.name.clone(),
            id: target.id.clone(),
            record,
        });
    }
}
