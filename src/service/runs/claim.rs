//! An attempt at a run: begun, kept by checkpoints, ended. Whoever works on a run
//! holds a claim, a row with the attempt's number; every commit of the attempt expects
//! it, so that an attempt that was taken over writes nothing more.

use std::sync::Arc;

use super::{
    Runs, Stop,
    live::LiveRun,
    log::RunLog,
    rows,
    stored::{Checkpoint, Claim, Worker},
    sync::committed,
};
use crate::{
    base::Instant,
    domain::{
        Tenant,
        job::{
            Job, Run, RunId, RunState,
            run::{Progress, Spent},
            stable_part,
        },
    },
    service::{Result, TenantAccess},
    store::{
        Batch, Condition, Scan, StoreError, Tree, Value, codec,
        keys::{TenantKeys, jobs},
    },
};

/// Attempts that may be broken off one after the other before that counts as a failure.
const INTERRUPTIONS_MAX: u32 = 5;
/// Waits for a retry differ by up to this part of them, in hundredths.
const JITTER: i64 = 10;

/// A run that this process works on.
pub struct Claimed {
    /// The run, as this attempt began.
    pub run: Run,
    /// The job, as it was declared then.
    pub job: Arc<Job>,
    /// The tenant's settings; `None` for the installation.
    pub tenant: Option<Tenant>,
    /// Access to the tenant's data; `None` for the installation.
    pub access: Option<TenantAccess>,
    /// What the attempt begins with.
    pub checkpoint: Checkpoint,
    /// How to stop it, and what it says.
    pub live: Arc<LiveRun>,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It did its work.
    Succeeded,
    /// It failed.
    Failed {
        /// Why.
        error: String,
        /// Whether a further attempt would fail too.
        permanent: bool,
        /// A wait that was asked for, in milliseconds.
        after_ms: Option<i64>,
    },
    /// There was nothing to do, for this reason.
    Skipped(String),
    /// It was stopped.
    Stopped(Stop),
}

/// An attempt's end and what it has cost.
pub struct End {
    /// How it ended.
    pub ended: Ended,
    /// What the attempt has cost.
    pub spent: Spent,
    /// What the run made.
    pub result: Option<(String, String)>,
}

impl Runs {
    /// Begins an attempt at a run that waits; `None` where it does not any more, or
    /// may not.
    pub async fn claim(&self, id: &RunId) -> Result<Option<Claimed>> {
        let Some((run, bytes)) = self.stored(id).await? else {
            return Ok(None);
        };
        let now = self.core.clock.now();
        if run.state != RunState::Queued || run.ready_at > now {
            return Ok(None);
        }
        let state = self.apps.for_reading().await?;
        let tenant = match id.owner.tenant() {
            Some(slug) => match super::sync::tenant(&self.core, &slug).await? {
                Some(tenant) => Some(tenant),
                None => return Ok(None),
            },
            None => None,
        };
        let Some(job) = state.file.jobs.get(&id.job).cloned() else {
            let mut after = run.clone();
            let why = format!("the app file declares no job {} any more", id.job);
            after.end(now, RunState::Cancelled, Some(&why));
            self.replace((&run, &bytes), &after).await?;
            return Ok(None);
        };
        let checkpoint = self.checkpoint_of(id).await?;
        let log = self.stored_log(id).await?;
        let mut after = run.clone();
        after.start(now);
        let live = Arc::new(LiveRun::new(log, after.progress));
        // Before the claim is there: a claim of ours that nobody works on is lost.
        self.live.begin(id, live.clone());
        match self.replace((&run, &bytes), &after).await {
            Ok(true) => {}
            Ok(false) => {
                self.live.end(id);
                return Ok(None);
            }
            Err(error) => {
                self.live.end(id);
                return Err(error);
            }
        }
        let access = tenant.as_ref().map(|tenant| TenantAccess {
            keys: TenantKeys::new(&tenant.id),
            caller: crate::service::Caller::Local,
        });
        Ok(Some(Claimed {
            run: after,
            job,
            tenant,
            access,
            checkpoint,
            live,
        }))
    }

    /// A run as stored.
    pub(super) async fn stored(&self, id: &RunId) -> Result<Option<(Run, Value)>> {
        let row = self.core.engine.get(Tree::Hot, &jobs::run(id)).await?;
        row.map(|row| Ok((codec::decode::<Run>(&row)?, row)))
            .transpose()
    }

    pub(super) async fn checkpoint_of(&self, id: &RunId) -> Result<Checkpoint> {
        let row = self
            .core
            .engine
            .get(Tree::Hot, &jobs::checkpoint(id))
            .await?;
        Ok(row
            .map(|row| codec::decode(&row))
            .transpose()?
            .unwrap_or_default())
    }

