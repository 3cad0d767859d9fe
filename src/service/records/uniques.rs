//! Rows of unique indexes within one batch: who gives one up, who takes it, and
//! who holds it already.

use std::collections::BTreeMap;

use super::stage::Meaning;
use crate::{
    domain::IndexName,
    service::{Code, Core, Error, Result},
    store::{Batch, Condition, Key, Tree, Value},
};

/// A row that an operation takes.
struct Taken {
    operation: usize,
    index: IndexName,
    tier: Tree,
    value: Value,
}

/// The unique rows of a batch, resolved when all operations are staged.
#[derive(Default)]
pub(super) struct Uniques {
    freed: BTreeMap<Key, (Tree, Value)>,
    taken: BTreeMap<Key, Taken>,
    /// Why they cannot all have what they take.
    refusal: Option<Error>,
}

impl Uniques {
    /// An operation gives a row up.
    pub fn free(&mut self, key: Key, tier: Tree, value: Value) {
        self.freed.insert(key, (tier, value));
    }

    /// An operation takes a row.
    pub fn take(
        &mut self,
        operation: usize,
        index: &IndexName,
        key: Key,
        (tier, value): (Tree, Value),
    ) {
        if let Some(first) = self.taken.get(&key) {
            let refusal = || violation(index, &first.value).with("operation", operation);
            self.refusal.get_or_insert_with(refusal);
            return;
        }
        let index = index.clone();
        self.taken.insert(
            key,
            Taken {
                operation,
                index,
                tier,
                value,
            },
        );
    }

    /// Adds the rows to `batch`, each once, with what is expected of them. Where two
    /// operations take the same one, or another record holds it, which is expected then,
    /// the refusal is answered.
    pub async fn resolve(
        self,
        core: &Core,
        batch: &mut Batch,
        meanings: &mut Vec<Meaning>,
    ) -> Result<Option<Error>> {
        if self.refusal.is_some() {
            return Ok(self.refusal);
        }
        for (key, (tier, value)) in &self.freed {
            let taken = self.taken.get(key);
            if taken.is_some() {
                batch.expect(*tier, key.clone(), Condition::Value(value.clone()));
                meanings.push(Meaning::Raced);
            }
            if taken.is_none_or(|taken| taken.tier != *tier) {
                batch.delete(*tier, key.clone());
            }
        }
        for (key, taken) in self.taken {
            if !self.freed.contains_key(&key) {
                // Archived records keep their values to themselves, too.
                for tier in Tree::ALL {
                    // The record's own row came meanwhile, from the building of the
                    // index: the commit sees it, and the write is planned again.
                    let holder = core.engine.get(tier, &key).await?;
                    if let Some(holder) = holder.filter(|holder| *holder != taken.value) {
                        let error = violation(&taken.index, &holder);
                        batch.expect(tier, key, Condition::Value(holder));
                        meanings.push(Meaning::Raced);
                        return Ok(Some(error.with("operation", taken.operation)));
                    }
                    batch.expect(tier, key.clone(), Condition::Absent);
                    meanings.push(Meaning::Raced);
                }
            }
            batch.put(taken.tier, key, taken.value);
        }
        Ok(None)
    }
}

fn violation(index: &IndexName, holder: &[u8]) -> Error {
    let first = String::from_utf8_lossy(holder);
    Error::new(
        Code::UniqueViolation,
        format!(
            "The record {first:?} has the same values, and the index {index} is unique; change one of them."
        ),
    )
    .with("index", index.as_str())
    .with("record", first)
}
