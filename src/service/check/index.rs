//! The rows of one index, traced back to the records that they belong to.

use super::{Kind, Run, pages::Pages, verdict::Suspect};
use crate::{
    domain::{Entity, Index, RecordId, value::decode_values},
    service::{Result, apps::AppState},
    store::{
        Batch, Condition, Key, Scan, StoreError, Tree, Value,
        keys::{self, TenantKeys},
    },
};

impl Run<'_> {
    /// Reads the rows of an index; rows that no such index can have are reported.
    /// Answers how many of the others there are.
    pub(super) async fn rows(
        &mut self,
        state: &AppState,
        keys: &TenantKeys,
        entity: &Entity,
        index: &Index,
        tree: Tree,
    ) -> Result<u64> {
        let prefix = keys.index(&entity.name, &index.name);
        let length = prefix.len();
        let mut pages = Pages::new(&self.core.engine, Scan::prefix(tree, prefix));
        let mut sound = 0;
        while let Some((key, value)) = pages.next().await? {
            self.report.keys += 1;
            self.report.index_rows += 1;
            match owner(index, &key, &value, length) {
                Some(_) => sound += 1,
                None => self.senseless(state, tree, &key, &value).await?,
            }
        }
        Ok(sound)
    }

    /// Looks for the record of each row.
    pub(super) async fn trace_rows(
        &mut self,
        keys: &TenantKeys,
        entity: &Entity,
        index: &Index,
        tree: Tree,
    ) -> Result<()> {
        let prefix = keys.index(&entity.name, &index.name);
        let length = prefix.len();
        let mut pages = Pages::new(&self.core.engine, Scan::prefix(tree, prefix));
        while let Some((row, value)) = pages.next().await? {
            let Some(id) = owner(index, &row, &value, length) else {
                continue;
            };
            let suspect = Suspect {
                keys,
                entity: entity.name.as_str(),
                index: index.name.as_str(),
                tree,
                row,
                id,
            };
            self.judge(&suspect).await?;
        }
        Ok(())
    }

    /// A row whose key or value no index writes.
    async fn senseless(
        &mut self,
        state: &AppState,
        tree: Tree,
        key: &Key,
        value: &Value,
    ) -> Result<()> {
        let detail = "the row holds no values of this index, or names no record".to_owned();
        let repaired = self.options.repair && self.remove(state, tree, key, value).await?;
        self.report.push(Kind::IndexRow, key, detail, repaired);
        Ok(())
    }

    /// Removes a row that is still what it was; false where it is not.
    pub(super) async fn remove(
        &self,
        state: &AppState,
        tree: Tree,
        key: &Key,
        value: &Value,
    ) -> Result<bool> {
        let mut batch = Batch::default();
        state.expect_unchanged(&mut batch);
        batch.expect(tree, key.clone(), Condition::Value(value.clone()));
        batch.delete(tree, key.clone());
        match self.core.engine.commit(batch).await {
            Ok(()) => Ok(true),
            Err(StoreError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// The record that a row names; `None` where the row is none of this index.
fn owner(index: &Index, key: &Key, value: &Value, prefix: usize) -> Option<RecordId> {
    let (_, rest) = decode_values(key.get(prefix..)?, index.fields.len())?;
    match index.unique {
        true if rest.is_empty() => RecordId::parse(std::str::from_utf8(value).ok()?).ok(),
        true => None,
        false if value.is_empty() => {
            let id = keys::last_segment(key)?;
            (id.as_str().as_bytes() == rest).then_some(id)
        }
        false => None,
    }
}
