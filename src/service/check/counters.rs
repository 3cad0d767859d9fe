//! Counters against a recount. A counter and what it counts change in one commit,
//! so their difference stays the same while others write: where both were read
//! with no write in between, a repair holds as long as the counter is still as
//! it was read.

use bytes::Bytes;

use super::{Kind, PAUSE, Run, TRIES_MAX, family::Tally, pages::Pages, quiet};
use crate::{
    domain::{Entity, Index, value::decode_values},
    service::{Result, apps::AppState},
    store::{
        Batch, Condition, Key, Scan, StoreError, Tree, Value, codec,
        keys::{Counted, TenantKeys},
    },
};

/// What a counter counts.
enum Of<'a> {
    Records(&'a Entity, Counted),
    /// The rows of an index that begin so.
    Rows(&'a Index, Key),
    /// Values that no row of the index can begin with.
    Nothing(&'a Index),
}

impl Run<'_> {
    /// Compares the counters of an entity's records. `tally` was taken since the
    /// generation was `before`.
    pub(super) async fn entity_counters(
        &mut self,
        keys: &TenantKeys,
        entity: &Entity,
        tree: Tree,
        tally: &Tally,
        before: Option<u64>,
    ) -> Result<()> {
        for what in Counted::ALL {
            let counter = keys.count(&entity.name, tree, what);
            let value = self.core.engine.get(Tree::Hot, &counter).await?;
            let now = self.core.engine.generation(&keys.records(&entity.name));
            let settled = quiet(before, now);
            let right = decoded(value.as_ref()) == tally.of(what);
            // A wrong counter is always counted again.
            if !right || !settled {
                let of = Of::Records(entity, what);
                self.recount(keys, entity, tree, &counter, &of).await?;
            }
        }
        Ok(())
    }

    /// Compares the counters of an index: its rows and its counters stand in the
    /// same order, so both are read side by side.
    pub(super) async fn index_counters(
        &mut self,
        keys: &TenantKeys,
        entity: &Entity,
        index: &Index,
        tree: Tree,
    ) -> Result<()> {
        let rows_prefix = keys.index(&entity.name, &index.name);
        let counters_prefix = keys.tier_counters(&entity.name, &index.name, tree);
        let mut rows = Scan::prefix(tree, rows_prefix.clone());
        rows.values = false;
        let mut rows = Pages::new(&self.core.engine, rows);
        let counters = Scan::prefix(Tree::Hot, counters_prefix.clone());
        let mut counters = Pages::new(&self.core.engine, counters);
        loop {
            let group = next_group(&mut rows, index, rows_prefix.len()).await?;
            // Counters before the group count rows that are not there.
            while let Some((key, _)) = counters.peek().await? {
                let values = key.slice(counters_prefix.len()..);
                if group.as_ref().is_some_and(|(group, _)| values >= *group) {
                    break;
                }
                let counter = key.clone();
                counters.next().await?;
                let of = match leading(index, &values, 0) {
                    Some(whole) if whole == values => Of::Rows(index, under(&rows_prefix, &values)),
                    _ => Of::Nothing(index),
                };
                self.recount(keys, entity, tree, &counter, &of).await?;
            }
            let Some((values, count)) = group else {
                return Ok(());
            };
            let counter = under(&counters_prefix, &values);
            let stands = counters
                .peek()
                .await?
                .is_some_and(|(key, _)| *key == counter);
            let value = match stands {
                true => counters.next().await?.map(|(_, value)| value),
                false => None,
            };
            if decoded(value.as_ref()) != Some(count) {
                let of = Of::Rows(index, under(&rows_prefix, &values));
                self.recount(keys, entity, tree, &counter, &of).await?;
            }
        }
    }

    /// Counts again while nothing is written, and reports a counter that is wrong.
    async fn recount(
        &mut self,
        keys: &TenantKeys,
        entity: &Entity,
        tree: Tree,
        counter: &Key,
        of: &Of<'_>,
    ) -> Result<()> {
        let family = keys.records(&entity.name);
        for _ in 0..TRIES_MAX {
            let state = self.apps.refresh().await?;
            let index = match of {
                Of::Records(..) => None,
                Of::Rows(index, _) | Of::Nothing(index) => Some(index.name.as_str()),
            };
            if !self.kept(&state, keys, entity.name.as_str(), index).await? {
                return Ok(());
            }
            let before = self.core.engine.generation(&family);
            let value = self.core.engine.get(Tree::Hot, counter).await?;
            let Some(count) = self.count(keys, tree, of).await? else {
                return Ok(());
            };
            if !quiet(before, self.core.engine.generation(&family)) {
                if decoded(value.as_ref()) == Some(count) {
                    return Ok(());
                }
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            if decoded(value.as_ref()) == Some(count) {
                return Ok(());
            }
            let mut repaired = false;
            if self.options.repair {
                match self.set(&state, keys, counter, &value, count).await {
                    Ok(()) => repaired = true,
                    Err(StoreError::Conflict { .. }) => continue,
                    Err(error) => return Err(error.into()),
                }
            }
            let says = match decoded(value.as_ref()) {
                Some(says) => says.to_string(),
                None => "nothing readable".to_owned(),
            };
            let detail = format!("the counter says {says}, a recount {count}");
            self.report.push(Kind::Counter, counter, detail, repaired);
            return Ok(());
        }
        self.report.unsettled += 1;
        Ok(())
    }

    /// The recount; `None` where damaged records make it impossible.
    async fn count(&self, keys: &TenantKeys, tree: Tree, of: &Of<'_>) -> Result<Option<i64>> {
        match of {
            Of::Records(entity, what) => Ok(self.tally(keys, entity, tree).await?.of(*what)),
            Of::Nothing(_) => Ok(Some(0)),
            Of::Rows(_, prefix) => {
                let mut scan = Scan::prefix(tree, prefix.clone());
                scan.values = false;
                let mut pages = Pages::new(&self.core.engine, scan);
                while !pages.page().await?.is_empty() {}
                Ok(i64::try_from(pages.read).ok())
            }
        }
    }

    async fn set(
        &self,
        state: &AppState,
        keys: &TenantKeys,
        counter: &Key,
        found: &Option<Value>,
        count: i64,
    ) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        state.expect_unchanged(&mut batch);
        batch.expect(Tree::Hot, keys.tenant_row(), Condition::Present);
        let as_read = match found {
            Some(value) => Condition::Value(value.clone()),
            None => Condition::Absent,
        };
        batch.expect(Tree::Hot, counter.clone(), as_read);
        match count {
            0 => batch.delete(Tree::Hot, counter.clone()),
            count => batch.put(Tree::Hot, counter.clone(), codec::encode_counter(count)),
        }
        self.core.engine.commit(batch).await
    }
}

impl Tally {
    /// What one counter should say; `None` where damaged records hide it.
    fn of(&self, what: Counted) -> Option<i64> {
        match what {
            Counted::Records => Some(self.records),
            Counted::Bytes => Some(self.bytes),
            Counted::Given => (self.damaged == 0).then_some(self.given),
            Counted::Packed => Some(self.packed),
            Counted::Json => (self.damaged == 0).then_some(self.json),
        }
    }
}

/// A counter's value; 0 where it is absent, `None` where it cannot be read.
fn decoded(value: Option<&Value>) -> Option<i64> {
    codec::decode_counter(value).ok()
}

fn under(prefix: &[u8], tail: &[u8]) -> Key {
    [prefix, tail].concat().into()
}

/// The next rows with the same values in all fields but the last: those values as
/// they stand in keys, and how many rows.
async fn next_group(
    rows: &mut Pages,
    index: &Index,
    prefix: usize,
) -> Result<Option<(Bytes, i64)>> {
    let mut group: Option<(Bytes, i64)> = None;
    while let Some((key, _)) = rows.peek().await? {
        match leading(index, key, prefix) {
            // Reported already as a row that makes no sense.
            None => {}
            Some(values) => match &mut group {
                None => group = Some((values, 1)),
                Some((same, count)) if *same == values => *count += 1,
                Some(_) => return Ok(group),
            },
        }
        rows.next().await?;
    }
    Ok(group)
}

/// The values of all fields but the last, as they stand in a row's key.
fn leading(index: &Index, key: &Key, prefix: usize) -> Option<Bytes> {
    let values = key.get(prefix..)?;
    let (_, rest) = decode_values(values, index.fields.len().saturating_sub(1))?;
    Some(key.slice(prefix..key.len() - rest.len()))
}
