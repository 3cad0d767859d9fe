//! The counters of legal holds against the holds: what a counter misses would be
//! deleted, and what it has too much could never be.

use std::collections::BTreeMap;

use super::{Kind, PAUSE, Run, TRIES_MAX, pages::Pages, quiet};
use crate::{
    service::{
        Result,
        holds::{self, Hold},
    },
    store::{
        Batch, Condition, Key, Scan, StoreError, Tree, Value,
        codec::{decode, decode_counter, encode_counter},
        keys::TenantKeys,
    },
};

impl Run<'_> {
    /// Compares the counters of a tenant's holds.
    pub(super) async fn holds_counted(&mut self, keys: &TenantKeys) -> Result<()> {
        for _ in 0..TRIES_MAX {
            let family = keys.hold("");
            let before = self.core.engine.generation(&family);
            let stands = self.counters_of_holds(keys).await?;
            let wrong = wrong(&self.holds(keys).await?, &stands);
            if wrong.is_empty() {
                return Ok(());
            }
            if !quiet(before, self.core.engine.generation(&family)) {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            let mut repaired = false;
            if self.options.repair {
                match self.core.engine.commit(repair(&wrong, &stands)).await {
                    Ok(()) => repaired = true,
                    Err(StoreError::Conflict { .. }) => continue,
                    Err(error) => return Err(error.into()),
                }
            }
            for (key, count) in wrong {
                let detail = format!("the counter is to say that there are {count} legal holds");
                self.report.push(Kind::Counter, &key, detail, repaired);
            }
            return Ok(());
        }
        self.report.unsettled += 1;
        Ok(())
    }

    async fn counters_of_holds(&self, keys: &TenantKeys) -> Result<BTreeMap<Key, Value>> {
        let scan = Scan::prefix(Tree::Hot, keys.all_held());
        let mut pages = Pages::new(&self.core.engine, scan);
        let mut stands = BTreeMap::new();
        while let Some((key, value)) = pages.next().await? {
            stands.insert(key, value);
        }
        Ok(stands)
    }

    /// How many holds there are, by counter. One that cannot be read is named elsewhere.
    async fn holds(&self, keys: &TenantKeys) -> Result<BTreeMap<Key, i64>> {
        let mut pages = Pages::new(&self.core.engine, Scan::prefix(Tree::Hot, keys.hold("")));
        let mut counted = BTreeMap::new();
        while let Some((_, value)) = pages.next().await? {
            let Ok(hold) = decode::<Hold>(&value) else {
                continue;
            };
            for key in holds::counters(keys, &hold)? {
                *counted.entry(key).or_default() += 1;
            }
        }
        Ok(counted)
    }
}

/// What the wrong counters are to say.
fn wrong(counted: &BTreeMap<Key, i64>, stands: &BTreeMap<Key, Value>) -> BTreeMap<Key, i64> {
    let all = counted.keys().chain(stands.keys());
    let should = all.map(|key| (key.clone(), counted.get(key).copied().unwrap_or(0)));
    let right = |key: &Key, count: i64| decode_counter(stands.get(key)).ok() == Some(count);
    should.filter(|(key, count)| !right(key, *count)).collect()
}

fn repair(wrong: &BTreeMap<Key, i64>, stands: &BTreeMap<Key, Value>) -> Batch {
    let mut batch = Batch::default();
    for (key, count) in wrong {
        let as_read = stands.get(key).cloned();
        let as_read = as_read.map_or(Condition::Absent, Condition::Value);
        batch.expect(Tree::Hot, key.clone(), as_read);
        match count {
            0 => batch.delete(Tree::Hot, key.clone()),
            count => batch.put(Tree::Hot, key.clone(), encode_counter(*count)),
        }
    }
    batch
}
