//! Jobs and runs as the API shows them.

use serde::Serialize;
use utoipa::ToSchema;

use super::{Runs, log::RunLog, stored::Pause};
use crate::{
    base::Instant,
    domain::{
        duration,
        job::{Job, Missed, Overlap, Reason, Run, RunId, RunState, Scope, Zone, run::Progress},
    },
    service::Result,
};

/// A job.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct JobView {
    /// Its name.
    pub name: String,
    /// What it does.
    pub kind: String,
    /// When, as in the app file; null where it runs only by hand.
    #[schema(required = true)]
    pub schedule: Option<String>,
    /// `tenant`, or an IANA time zone.
    pub timezone: String,
    /// `each-tenant` or `installation`.
    pub r#for: String,
    /// Each tenant has its own offset below this.
    pub spread: String,
    /// An attempt is ended after this.
    pub timeout: String,
    /// Further attempts after a failed one.
    pub retries: u32,
    /// `skip`, `queue` or `cancel-running`.
    pub overlap: String,
    /// `run-once` or `skip`.
    pub missed: String,
    /// Why it is paused, where it is for everybody.
    #[schema(required = true)]
    pub paused: Option<String>,
    /// When it is due next for anybody; null where that is not among the next 5,000
    /// due times of the installation.
    #[schema(required = true)]
    pub next_at: Option<String>,
    /// The latest run.
    #[schema(required = true)]
    pub last_run: Option<RunView>,
}

/// A run.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RunView {
    /// Its name: tenant, job and slot.
    pub id: String,
    /// The job.
    pub job: String,
    /// The tenant; null where it is the installation's.
    #[schema(required = true)]
    pub tenant: Option<String>,
    /// The moment of the schedule that it stands for, or when it was asked for.
    pub slot: String,
    /// Where it stands.
    pub state: RunState,
    /// Why it is there.
    pub reason: Reason,
    /// The current or last attempt, from 1; 0 before the first.
    pub attempt: u32,
    /// When it was queued.
    pub queued_at: String,
    /// When its time was: the slot and the tenant's offset.
    pub due_at: String,
    /// Where it waits: not before.
    #[schema(required = true)]
    pub ready_at: Option<String>,
    /// When its first attempt began.
    #[schema(required = true)]
    pub started_at: Option<String>,
    /// When it was over.
    #[schema(required = true)]
    pub ended_at: Option<String>,
    /// Milliseconds from when its time was to when it began, or until now.
    pub late_ms: i64,
    /// Why the last attempt failed, or why it was skipped or cancelled.
    #[schema(required = true)]
    pub error: Option<String>,
    /// How far it has come.
    pub progress: RunProgress,
    /// What it made.
    #[schema(required = true)]
    pub result: Option<RunResult>,
    /// Records read and written.
    pub records: u64,
    /// Units of 4 KiB read.
    pub read_units: u64,
    /// Units of 1 KiB written.
    pub write_units: u64,
    /// Milliseconds on a processor.
    pub cpu_ms: f64,
    /// The latest attempts.
    pub attempts: Vec<AttemptView>,
}

/// How far a run has come.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RunProgress {
    /// Records done.
    pub done: u64,
    /// Records there are, where that is known.
    #[schema(required = true)]
    pub total: Option<u64>,
    /// Records a second, over the time it has run.
    #[schema(required = true)]
    pub rate: Option<f64>,
}

/// What a run made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RunResult {
    /// The entity.
    pub entity: String,
    /// The record's id.
    pub id: String,
}

/// An attempt.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AttemptView {
    /// From 1.
    pub number: u32,
    /// When it began.
    pub started_at: String,
    /// When it ended.
    #[schema(required = true)]
    pub ended_at: Option<String>,
    /// `succeeded`, `failed`, `timed_out`, `cancelled` or `interrupted`.
    #[schema(required = true)]
    pub outcome: Option<String>,
    /// Why it failed.
    #[schema(required = true)]
    pub error: Option<String>,
}

/// A run's log.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct LogView {
    /// The first lines and the last ones.
    pub lines: Vec<LogLineView>,
    /// Lines between them that were not kept.
    pub cut_lines: u64,
    /// Bytes of those.
    pub cut_bytes: u64,
    /// The number of the line before the cut; 0 where nothing was cut.
    pub cut_after: u64,
}

