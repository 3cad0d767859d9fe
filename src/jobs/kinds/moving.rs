//! Moving records between the tiers, page by page: children first, each commit with
//! how far the run has come, and a pause after each so that requests come first.

use std::time::{Duration, Instant as Moment};

use serde::{Deserialize, Serialize};
use tokio::sync::MutexGuard;

use crate::{
    domain::{Entity, RecordId, archive::Child, job::run::Progress},
    jobs::context::{Context, Failure, checkpoint},
    service::{
        archive::{A_COMMIT, Way},
        records::{Only, Operation, Outcome, OutcomeKind},
    },
    store::{Batch, Tree},
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
    /// Records whose children have moved, or are moving, before themselves: a further
    /// attempt begins with them, so that none is parted from what goes along.
    fn owed(&mut self) -> &mut Vec<(RecordId, Only)>;
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
    let mut page_move = PageMove {
        context,
        pace,
        entity,
        way,
        waiting: Vec::new(),
    };
    for record in page {
        page_move.one(record, before).await?;
    }
    page_move.commit(before, Some(after)).await
}

/// Finishes what an attempt that was broken off left half done.
pub async fn settle_owed<S: Moving>(
    context: &Context,
    pace: &Pace<'_>,
    (entity, way): (&Entity, Way),
    state: &mut S,
) -> Result<(), Failure> {
    let owed = std::mem::take(state.owed());
    if owed.is_empty() {
        return Ok(());
    }
    let after = state.clone();
    *state.owed() = owed.clone();
    move_page(context, pace, (entity, way), owed, (state, after)).await
}

/// A page of records on its way.
struct PageMove<'a> {
    context: &'a Context,
    pace: &'a Pace<'a>,
    entity: &'a Entity,
    way: Way,
    waiting: Vec<Operation>,
}

impl PageMove<'_> {
    fn children(&self) -> &[Child] {
        let rule = self.entity.archive.as_ref();
        rule.map(|rule| &rule.with[..]).unwrap_or_default()
    }

    /// Moves one record, behind its children.
    async fn one<S: Moving>(
        &mut self,
        (id, only): (RecordId, Only),
        state: &mut S,
    ) -> Result<(), Failure> {
        let context = self.context;
        for child in self.children().to_vec() {
            let mut from = None;
            loop {
                let (access, tier) = (context.tenant()?, self.way.from());
                let children = context.archive();
                let children = children.children(access, &child, &id, tier, from);
                let (ids, next) = children.await?;
                if !ids.is_empty() && !state.owed().iter().any(|(owed, _)| *owed == id) {
                    state.owed().push((id.clone(), only));
                }
                for child_id in &ids {
                    let name = child.entity.as_str();
                    let operation = self.way.operation(name, child_id.as_str(), Only::IfThere);
                    self.add(operation, state).await?;
                }
                match next {
                    Some(next) => from = Some(next),
                    None => break,
                }
            }
        }
        let only = match only {
            Only::Anyhow => Only::IfThere,
            only => only,
        };
        let name = self.entity.name.as_str();
        let operation = self.way.operation(name, id.as_str(), only);
        self.add(operation, state).await
    }

    async fn add<S: Moving>(&mut self, operation: Operation, state: &mut S) -> Result<(), Failure> {
        self.waiting.push(operation);
        match self.waiting.len() >= A_COMMIT {
            true => self.commit(state, None).await,
            false => Ok(()),
        }
    }

    /// Commits what waits. With the last part of a page, `state` becomes what it is then.
    async fn commit<S: Moving>(&mut self, state: &mut S, last: Option<S>) -> Result<(), Failure> {
        let context = self.context;
        let operations = std::mem::take(&mut self.waiting);
        let base = match last {
            Some(mut last) => {
                *last.totals() = state.totals().clone();
                *last.owed() = state.owed().clone();
                last
            }
            None => state.clone(),
        };
        let then = |outcomes: &[Outcome]| {
            let mut then = base.clone();
            then.totals().add(outcomes);
            // One that moved has its children with it.
            then.owed().retain(|(id, _)| {
                let moved = |o: &Outcome| self.is(o, id) && self.has_moved(o);
                !outcomes.iter().any(moved)
            });
            then
        };
        let keep = |outcomes: &[Outcome]| {
            let mut then = then(outcomes);
            let progress = then.totals().progress();
            Ok((checkpoint(&then, progress)?, Batch::default()))
        };
        let turn = self.pace.turn().await;
        let done = context.write_and_keep(&operations, &keep).await?;
        let (moved, bytes) = (state.totals().moved, state.totals().bytes);
        *state = then(&done);
        let totals = state.totals();
        context.moved(totals.moved - moved, (totals.bytes - bytes) as usize);
        turn.rest(done.len()).await;
        for (id, _) in state.owed().clone() {
            // It was decided about, and it did not move.
            if done.iter().any(|outcome| self.is(outcome, &id)) {
                self.bring_back(&id).await?;
                state.owed().retain(|(owed, _)| *owed != id);
            }
        }
        Ok(())
    }

    fn is(&self, outcome: &Outcome, id: &RecordId) -> bool {
        outcome.entity == self.entity.name && outcome.id == *id
    }

    fn has_moved(&self, outcome: &Outcome) -> bool {
        match self.way {
            Way::Archive => outcome.kind == OutcomeKind::Archived,
            // A record that was archived again takes its children along by itself.
            Way::Restore => true,
        }
    }

    /// A record that was changed while its children moved stays where it is: so do they.
    async fn bring_back(&self, id: &RecordId) -> Result<(), Failure> {
        let (context, access) = (self.context, self.context.tenant()?);
        let name = self.entity.name.as_str();
        let now = context.records().get(access, name, id.as_str()).await;
        if now.is_ok_and(|record| record.tier == Tree::Archive) {
            // Somebody else archived it.
            return Ok(());
        }
        for child in self.children() {
            let mut after = None;
            loop {
                let turn = self.pace.turn().await;
                let page = context
                    .archive()
                    .move_page(access, child, id, Way::Restore, after);
                let (moved, next) = page.await?;
                turn.rest(moved).await;
                match next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
        }
        Ok(())
    }
}
