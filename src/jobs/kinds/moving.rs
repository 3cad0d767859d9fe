//! Moving records between the tiers, page by page: children first, each commit with
//! how far the run has come, and a pause after each so that requests come first.

use std::time::{Duration, Instant as Moment};

use serde::{Deserialize, Serialize};
use tokio::sync::MutexGuard;

use crate::{
    domain::{Entity, RecordId, job::run::Progress},
    jobs::context::{Context, Failure, checkpoint},
    service::{
        archive::{A_COMMIT, Way},
        records::{Only, Operation, Outcome, OutcomeKind},
    },
    store::Batch,
};

/// Of the time, runs that move records spend this part (in hundredths) working, all of
/// them together, and rest otherwise.
const BUSY: u32 = 50;
/// The longest rest after one commit.
const REST_MAX: Duration = Duration::from_secs(2);

/// How far a run has come: the totals of all kinds that move records.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Records moved.
    pub moved: u64,
    /// Bytes of their JSON.
    pub bytes: u64,
    /// Records that somebody changed meanwhile, and that stay where they are.
    pub stayed: u64,
    /// Records there were to move, where that is known.
    pub total: Option<u64>,
}

impl Totals {
    fn add(&mut self, outcomes: &[Outcome]) {
        for outcome in outcomes {
            match (outcome.kind, &outcome.record) {
                (OutcomeKind::Archived | OutcomeKind::Restored, Some(record)) => {
                    self.moved += 1;
                    self.bytes += record.json.len() as u64;
                }
                _ => self.stayed += 1,
            }
        }
    }

    /// What the run shows.
    pub fn progress(&self) -> Progress {
        Progress {
            done: self.moved,
            // More may have become due meanwhile.
            total: self.total.map(|total| total.max(self.moved)),
        }
    }
}

/// A state that has totals.
pub trait Moving: Clone + Serialize + Send + Sync {
    /// The totals.
    fn totals(&mut self) -> &mut Totals;
}

/// Keeps runs to their part of the time.
pub struct Pace<'a> {
    context: &'a Context,
    per_second: Option<u32>,
}

/// A run's turn to move records: others wait while it works and rests.
pub struct Turn<'a> {
    pace: &'a Pace<'a>,
    began: Moment,
    _turn: MutexGuard<'a, ()>,
}

impl<'a> Pace<'a> {
    /// At most so many records a second.
    pub fn new(context: &'a Context, per_second: Option<u32>) -> Self {
        Self {
            context,
            per_second,
        }
    }

    /// Waits for the run's turn.
    pub async fn turn(&'a self) -> Turn<'a> {
        Turn {
            _turn: self.context.archive().turn().await,
            pace: self,
            began: Moment::now(),
        }
    }
}

impl Turn<'_> {
    /// Rests after the work on so many records.
    pub async fn rest(self, records: usize) {
        let took = self.began.elapsed();
        let rest = (took * (100 - BUSY) / BUSY).min(REST_MAX);
        tokio::time::sleep(rest).await;
        let Some(rate) = self.pace.per_second else {
            return;
        };
        let whole = Duration::from_secs_f64(records as f64 / f64::from(rate));
        let left = whole.saturating_sub(self.began.elapsed());
        // A slow run keeps nobody else waiting.
        drop(self._turn);
        tokio::time::sleep(left).await;
    }
}

/// Moves a page of records with what goes along; `state` is as it is when all of them
/// are moved. Before that the state of `before` is kept: a page that is cut short is
/// read again, and what has moved is no longer in it.
pub async fn move_page<S: Moving>(
    context: &Context,
    pace: &Pace<'_>,
    (entity, way): (&Entity, Way),
    page: Vec<(RecordId, Only)>,
    (before, after): (&mut S, S),
) -> Result<(), Failure> {
    let children = entity.archive.as_ref().map(|rule| &rule.with[..]);
    let children = children.unwrap_or_default();
    let access = context.tenant()?;
    let mut waiting: Vec<Operation> = Vec::new();
    // Records whose children have moved, and who may turn out to stay.
    let mut parents: Vec<RecordId> = Vec::new();
    for (id, only) in page {
        let mut along = 0;
        for child in children {
            let mut from = None;
            loop {
                let found = context
                    .archive()
                    .children(access, child, &id, way.from(), from)
                    .await?;
                let (ids, next) = found;
                along += ids.len();
                for child_id in &ids {
                    let name = child.entity.as_str();
                    waiting.push(way.operation(name, child_id.as_str(), Only::Anyhow));
                    if waiting.len() >= A_COMMIT {
                        let done = commit(context, pace, &mut waiting, before, None).await?;
                        bring_back(context, entity, way, &mut parents, &done).await?;
                    }
                }
                match next {
                    Some(next) => from = Some(next),
                    None => break,
                }
            }
        }
        if along > 0 {
            parents.push(id.clone());
        }
        waiting.push(way.operation(entity.name.as_str(), id.as_str(), only));
        if waiting.len() >= A_COMMIT {
            let done = commit(context, pace, &mut waiting, before, None).await?;
            bring_back(context, entity, way, &mut parents, &done).await?;
        }
    }
    let done = commit(context, pace, &mut waiting, before, Some(after)).await?;
    bring_back(context, entity, way, &mut parents, &done).await
}

/// Commits what waits. With the last part of a page, `state` becomes what it is then.
async fn commit<S: Moving>(
    context: &Context,
    pace: &Pace<'_>,
    waiting: &mut Vec<Operation>,
    state: &mut S,
    last: Option<S>,
) -> Result<Vec<Outcome>, Failure> {
    let operations = std::mem::take(waiting);
    let base = match last {
        Some(mut last) => {
            *last.totals() = state.totals().clone();
            last
        }
        None => state.clone(),
    };
    let then = |outcomes: &[Outcome]| {
        let mut then = base.clone();
        then.totals().add(outcomes);
        then
    };
    let turn = pace.turn().await;
    let keep = |outcomes: &[Outcome]| {
        let mut then = then(outcomes);
        let progress = then.totals().progress();
        Ok((checkpoint(&then, progress)?, Batch::default()))
    };
    let done = context.write_and_keep(&operations, &keep).await?;
    let (moved, bytes) = (state.totals().moved, state.totals().bytes);
    *state = then(&done);
    let totals = state.totals();
    context.moved(totals.moved - moved, (totals.bytes - bytes) as usize);
    turn.rest(done.len()).await;
    Ok(done)
}

/// A record that was changed while its children moved stays where it is: so do they.
async fn bring_back(
    context: &Context,
    entity: &Entity,
    way: Way,
    parents: &mut Vec<RecordId>,
    done: &[Outcome],
) -> Result<(), Failure> {
    let back = match way {
        Way::Archive => Way::Restore,
        // A record that was archived again takes them along by itself.
        Way::Restore => return Ok(()),
    };
    let Some(rule) = &entity.archive else {
        return Ok(());
    };
    let stayed = done.iter().filter(|outcome| {
        outcome.entity == entity.name && !matches!(outcome.kind, OutcomeKind::Archived)
    });
    for outcome in stayed.filter(|outcome| parents.contains(&outcome.id)) {
        let access = context.tenant()?;
        let now = context
            .records()
            .get(access, entity.name.as_str(), outcome.id.as_str());
        if now.await.is_ok_and(|record| record.tier == back.from()) {
            // Somebody else archived it.
            continue;
        }
        for child in &rule.with {
            context
                .archive()
                .move_children(access, child, &outcome.id, back)
                .await?;
        }
    }
    parents.clear();
    Ok(())
}