    pub(super) async fn stored_log(&self, id: &RunId) -> Result<RunLog> {
        let row = self.core.engine.get(Tree::Hot, &jobs::run_log(id)).await?;
        let log = row.map(|row| codec::decode(&row)).transpose()?;
        Ok(log.unwrap_or_else(|| RunLog::new(self.settings.log_bytes_max)))
    }

    /// Puts a run in the place of what was read; false where it has changed since.
    pub(super) async fn replace(&self, before: (&Run, &Value), after: &Run) -> Result<bool> {
        let mut batch = Batch::default();
        rows::change(&mut batch, before, after, &self.worker)?;
        committed(self.core.engine.commit(batch).await)
    }

    /// Adds to a commit of an attempt that it still holds its claim. The number of
    /// that expectation.
    pub fn fence(&self, batch: &mut Batch, run: &Run) -> Result<usize> {
        let claim = Claim {
            worker: self.worker.clone(),
            attempt: run.attempt,
        };
        let claim = Condition::Value(codec::encode(&claim)?);
        Ok(batch.expect(Tree::Hot, jobs::running(&run.id), claim))
    }

    /// Adds to a commit of an attempt how far it has come.
    pub fn keep(&self, batch: &mut Batch, id: &RunId, checkpoint: &Checkpoint) -> Result<()> {
        let row = codec::encode(checkpoint)?;
        batch.put(Tree::Hot, jobs::checkpoint(id), row);
        Ok(())
    }

    /// Commits a checkpoint; false where the attempt was taken over.
    pub async fn commit_checkpoint(&self, run: &Run, checkpoint: &Checkpoint) -> Result<bool> {
        let mut batch = Batch::default();
        self.fence(&mut batch, run)?;
        self.keep(&mut batch, &run.id, checkpoint)?;
        committed(self.core.engine.commit(batch).await)
    }

    /// Ends an attempt: the run is over, or waits for the next one.
    pub async fn finish(&self, claimed: &Claimed, end: &End) -> Result<Option<Run>> {
        let id = &claimed.run.id;
        let finished = loop {
            let Some((run, bytes)) = self.stored(id).await? else {
                break None;
            };
            let ours = run.state == RunState::Running && run.attempt == claimed.run.attempt;
            if !ours {
                break None;
            }
            let now = self.core.clock.now();
            let mut after = run.clone();
            progressed(&mut after, claimed.live.progress());
            after.spent = run.spent.plus(end.spent);
            after.result = end.result.clone().or(run.result.clone());
            settle(&mut after, &claimed.job, &end.ended, now, &claimed.live);
            let mut batch = Batch::default();
            self.fence(&mut batch, &claimed.run)?;
            rows::change(&mut batch, (&run, &bytes), &after, &self.worker)?;
            let log = codec::encode(&claimed.live.log())?;
            batch.put(Tree::Hot, jobs::run_log(id), log);
            if after.state == RunState::Succeeded {
                batch.delete(Tree::Hot, jobs::checkpoint(id));
            }
            match self.core.engine.commit(batch).await {
                Ok(()) => break Some(after),
                // Taken over.
                Err(StoreError::Conflict { index: 0, .. }) => break None,
                Err(StoreError::Conflict { .. }) => {}
                Err(other) => return Err(other.into()),
            }
        };
        self.live.end(id);
        if let Some(run) = &finished {
            self.ended(run).await?;
        }
        Ok(finished)
    }

    /// What follows from a run that is over, or waits again.
    pub(super) async fn ended(&self, run: &Run) -> Result<()> {
        let id = &run.id;
        match run.state {
            RunState::Queued => self.notify(&id.owner),
            state if state.is_failure() => self.count_failure(&id.job, &id.owner, true).await?,
            RunState::Succeeded => self.count_failure(&id.job, &id.owner, false).await?,
            _ => {}
        }
        if run.state.is_over() {
            self.trim(&id.owner, &id.job).await?;
        }
        Ok(())
    }

    /// Takes the runs of processes that are gone back into the queue, and those of this
    /// one that nobody works on. Where this process is the only one, every claim that is
    /// not its own is such a run.
    pub async fn rescue(&self, gone: impl Fn(&str) -> bool) -> Result<usize> {
        let mut rescued = 0;
        let rows = crate::service::scan::every(&self.core, jobs::RUNNING).await?;
        for (key, value) in rows {
            let Some(id) = jobs::read_running(&key) else {
                continue;
            };
            let claim: Claim = codec::decode(&value)?;
            let lost = match claim.worker == self.worker {
                // Its end could not be written, or its beginning was and nobody knew.
                true => self.live.get(&id).is_none(),
                false => gone(&claim.worker),
            };
            if !lost {
                continue;
            }
            if let Some((run, bytes)) = self.stored(&id).await? {
                let now = self.core.clock.now();
                let mut after = run.clone();
                progressed(&mut after, self.progress_of(&id, &run).await?);
                interrupted(&mut after, "the server that worked on it ended", now);
                let mut batch = Batch::default();
                batch.expect(Tree::Hot, key, Condition::Value(value));
                rows::change(&mut batch, (&run, &bytes), &after, "")?;
                if committed(self.core.engine.commit(batch).await)? {
                    rescued += 1;
                    self.ended(&after).await?;
                }
            }
        }
        Ok(rescued)
    }