/// A line of a run's log.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct LogLineView {
    /// From 1.
    pub number: u64,
    /// When it was said.
    pub at: String,
    /// What.
    pub text: String,
}

impl From<&RunLog> for LogView {
    fn from(log: &RunLog) -> Self {
        let lines = log.lines().map(|line| LogLineView {
            number: line.number,
            at: line.at.to_rfc3339(),
            text: line.text.clone(),
        });
        Self {
            lines: lines.collect(),
            cut_lines: log.cut_lines,
            cut_bytes: log.cut_bytes,
            cut_after: log.cut_after(),
        }
    }
}

impl RunView {
    /// What is stored, and how far it has come where it is under way.
    pub(super) fn new(run: &Run, progress: Progress, now: Instant) -> Self {
        let text = |at: Instant| at.to_rfc3339();
        let until = run.ended_at.unwrap_or(now);
        let attempts = run.attempts.iter();
        let ran_ms: i64 = attempts
            .map(|a| a.ended_at.unwrap_or(until).0 - a.started_at.0)
            .sum();
        let rate = (ran_ms > 0 && progress.done > 0)
            .then(|| progress.done as f64 * 1_000.0 / ran_ms as f64);
        Self {
            id: run.id.to_string(),
            job: run.id.job.to_string(),
            tenant: run.id.owner.tenant().map(|slug| slug.to_string()),
            slot: text(run.id.slot.at),
            state: run.state,
            reason: run.reason,
            attempt: run.attempt,
            queued_at: text(run.queued_at),
            due_at: text(run.due_at),
            ready_at: (run.state == RunState::Queued).then(|| text(run.ready_at)),
            started_at: run.started_at.map(text),
            ended_at: run.ended_at.map(text),
            late_ms: (run.started_at.unwrap_or(until).0 - run.due_at.0).max(0),
            error: run.error.clone(),
            progress: RunProgress {
                done: progress.done,
                total: progress.total,
                rate: rate.map(|rate| (rate * 10.0).round() / 10.0),
            },
            result: run.result.as_ref().map(|(entity, id)| RunResult {
                entity: entity.clone(),
                id: id.clone(),
            }),
            records: run.spent.records,
            read_units: run.spent.read_units,
            write_units: run.spent.write_units,
            cpu_ms: run.spent.cpu_us as f64 / 1_000.0,
            attempts: run
                .attempts
                .iter()
                .map(|attempt| AttemptView {
                    number: attempt.number,
                    started_at: text(attempt.started_at),
                    ended_at: attempt.ended_at.map(text),
                    outcome: attempt.outcome.clone(),
                    error: attempt.error.clone(),
                })
                .collect(),
        }
    }
}

impl JobView {
    pub(super) fn new(
        job: &Job,
        pause: Option<Pause>,
        next_at: Option<Instant>,
        last_run: Option<RunView>,
    ) -> Self {
        Self {
            name: job.name.to_string(),
            kind: job.kind.name().into(),
            schedule: job.schedule.as_ref().map(ToString::to_string),
            timezone: match job.timezone {
                Zone::Tenant => "tenant".into(),
                Zone::Fixed(zone) => zone.name().into(),
            },
            r#for: match job.scope {
                Scope::EachTenant(_) => "each-tenant".into(),
                Scope::Installation => "installation".into(),
            },
            spread: duration::format(job.spread_ms),
            timeout: duration::format(job.timeout_ms),
            retries: job.retries.max,
            overlap: match job.overlap {
                Overlap::Skip => "skip".into(),
                Overlap::Queue => "queue".into(),
                Overlap::CancelRunning => "cancel-running".into(),
            },
            missed: match job.missed {
                Missed::RunOnce => "run-once".into(),
                Missed::Skip => "skip".into(),
            },
            paused: pause.map(|pause| format!("by {}: {}", pause.by, pause.reason)),
            next_at: next_at.map(Instant::to_rfc3339),
            last_run,
        }
    }
}

impl Runs {
    pub(super) async fn view_of(&self, id: &RunId) -> Result<RunView> {
        let found = self.stored(id).await?;
        let (run, _) = found.ok_or_else(|| super::ask::missing(id))?;
        Ok(self.view(&run))
    }

    pub(super) fn view(&self, run: &Run) -> RunView {
        let live = self.live.get(&run.id).filter(|_| !run.state.is_over());
        let progress = live.map_or(run.progress, |live| live.progress());
        RunView::new(run, progress, self.core.clock.now())
    }
}
