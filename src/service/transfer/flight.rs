//! Rows on their way into the store: batches of one tenant each, tenants side by
//! side.
//!
//! The rows of one record take effect in their order: a batch holds a record
//! once, and a later row of it waits for a later batch. A row that is refused
//! leaves its batch, and the others are tried again without it. One that is refused
//! for another record's unique values is tried once more in its turn, alone: an
//! earlier row that gives the values up may have been waiting.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::Duration;

use futures_util::{StreamExt as _, stream};

use super::stops;
use crate::service::{
    Code, Error, Result, TenantAccess,
    records::{Action, Operation, OutcomeKind, Records},
};

/// Rows of one commit.
const BATCH_ROWS: usize = 100;
/// Or as many bytes of them.
const BATCH_BYTES: usize = 1 << 20;
/// Tenants that are written to side by side.
const TENANTS_AT_ONCE: usize = 32;
/// A queue that is full for a moment is asked again so often before the import stops.
const BUSY_TRIES: u32 = 50;
const BUSY_WAIT: Duration = Duration::from_millis(100);

/// One row, ready to be written.
pub(super) struct Pending {
    line: u64,
    operation: Operation,
    /// Goes in a batch of its own, when all rows before it are written.
    alone: bool,
}

impl Pending {
    pub fn new(line: u64, operation: Operation) -> Self {
        Self {
            line,
            operation,
            alone: false,
        }
    }
}

/// Rows that are written together.
#[derive(Default)]
pub(super) struct Flight {
    tenants: BTreeMap<String, Lane>,
    rows: usize,
    bytes: usize,
}

/// The rows of one tenant, in their order.
struct Lane {
    access: TenantAccess,
    rows: VecDeque<Pending>,
}

/// What became of the rows.
#[derive(Default)]
pub(super) struct Landed {
    pub created: u64,
    pub updated: u64,
    pub unchanged: u64,
    /// Rows that were refused: the line and why.
    pub failed: Vec<(u64, Error)>,
    /// Why the rest was not written.
    pub stopped: Option<Error>,
}

impl Flight {
    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// How many bytes of data they have.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes a row on.
    pub fn add(&mut self, access: &TenantAccess, row: Pending) {
        self.rows += 1;
        self.bytes += row.operation.body.len();
        let lane = self
            .tenants
            .entry(access.tenant().to_owned())
            .or_insert_with(|| Lane {
                access: access.clone(),
                rows: VecDeque::new(),
            });
        lane.rows.push_back(row);
    }

    /// Writes all rows and waits for them.
    pub async fn land(self, records: &Records) -> Landed {
        let lanes = self.tenants.into_values();
        let written = stream::iter(lanes.map(|lane| lane.land(records)))
            .buffer_unordered(TENANTS_AT_ONCE)
            .collect::<Vec<Landed>>()
            .await;
        let mut all = Landed::default();
        for landed in written {
            all.created += landed.created;
            all.updated += landed.updated;
            all.unchanged += landed.unchanged;
            all.failed.extend(landed.failed);
            all.stopped = all.stopped.or(landed.stopped);
        }
        all.failed.sort_by_key(|(line, _)| *line);
        all
    }
}

impl Lane {
    async fn land(mut self, records: &Records) -> Landed {
        let mut landed = Landed::default();
        while landed.stopped.is_none() && !self.rows.is_empty() {
            let batch = self.next_batch();
            let again = write_batch(records, &self.access, batch, &mut landed).await;
            for row in again {
                let place = self.rows.partition_point(|other| other.line < row.line);
                self.rows.insert(place, Pending { alone: true, ..row });
            }
        }
        landed
    }

    /// The first rows, no two of one record; rows that cannot come along keep
    /// their order.
    fn next_batch(&mut self) -> Vec<Pending> {
        let mut batch = Vec::new();
        let mut seen = HashSet::new();
        let mut waiting = VecDeque::new();
        let mut bytes = 0;
        while let Some(row) = self.rows.pop_front() {
            if row.alone && batch.is_empty() && waiting.is_empty() {
                return vec![row];
            }
            if batch.len() == BATCH_ROWS || (bytes >= BATCH_BYTES && !batch.is_empty()) {
                waiting.push_back(row);
                break;
            }
            let first = record_of(&row).is_none_or(|record| seen.insert(record));
            if first && !row.alone {
                bytes += row.operation.body.len();
                batch.push(row);
            } else {
                waiting.push_back(row);
            }
        }
        while let Some(row) = waiting.pop_back() {
            self.rows.push_front(row);
        }
        batch
    }
}

/// The record that a row is about; `None` where it gets its id later.
fn record_of(row: &Pending) -> Option<(String, String)> {
    match &row.operation.action {
        Action::Import { id: Some(id), .. } => Some((row.operation.entity.clone(), id.clone())),
        _ => None,
    }
}

/// Writes a batch, without the rows that are refused; answers those that are to
/// be tried again.
async fn write_batch(
    records: &Records,
    access: &TenantAccess,
    batch: Vec<Pending>,
    landed: &mut Landed,
) -> Vec<Pending> {
    let alone = batch.iter().all(|row| row.alone);
    let (mut lines, mut operations): (Vec<_>, Vec<_>) = batch
        .into_iter()
        .map(|row| (row.line, row.operation))
        .unzip();
    let mut again = Vec::new();
    while !operations.is_empty() {
        let error = match apply(records, access, &operations).await {
            Ok(kinds) => {
                kinds.iter().for_each(|kind| landed.count(*kind));
                break;
            }
            Err(error) => error,
        };
        if stops(&error) {
            landed.stopped = Some(error);
            break;
        }
        let number = match number_of(&error).filter(|number| *number < operations.len()) {
            Some(number) => number,
            None if operations.len() == 1 => 0,
            // The batch as a whole is refused: each row finds out for itself.
            None => {
                let rows = lines.into_iter().zip(operations);
                again.extend(rows.map(|(line, operation)| Pending::new(line, operation)));
                break;
            }
        };
        let row = Pending::new(lines.remove(number), operations.remove(number));
        if error.code == Code::UniqueViolation && !alone {
            again.push(row);
        } else {
            landed.failed.push((row.line, error));
        }
    }
    again
}

impl Landed {
    fn count(&mut self, kind: OutcomeKind) {
        match kind {
            OutcomeKind::Created => self.created += 1,
            OutcomeKind::Unchanged => self.unchanged += 1,
            OutcomeKind::Updated
            | OutcomeKind::Deleted
            | OutcomeKind::Archived
            | OutcomeKind::Restored
            | OutcomeKind::Purged => self.updated += 1,
        }
    }
}

/// The operation that an error is about.
fn number_of(error: &Error) -> Option<usize> {
    usize::try_from(error.members.get("operation")?.as_u64()?).ok()
}

/// One commit; one that the store had no room for is tried again for a while.
async fn apply(
    records: &Records,
    access: &TenantAccess,
    operations: &[Operation],
) -> Result<Vec<OutcomeKind>> {
    let mut tries = 0;
    loop {
        match records.apply(access, operations).await {
            Ok(outcomes) => return Ok(outcomes.iter().map(|outcome| outcome.kind).collect()),
            Err(error) if error.retry_after_s.is_some() && tries < BUSY_TRIES => {
                tries += 1;
                tokio::time::sleep(BUSY_WAIT).await;
            }
            Err(error) => return Err(error),
        }
    }
}
