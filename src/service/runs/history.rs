//! What is kept of runs that are over: so many of each job and owner, and none for
//! longer than so many days. Forgotten are whole runs, with log and checkpoint.

use super::{Runs, rows, sync::committed};
use crate::{
    base::Instant,
    domain::{
        TenantSlug,
        job::{Run, RunId, RunState, run::Owner},
        names::JobName,
    },
    service::Result,
    store::{Batch, Key, Order, Scan, Tree, codec, keys::jobs},
};

/// Runs forgotten in one step.
const A_STEP: usize = 64;
/// So many times more failed runs are kept than others.
const FAILURES_FACTOR: usize = 10;
const DAY_MS: i64 = 86_400_000;

impl Runs {
    /// Forgets what is too much of a job's runs for an owner.
    pub(super) async fn trim(&self, owner: &Owner, job: &JobName) -> Result<()> {
        let most = self.settings.history_runs;
        self.trim_to(owner, job, true, most).await?;
        self.trim_to(owner, job, false, most * FAILURES_FACTOR)
            .await
    }

    async fn trim_to(&self, owner: &Owner, job: &JobName, good: bool, most: usize) -> Result<()> {
        let mut scan = Scan::prefix(Tree::Hot, jobs::done_of(owner, job, good));
        scan.values = false;
        scan.order = Order::Descending;
        scan.limit = most + A_STEP;
        let page = self.core.engine.scan(&scan).await?;
        for (key, _) in page.rows.iter().skip(most) {
            let Some(slot) = jobs::read_done(key) else {
                continue;
            };
            let id = RunId {
                owner: owner.clone(),
                job: job.clone(),
                slot,
            };
            if let Some((run, bytes)) = self.stored(&id).await?
                && run.state.is_over()
            {
                let mut batch = Batch::default();
                rows::remove(&mut batch, &run, &bytes)?;
                committed(self.core.engine.commit(batch).await)?;
            }
        }
        Ok(())
    }

    /// Forgets some of the runs that are too old; whether there are more.
    pub async fn forget_step(&self, now: Instant) -> Result<bool> {
        let days = |days: u64| now.plus_ms(-i64::try_from(days).unwrap_or(0) * DAY_MS);
        let good = days(self.settings.history_days);
        let bad = days(
            self.settings
                .history_failure_days
                .max(self.settings.history_days),
        );
        let mut more = false;
        for job in self.jobs_with_runs().await? {
            for state in RunState::ALL.into_iter().filter(|state| state.is_over()) {
                let until = if state.is_failure() { bad } else { good };
                more |= self.forget_before(&job, state, until).await?;
            }
        }
        Ok(more)
    }

    async fn forget_before(&self, job: &JobName, state: RunState, until: Instant) -> Result<bool> {
        let mut scan = Scan::prefix(Tree::Hot, jobs::listed_by_prefix(job, state));
        scan.end = Some(jobs::listed_by_until(job, state, until));
        scan.limit = A_STEP;
        scan.values = false;
        let page = self.core.engine.scan(&scan).await?;
        for (key, _) in &page.rows {
            let Some((id, _, _)) = jobs::read_listed_by(key) else {
                continue;
            };
            if let Some((run, bytes)) = self.stored(&id).await?
                && run.state == state
            {
                let mut batch = Batch::default();
                rows::remove(&mut batch, &run, &bytes)?;
                committed(self.core.engine.commit(batch).await)?;
            }
        }
        Ok(page.next.is_some())
    }

    /// The jobs that have runs, also those that no app file declares any more.
    pub(super) async fn jobs_with_runs(&self) -> Result<Vec<JobName>> {
        let mut found = Vec::new();
        let mut scan = Scan::prefix(Tree::Hot, jobs::RUNS_BY);
        scan.limit = 1;
        scan.values = false;
        while let Some((key, _)) = self.core.engine.scan(&scan).await?.rows.pop() {
            let rest = String::from_utf8_lossy(&key[jobs::RUNS_BY.len()..]).into_owned();
            let name = rest.split('#').next().unwrap_or_default();
            found.extend(JobName::parse(name).ok());
            // The next job: `$` sorts right behind `#`.
            scan.start = Key::from(format!("{}{name}$", jobs::RUNS_BY));
        }
        Ok(found)
    }

