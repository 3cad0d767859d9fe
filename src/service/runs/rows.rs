//! Which rows a run has. A change of a run is the difference between its rows
//! before and after, so no list can disagree with the run.

use std::collections::BTreeMap;

use super::stored::Claim;
use crate::{
    domain::job::{Run, RunState},
    service::Result,
    store::{Batch, Condition, Key, Tree, Value, codec, keys::jobs},
};

/// The value of rows that say everything by their key.
pub const MARK: &[u8] = b"1";

/// All rows of a run but its log and its checkpoint. `worker` is who works on it,
/// where it is running.
pub fn of(run: &Run, worker: &str) -> Result<BTreeMap<Key, Value>> {
    let mark = Value::from_static(MARK);
    let mut rows = BTreeMap::from([
        (jobs::run(&run.id), codec::encode(run)?),
        (jobs::listed(&run.id, run.queued_at), mark.clone()),
        (
            jobs::listed_by(&run.id, run.state, run.queued_at),
            mark.clone(),
        ),
    ]);
    match run.state {
        RunState::Queued => drop(rows.insert(jobs::queued(&run.id, run.ready_at), mark)),
        RunState::Running => {
            let claim = Claim {
                worker: worker.into(),
                attempt: run.attempt,
            };
            rows.insert(jobs::running(&run.id), codec::encode(&claim)?);
        }
        _ => {
            let ended_at = run.ended_at.unwrap_or(run.queued_at);
            let good = !run.state.is_failure();
            rows.insert(jobs::done(&run.id, good, ended_at), mark);
        }
    }
    Ok(rows)
}

/// Adds to `batch` that a run is made: it may not be there yet. Gives the number of
/// that expectation.
pub fn insert(batch: &mut Batch, run: &Run) -> Result<usize> {
    let number = batch.expect(Tree::Hot, jobs::run(&run.id), Condition::Absent);
    for (key, value) in of(run, "")? {
        batch.put(Tree::Hot, key, value);
    }
    count_waiting(batch, None, Some(run));
    Ok(number)
}

/// Keeps the number of an owner's runs that wait.
fn count_waiting(batch: &mut Batch, before: Option<&Run>, after: Option<&Run>) {
    let waits = |run: Option<&Run>| i64::from(run.is_some_and(|r| r.state == RunState::Queued));
    let delta = waits(after) - waits(before);
    if let Some(run) = after.or(before).filter(|_| delta != 0) {
        batch.add(Tree::Hot, jobs::waiting(&run.id.owner), delta);
    }
}

/// Adds to `batch` that a run changes: it has to be as `bytes`, which are `before`.
pub fn change(
    batch: &mut Batch,
    (before, bytes): (&Run, &Value),
    after: &Run,
    worker: &str,
) -> Result<usize> {
    let key = jobs::run(&after.id);
    let number = batch.expect(Tree::Hot, key, Condition::Value(bytes.clone()));
    count_waiting(batch, Some(before), Some(after));
    let after = of(after, worker)?;
    for key in of(before, worker)?.into_keys() {
        if !after.contains_key(&key) {
            batch.delete(Tree::Hot, key);
        }
    }
    for (key, value) in after {
        batch.put(Tree::Hot, key, value);
    }
    Ok(number)
}

/// Adds to `batch` that a run is forgotten, log and checkpoint included.
pub fn remove(batch: &mut Batch, run: &Run, bytes: &Value) -> Result<()> {
    batch.expect(
        Tree::Hot,
        jobs::run(&run.id),
        Condition::Value(bytes.clone()),
    );
    for key in of(run, "")?.into_keys() {
        batch.delete(Tree::Hot, key);
    }
    count_waiting(batch, Some(run), None);
    batch.delete(Tree::Hot, jobs::run_log(&run.id));
    batch.delete(Tree::Hot, jobs::checkpoint(&run.id));
    Ok(())
}
