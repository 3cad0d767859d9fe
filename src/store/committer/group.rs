//! A group of batches that will be one write of the engine.

use std::{collections::HashMap, sync::Arc};

use foldhash::fast::RandomState;
use tokio::sync::oneshot;

use super::{CommitterOptions, Position, SEQUENCE_KEY, Shared, Submission};
use crate::store::engine::{
    Applied, Batch, Condition, Key, Result, StoreError, Tree, Value, Write,
};

/// Values by tree and key.
#[derive(Debug, Clone, Default)]
pub struct Values([HashMap<Key, Option<Value>, RandomState>; 2]);

type Reply = oneshot::Sender<Result<()>>;

/// Found bytes that a conflict carries.
const FOUND_BYTES_MAX: usize = 1024;

/// Values above this size are read again rather than kept with the group.
const BEFORE_BYTES_MAX: usize = 4096;

impl Values {
    fn get(&self, tree: Tree, key: &[u8]) -> Option<&Option<Value>> {
        self.0[tree as usize].get(key)
    }

    fn insert(&mut self, tree: Tree, key: Key, value: Option<Value>) {
        self.0[tree as usize].insert(key, value);
    }

    fn extend(&mut self, other: Values) {
        for (all, more) in self.0.iter_mut().zip(other.0) {
            all.extend(more);
        }
    }

    fn is_empty(&self) -> bool {
        self.0.iter().all(HashMap::is_empty)
    }

    fn iter(&self) -> impl Iterator<Item = (Tree, &Key, &Option<Value>)> {
        let of = |tree: Tree| self.0[tree as usize].iter().map(move |(k, v)| (tree, k, v));
        Tree::ALL.into_iter().flat_map(of)
    }
}

/// A group that is being gathered.
pub struct Group {
    /// What the group before writes, as far as that is not on disk yet.
    in_flight: Arc<Values>,
    /// What this group writes.
    written: Values,
    /// What was there before the group, of keys that were looked at and are not large.
    before: Values,
    replies: Vec<Reply>,
    refusals: Vec<(Reply, StoreError)>,
    /// Batches that were looked at, also those refused.
    seen: usize,
    bytes: usize,
    sequence: u64,
}

/// What a group has room for.
#[derive(Debug, Clone, Copy)]
pub enum Room {
    /// Any batch: the group is empty.
    Any,
    /// A batch of at most so many bytes.
    Bytes(usize),
    /// No further batch.
    None,
}

/// A group that is ready to be written.
pub struct Prepared {
    /// Every key once, in order.
    pub writes: Vec<Applied>,
    /// Who waits.
    pub replies: Vec<Reply>,
    /// Who was refused for what is not on disk yet, and hears of it when it is.
    pub refusals: Vec<(Reply, StoreError)>,
    /// Bytes of keys and values.
    pub bytes: usize,
}

impl Group {
    /// An empty group behind what is on its way.
    pub fn behind(position: &Position) -> Self {
        Self {
            in_flight: position.in_flight.clone(),
            written: Values::default(),
            before: Values::default(),
            replies: Vec::new(),
            refusals: Vec::new(),
            seen: 0,
            bytes: 0,
            sequence: position.sequence,
        }
    }

    /// What else fits. An empty group takes any batch. Refused batches count, so
    /// that a stream of them does not hold back those admitted before.
    pub fn room(&self, options: &CommitterOptions) -> Room {
        if self.replies.is_empty() && self.refusals.is_empty() {
            return Room::Any;
        }
        match self.seen < options.group_batches {
            true => Room::Bytes(options.group_bytes.saturating_sub(self.bytes)),
            false => Room::None,
        }
    }

    /// Takes a batch whose expectations hold. One that is refused for what is on
    /// disk is given back, to be told at once; one refused for what is on its way
    /// there waits with the group: a conflict tells of nothing that a crash may
    /// still undo, and who tries again after it finds what it lost against.
    pub fn admit(
        &mut self,
        shared: &Shared,
        submission: Submission,
    ) -> Option<(Reply, StoreError)> {
        let Submission {
            batch,
            bytes,
            reply,
        } = submission;
        self.seen += 1;
        let staged = self.check(shared, &batch);
        match staged.and_then(|()| self.stage(shared, &batch)) {
            Ok(staged) => {
                self.bytes += bytes;
                self.written.extend(staged);
                self.replies.push(reply);
                self.sequence += u64::from(!batch.writes.is_empty());
                None
            }
            Err(error) => {
                shared.metrics.refused();
                if self.is_unwritten(&batch, &error) {
                    self.refusals.push((reply, error));
                    return None;
                }
                Some((reply, error))
            }
        }
    }