    /// Removes some of what a deleted tenant's runs have outside of its own rows;
    /// whether there was any.
    pub async fn erase_step(core: &crate::service::Core, slug: &TenantSlug) -> Result<bool> {
        let owner = Owner::from(slug);
        let mut batch = Batch::default();
        let mut runs = Scan::prefix(Tree::Hot, jobs::all_runs_of(&owner));
        runs.limit = A_STEP;
        for (key, value) in core.engine.scan(&runs).await?.rows {
            // One that cannot be read goes with the tenant's own rows.
            if let Ok(run) = codec::decode::<Run>(&value) {
                for row in rows::of(&run, "")?.into_keys() {
                    batch.delete(Tree::Hot, row);
                }
            }
            batch.delete(Tree::Hot, key);
        }
        let mut due = Scan::prefix(Tree::Hot, jobs::schedules(&owner));
        due.limit = A_STEP;
        let prefix = jobs::schedules(&owner).len();
        for (key, value) in core.engine.scan(&due).await?.rows {
            let name = String::from_utf8_lossy(&key[prefix..]).into_owned();
            if let (Ok(job), Ok(due)) = (
                JobName::parse(&name),
                codec::decode::<super::stored::Due>(&value),
            ) {
                batch.delete(Tree::Hot, jobs::due(due.at, &owner, &job));
            }
            batch.delete(Tree::Hot, key);
        }
        let (pause, pauses) = Self::pause_keys_of(slug);
        for prefix in [
            pause.clone(),
            pauses,
            jobs::queue_of(&owner),
            jobs::running_of(&owner),
        ] {
            let mut rest = Scan::prefix(Tree::Hot, prefix.clone());
            rest.limit = A_STEP;
            rest.values = false;
            for (key, _) in core.engine.scan(&rest).await?.rows {
                // `owner#acme` is no prefix of what is `acme-2`'s.
                if prefix != pause || key == pause {
                    batch.delete(Tree::Hot, key);
                }
            }
        }
        if batch.writes.is_empty() {
            // The counter goes last: it may have been added to until now.
            let waiting = jobs::waiting(&owner);
            if core.engine.get(Tree::Hot, &waiting).await?.is_none() {
                return Ok(false);
            }
            batch.delete(Tree::Hot, waiting);
        }
        core.engine.commit(batch).await?;
        Ok(true)
    }
}

/// What is wrong with a row of one of the families of jobs; `None` where the family
/// is none of them.
pub fn check_row(family: &str, key: &Key, value: &[u8]) -> Option<Result<(), String>> {
    let readable = match family {
        "due" => jobs::read_due(key).is_some(),
        "queue" => jobs::read_queued(key).is_some(),
        "running" => {
            jobs::read_running(key).is_some()
                && codec::decode::<super::stored::Claim>(value).is_ok()
        }
        "runs" => jobs::read_listed(key).is_some(),
        "runsby" => jobs::read_listed_by(key).is_some(),
        "waiting" => {
            codec::decode_counter(Some(&crate::store::Value::copy_from_slice(value))).is_ok()
        }
        "~run" => jobs::read_of_run(key).is_some() && codec::decode::<Run>(value).is_ok(),
        "~done" => jobs::read_done(key).is_some(),
        "~log" => jobs::read_of_run(key).is_some() && codec::decode::<super::RunLog>(value).is_ok(),
        "~check" => {
            jobs::read_of_run(key).is_some() && codec::decode::<super::Checkpoint>(value).is_ok()
        }
        "~job" => codec::decode::<super::stored::Due>(value).is_ok(),
        "~secret" => codec::decode::<super::stored::WebhookSecret>(value).is_ok(),
        "pause" => codec::decode::<super::stored::Pause>(value).is_ok(),
        "worker" => codec::decode::<super::stored::Worker>(value).is_ok(),
        _ => return None,
    };
    Some(match readable {
        true => Ok(()),
        false => Err("a row of jobs that cannot be read".into()),
    })
}
