//! The tee: while a backup reads the store, it is handed every group of writes that was
//! applied meanwhile, in order.
//!
//! Pages that are read one after the other are no point in time. But a page followed by
//! every later change of its keys is one: the store as of the last change. So a tee is
//! opened before the first page is read and closed after the last one, each between two
//! groups, never inside one.

use std::sync::Arc;

use super::{SEQUENCE_KEY, Shared, lock};
use crate::{
    base::sync::Mutex,
    store::engine::{Applied, Result, StoreError, Tree},
};

/// Bytes that a reader of the tee may be behind: writers never wait for it.
pub const TEE_BYTES_MAX: usize = 64 << 20;
/// What a change takes besides its key and value, roughly.
const CHANGE_BYTES: usize = 128;

/// What is waiting for the reader.
#[derive(Default)]
struct Waiting {
    changes: Vec<Applied>,
    bytes: usize,
    /// Why the tee is of no use any more.
    broken: Option<StoreError>,
}

/// The committer's end.
#[derive(Clone)]
pub struct TeeIn {
    waiting: Arc<Mutex<Waiting>>,
    bytes_max: usize,
}

impl TeeIn {
    /// A group was applied. Called before anybody is told of it.
    pub fn applied(&self, writes: &[Applied]) {
        let mut waiting = lock(&self.waiting);
        if waiting.broken.is_some() {
            return;
        }
        let bytes = writes.iter().map(|write| {
            let value = write.value.as_ref().map_or(0, |value| value.len());
            CHANGE_BYTES + write.key.len() + value
        });
        waiting.bytes += bytes.sum::<usize>();
        if waiting.bytes > self.bytes_max {
            waiting.changes = Vec::new();
            waiting.broken = Some(StoreError::Io(format!(
                "writes came faster than the backup could be written: more than {} bytes of them waited",
                self.bytes_max
            )));
            return;
        }
        waiting.changes.extend_from_slice(writes);
    }

    /// A group failed: what readers see of it is unknown.
    pub fn failed(&self) {
        let mut waiting = lock(&self.waiting);
        waiting.changes = Vec::new();
        waiting.broken = Some(StoreError::Io(
            "a write of the store failed meanwhile".into(),
        ));
    }
}

/// The reader's end of a tee; closed when it is dropped.
pub struct Tee {
    shared: Arc<Shared>,
    waiting: Arc<Mutex<Waiting>>,
}

impl Tee {
    /// Opens the tee behind the group that is being applied, if one is. One at a time.
    pub(super) fn open(shared: Arc<Shared>, bytes_max: usize) -> Result<Self> {
        let waiting = Arc::default();
        let mut slot = lock(&shared.tee);
        if slot.is_some() {
            return Err(StoreError::Busy);
        }
        *slot = Some(TeeIn {
            waiting: Arc::clone(&waiting),
            bytes_max,
        });
        drop(slot);
        Ok(Self { shared, waiting })
    }

    /// The changes since the last call, in order.
    pub fn take(&self) -> Result<Vec<Applied>> {
        let mut waiting = lock(&self.waiting);
        if let Some(error) = &waiting.broken {
            return Err(error.clone());
        }
        waiting.bytes = 0;
        Ok(std::mem::take(&mut waiting.changes))
    }

    /// Ends it behind the group that is being applied, if one is: the last changes, the
    /// change sequence behind them, and what `now` says at that very moment. Whatever was
    /// answered before `now` is among the changes or in pages read earlier; whatever is
    /// in neither is answered after it.
    pub fn close<T>(self, now: impl FnOnce() -> T) -> Result<(Vec<Applied>, u64, T)> {
        let mut slot = lock(&self.shared.tee);
        *slot = None;
        let at = now();
        let sequence = self.shared.engine.get(Tree::Hot, SEQUENCE_KEY.as_bytes())?;
        drop(slot);
        let sequence = super::read_sequence(sequence)?;
        Ok((self.take()?, sequence, at))
    }
}

impl Drop for Tee {
    fn drop(&mut self) {
        let mut slot = lock(&self.shared.tee);
        // It may have been closed, and another one opened since.
        if slot
            .as_ref()
            .is_some_and(|tee| Arc::ptr_eq(&tee.waiting, &self.waiting))
        {
            *slot = None;
        }
    }
}
