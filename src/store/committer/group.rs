//! A group of batches that will be one write of the engine.

use std::{cell::RefCell, collections::HashMap, sync::Arc};

use tokio::sync::oneshot;

use super::{CommitterMetrics, CommitterOptions, SEQUENCE_KEY, Shared, Submission};
use crate::store::engine::{
    Applied, Batch, Condition, Key, Result, StoreError, Tree, Value, Write,
};

/// Values as they will be.
type Overlay = HashMap<(Tree, Key), Option<Value>>;
type Reply = oneshot::Sender<Result<()>>;

/// Found bytes that a conflict carries.
const FOUND_BYTES_MAX: usize = 1024;

/// A group that is being gathered.
pub struct Group<'a> {
    shared: &'a Shared,
    in_flight: Arc<Overlay>,
    overlay: Overlay,
    /// Bytes of values as they were before the group, of keys that were looked at.
    before: RefCell<HashMap<(Tree, Key), usize>>,
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

impl<'a> Group<'a> {
    /// An empty group behind the one `in_flight`.
    pub fn new(shared: &'a Shared, in_flight: Arc<Overlay>, sequence: u64) -> Self {
        let overlay = Overlay::new();
        Self {
            shared,
            in_flight,
            overlay,
            before: RefCell::default(),
            replies: Vec::new(),
            refusals: Vec::new(),
            seen: 0,
            bytes: 0,
            sequence,
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
        submission: Submission,
        metrics: &CommitterMetrics,
    ) -> Option<(Reply, StoreError)> {
        let Submission {
            batch,
            bytes,
            reply,
        } = submission;
        self.seen += 1;
        match self.check(&batch).and_then(|()| self.stage(&batch)) {
            Ok(staged) => {
                self.bytes += bytes;
                self.overlay.extend(staged);
                self.replies.push(reply);
                self.sequence += u64::from(!batch.writes.is_empty());
                None
            }
            Err(error) => {
                metrics.refused();
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
        batch.expectations.get(*index).is_some_and(|expectation| {
            let at = (expectation.tree, expectation.key.clone());
            self.overlay.contains_key(&at) || self.in_flight.contains_key(&at)
        })
    }

    fn check(&self, batch: &Batch) -> Result<()> {
        for (index, expectation) in batch.expectations.iter().enumerate() {
            let found = self.value(expectation.tree, &expectation.key)?;
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
    fn stage(&self, batch: &Batch) -> Result<Overlay> {
        let mut staged = Overlay::with_capacity(batch.writes.len());
        for write in &batch.writes {
            match write {
                Write::Put { tree, key, value } => {
                    staged.insert((*tree, key.clone()), Some(value.clone()));
                }
                Write::Delete { tree, key } => {
                    staged.insert((*tree, key.clone()), None);
                }
                Write::Add { tree, key, delta } => {
                    let at = (*tree, key.clone());
                    let now = match staged.get(&at) {
                        Some(value) => value.clone(),
                        None => self.value(*tree, key)?,
                    };
                    let sum = crate::store::codec::decode_counter(now.as_ref())?
                        .checked_add(*delta)
                        .ok_or_else(|| StoreError::Corrupt("a counter overflows".into()))?;
                    let value = (sum != 0).then(|| Value::copy_from_slice(&sum.to_le_bytes()));
                    staged.insert(at, value);
                }
            }
        }
        Ok(staged)
    }

    /// A key's value when all that is admitted so far will be written.
    fn value(&self, tree: Tree, key: &Key) -> Result<Option<Value>> {
        let at = (tree, key.clone());
        if let Some(value) = self.overlay.get(&at) {
            return Ok(value.clone());
        }
        let value = match self.in_flight.get(&at) {
            Some(value) => value.clone(),
            None => self.shared.look_up(tree, key)?,
        };
        let bytes = value.as_ref().map_or(0, Value::len);
        self.before.borrow_mut().insert(at, bytes);
        Ok(value)
    }

    /// Adds the change sequence, where anything changed; answers its value.
    pub fn finish(&mut self) -> u64 {
        if !self.overlay.is_empty() {
            let value = Value::copy_from_slice(&self.sequence.to_le_bytes());
            let at = (Tree::Hot, Key::from_static(SEQUENCE_KEY.as_bytes()));
            self.before.get_mut().insert(at.clone(), value.len());
            self.overlay.insert(at, Some(value));
        }
        self.sequence
    }

    /// What the next group sees of this one. A group that writes nothing leaves
    /// the one before in sight.
    pub fn overlay(&self) -> Arc<Overlay> {
        if self.overlay.is_empty() {
            self.in_flight.clone()
        } else {
            Arc::new(self.overlay.clone())
        }
    }

    /// The group as the applier takes it.
    pub fn into_prepared(self) -> Prepared {
        let before = self.before.into_inner();
        let writes = self.overlay.into_iter().map(|(at, value)| Applied {
            replaced_bytes: before.get(&at).copied(),
            tree: at.0,
            key: at.1,
            value,
        });
        let mut writes: Vec<_> = writes.collect();
        writes.sort_unstable_by(|a, b| (a.tree, &a.key).cmp(&(b.tree, &b.key)));
        Prepared {
            writes,
            replies: self.replies,
            refusals: self.refusals,
            bytes: self.bytes,
        }
    }
}