    async fn progress_of(&self, id: &RunId, run: &Run) -> Result<Progress> {
        let checkpoint = self.checkpoint_of(id).await?;
        Ok(Progress {
            done: checkpoint.done,
            total: checkpoint.total.or(run.progress.total),
        })
    }

    /// Says that this process lives, where others may want to know, and what the
    /// others say.
    pub async fn beat(&self, beat: u64) -> Result<Vec<(String, u64)>> {
        let mut batch = Batch::default();
        let row = codec::encode(&Worker { beat })?;
        batch.put(Tree::Hot, jobs::worker(&self.worker), row);
        self.core.engine.commit(batch).await?;
        let mut scan = Scan::prefix(Tree::Hot, jobs::WORKERS);
        scan.limit = 1_000;
        let page = self.core.engine.scan(&scan).await?;
        let mut beats = Vec::new();
        for (key, value) in page.rows {
            let name = String::from_utf8_lossy(&key[jobs::WORKERS.len()..]).into_owned();
            beats.push((name, codec::decode::<Worker>(&value)?.beat));
        }
        Ok(beats)
    }

    /// Forgets a process that is gone, or this one at its end.
    pub async fn forget_worker(&self, worker: Option<&str>) -> Result<()> {
        let mut batch = Batch::default();
        let worker = worker.unwrap_or(&self.worker);
        batch.delete(Tree::Hot, jobs::worker(worker));
        Ok(self.core.engine.commit(batch).await?)
    }

    /// Whether this is the only process that works on the store.
    pub fn alone(&self) -> bool {
        self.core.engine.exclusive()
    }
}

/// What an attempt's end makes of its run.
fn settle(run: &mut Run, job: &Job, ended: &Ended, now: Instant, live: &LiveRun) {
    match ended {
        Ended::Succeeded => {
            run.end_attempt(now, "succeeded", None);
            run.interruptions = 0;
            run.end(now, RunState::Succeeded, None);
        }
        Ended::Skipped(why) => {
            run.end_attempt(now, "skipped", Some(why));
            run.end(now, RunState::Skipped, Some(why));
        }
        Ended::Failed {
            error,
            permanent,
            after_ms,
        } => {
            run.end_attempt(now, "failed", Some(error));
            live.say(now, &format!("attempt {} failed: {error}", run.attempt));
            run.interruptions = 0;
            run.failures += 1;
            if *permanent || job.retries.max == 0 {
                run.end(now, RunState::Failed, Some(error));
            } else if run.failures > job.retries.max {
                run.end(now, RunState::Dead, Some(error));
            } else {
                let wait = job.retries.wait_ms(run.failures).max(after_ms.unwrap_or(0));
                let name = run.id.to_string();
                let jitter = stable_part(
                    &[&name, &run.attempt.to_string()],
                    wait.saturating_mul(JITTER) / 100,
                );
                run.end(now, RunState::Failed, Some(error));
                run.requeue(now.plus_ms(wait + jitter));
            }
        }
        Ended::Stopped(Stop::Timeout) => {
            let error = format!(
                "took longer than {}",
                crate::domain::duration::format(job.timeout_ms)
            );
            live.say(now, &error);
            run.end_attempt(now, "timed_out", Some(&error));
            run.end(now, RunState::TimedOut, Some(&error));
        }
        Ended::Stopped(Stop::Cancel(by)) => {
            let error = format!("cancelled by {by}");
            live.say(now, &error);
            run.end_attempt(now, "cancelled", Some(&error));
            run.end(now, RunState::Cancelled, Some(&error));
        }
        Ended::Stopped(Stop::Interrupt(why)) => {
            live.say(now, why);
            interrupted(run, why, now);
        }
    }
}

/// Notes how far an attempt came. One that came further may be broken off as often as
/// it likes.
fn progressed(run: &mut Run, progress: Progress) {
    if progress.done > run.progress.done {
        run.interruptions = 0;
    }
    run.progress = progress;
}

/// An attempt was broken off through no fault of its own: it uses up no retry, unless
/// that happens again and again, which may be its fault after all.
fn interrupted(run: &mut Run, why: &str, now: Instant) {
    run.end_attempt(now, "interrupted", Some(why));
    run.interruptions += 1;
    if run.interruptions > INTERRUPTIONS_MAX {
        let error = format!(
            "broken off {} times in a row; the last time {why}",
            run.interruptions
        );
        run.end(now, RunState::Dead, Some(&error));
    } else {
        run.requeue(now);
    }
}