    /// Whether the key that a batch failed for may not be on disk yet.
    fn is_unwritten(&self, batch: &Batch, error: &StoreError) -> bool {
        let StoreError::Conflict { index, .. } = error else {
            return false;
        };
        batch.expectations.get(*index).is_some_and(|expected| {
            let is_in = |values: &Values| values.get(expected.tree, &expected.key).is_some();
            is_in(&self.written) || is_in(&self.in_flight)
        })
    }

    fn check(&mut self, shared: &Shared, batch: &Batch) -> Result<()> {
        for (index, expectation) in batch.expectations.iter().enumerate() {
            let found = self.value(shared, expectation.tree, &expectation.key)?;
            if !expectation.condition.holds(found.as_deref()) {
                let found = match &expectation.condition {
                    Condition::Present => None,
                    _ => found.map(|v| v.slice(..v.len().min(FOUND_BYTES_MAX))),
                };
                return Err(StoreError::Conflict { index, found });
            }
        }
        Ok(())
    }

    /// The batch's writes as values; all or nothing of them is then kept.
    fn stage(&mut self, shared: &Shared, batch: &Batch) -> Result<Values> {
        let mut staged = Values::default();
        for write in &batch.writes {
            match write {
                Write::Put { tree, key, value } => {
                    staged.insert(*tree, key.clone(), Some(value.clone()));
                }
                Write::Delete { tree, key } => staged.insert(*tree, key.clone(), None),
                Write::Add { tree, key, delta } => {
                    let now = match staged.get(*tree, key) {
                        Some(value) => value.clone(),
                        None => self.value(shared, *tree, key)?,
                    };
                    let sum = crate::store::codec::decode_counter(now.as_ref())?
                        .checked_add(*delta)
                        .ok_or_else(|| StoreError::Corrupt("a counter overflows".into()))?;
                    let value = (sum != 0).then(|| Value::copy_from_slice(&sum.to_le_bytes()));
                    staged.insert(*tree, key.clone(), value);
                }
            }
        }
        Ok(staged)
    }

    /// A key's value when all that is admitted so far will be written.
    fn value(&mut self, shared: &Shared, tree: Tree, key: &Key) -> Result<Option<Value>> {
        let known = self.written.get(tree, key);
        if let Some(value) = known.or_else(|| self.before.get(tree, key)) {
            return Ok(value.clone());
        }
        let value = match self.in_flight.get(tree, key) {
            Some(value) => value.clone(),
            None => shared.look_up(tree, key)?,
        };
        if value
            .as_ref()
            .is_none_or(|value| value.len() <= BEFORE_BYTES_MAX)
        {
            self.before.insert(tree, key.clone(), value.clone());
        }
        Ok(value)
    }

    /// How many batches were looked at.
    pub fn seen(&self) -> usize {
        self.seen
    }

    /// The group as it is applied, and what the next group is prepared on: its values
    /// and the change sequence. A group that writes nothing leaves the one before in
    /// sight.
    pub fn finish(mut self) -> (Prepared, Position) {
        let mut writes = Vec::new();
        let mut in_sight = self.in_flight;
        if !self.written.is_empty() {
            let sequence = Value::copy_from_slice(&self.sequence.to_le_bytes());
            let key = Key::from_static(SEQUENCE_KEY.as_bytes());
            self.before
                .insert(Tree::Hot, key.clone(), Some(sequence.clone()));
            self.written.insert(Tree::Hot, key, Some(sequence));
            let before = &self.before;
            writes.extend(self.written.iter().map(|(tree, key, value)| {
                Applied {
                    tree,
                    key: key.clone(),
                    value: value.clone(),
                    replaced_bytes: before
                        .get(tree, key)
                        .map(|value| value.as_ref().map_or(0, Value::len)),
                }
            }));
            writes.sort_unstable_by(|a, b| (a.tree, &a.key).cmp(&(b.tree, &b.key)));
            in_sight = Arc::new(self.written);
        }
        let prepared = Prepared {
            writes,
            replies: self.replies,
            refusals: self.refusals,
            bytes: self.bytes,
        };
        let reached = Position {
            in_flight: in_sight,
            sequence: self.sequence,
        };
        (prepared, reached)
    }
}
