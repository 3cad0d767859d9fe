//! The tick: what is due becomes runs. It may come late, twice, or in two processes
//! at once: a due row moves in the same commit that makes its run, and that commit
//! expects the row as it was read.

use super::{
    Runs,
    pauses::Paused,
    rows,
    stored::{ClockMark, Due},
    sync::{committed, move_due, next_due},
};
use crate::{
    base::Instant,
    domain::{
        Tenant,
        job::{Job, Missed, Overlap, Reason, Run, RunId, RunState, Slot, run::Owner, stable_part},
        names::JobName,
    },
    service::{Error, Result, apps::AppState, counts},
    store::{Batch, Condition, Key, Scan, StoreError, Tree, Value, codec, keys, keys::jobs},
};

/// Due rows worked on at once.
const DUE_AT_ONCE: usize = 64;
/// A slot that is later than this, in milliseconds, was missed.
const ON_TIME_MS: i64 = 60_000;
/// Missed slots that run after all are spread over this, or over the job's own spread.
const CATCH_UP_SPREAD_MS: i64 = 10_000;
/// A clock that went back by more than this, in milliseconds, has gone astray.
const CLOCK_SLACK_MS: i64 = 5_000;
/// No run waits longer for a retry after the clock went back, in milliseconds.
const WAIT_MS_MAX: i64 = 3_600_000;
/// How often the clock's mark is moved, in milliseconds.
const CLOCK_MARK_MS: i64 = 60_000;

/// What becomes of a slot.
enum Fate {
    Run(Reason, Instant),
    Skip(String),
    Nothing,
}

impl Runs {
    /// Looks at the clock, at the orders to reschedule, and at what is due. Harmless
    /// to call at any time and any number of times.
    pub async fn tick(&self, now: Instant) -> Result<()> {
        self.watch_clock(now).await?;
        let synced = async {
            while self.sync_step(now).await? {}
            Ok(())
        };
        // Damage in one place keeps nothing else from running.
        let synced: Result<()> = synced.await;
        while self.due_step(now).await? {}
        synced
    }

    /// A clock that went back leaves due rows too far ahead: they are computed anew.
    async fn watch_clock(&self, now: Instant) -> Result<()> {
        let known = *super::lock(&self.clock);
        let known = match known {
            Some(at) => Some(at),
            None => self.clock_mark().await?,
        };
        if known.is_some_and(|known| now.plus_ms(CLOCK_SLACK_MS) < known) {
            tracing::warn!(now = %now.to_rfc3339(), "the clock went back; all schedules are computed anew");
            self.reschedule_all().await?;
            self.pull_waits(now).await?;
        }
        let marked = self.clock_mark().await?;
        let marks = marked.is_none_or(|at| now.0.abs_diff(at.0) >= CLOCK_MARK_MS as u64);
        if marks && !self.apps.current().file.jobs.is_empty() {
            let mut batch = Batch::default();
            batch.put(
                Tree::Hot,
                jobs::CLOCK,
                codec::encode(&ClockMark { at: now })?,
            );
            self.core.engine.commit(batch).await?;
        }
        *super::lock(&self.clock) = Some(now);
        Ok(())
    }

    /// Runs that were told to wait by a clock that went astray wait no longer than any
    /// retry does.
    async fn pull_waits(&self, now: Instant) -> Result<()> {
        let mut scan = Scan::prefix(Tree::Hot, jobs::QUEUE);
        scan.values = false;
        loop {
            let page = self.core.engine.scan(&scan).await?;
            for (key, _) in &page.rows {
                let Some((id, ready_at)) = jobs::read_queued(key) else {
                    continue;
                };
                if ready_at > now.plus_ms(WAIT_MS_MAX)
                    && let Some((run, bytes)) = self.stored(&id).await?
                    && run.state == RunState::Queued
                {
                    let mut after = run.clone();
                    after.requeue(now);
                    self.replace((&run, &bytes), &after).await?;
                    self.notify(&id.owner);
                }
            }
            match page.next {
                Some(next) => scan.after = Some(next),
                None => return Ok(()),
            }
        }
    }

    async fn clock_mark(&self) -> Result<Option<Instant>> {
        let row = self.core.engine.get(Tree::Hot, &jobs::CLOCK.into()).await?;
        let mark = row
            .map(|row| codec::decode::<ClockMark>(&row))
            .transpose()?;
        Ok(mark.map(|mark| mark.at))
    }

    /// Works on some of the due rows; whether there are more.
    async fn due_step(&self, now: Instant) -> Result<bool> {
        let mut scan = Scan::prefix(Tree::Hot, jobs::DUE);
        scan.end = Some(jobs::due_until(now));
        scan.limit = DUE_AT_ONCE;
        scan.values = false;
        let page = self.core.engine.scan(&scan).await?;
        if page.rows.is_empty() {
            return Ok(false);
        }
        let state = self.apps.for_reading().await?;
        let each = page.rows.iter().map(|(key, _)| self.fire(&state, now, key));
        for fired in futures_util::future::join_all(each).await {
            fired?;
        }
        Ok(true)
    }

    /// Moves one due row on, and makes the run that it stands for.
    async fn fire(&self, state: &AppState, now: Instant, key: &Key) -> Result<()> {
        let Some((at, owner, name)) = jobs::read_due(key) else {
            return self.drop_due(key).await;
        };
        let row = jobs::schedule(&owner, &name);
        let Some(bytes) = self.core.engine.get(Tree::Hot, &row).await? else {
            return self.drop_due(key).await;
        };
        let due: Due = match codec::decode(&bytes) {
            Ok(due) => due,
            Err(error) => {
                tracing::error!(%error, job = %name, owner = owner.as_str(), "a schedule is damaged, and stands still until it is made anew");
                return self.drop_due(key).await;
            }
        };
        if due.at != at {
            return self.drop_due(key).await;
        }
        let tenant = match owner.tenant() {
            Some(slug) => match super::sync::tenant(&self.core, &slug).await? {
                Some(tenant) => Some(tenant),
                // Its rows go with it.
                None => return self.drop_due(key).await,
            },
            None => None,
        };
        let tenant = tenant.as_ref();
        let job = state.file.jobs.get(&name);
        let job =
            job.filter(|job| job.is_for(tenant) && job.fingerprint(tenant) == due.fingerprint);
        let Some(job) = job else {
            return self.sync_owner(state, now, &owner, tenant).await;
        };
        let Some((slot, next)) = latest_and_next(job, &owner, tenant, &due, now) else {
            return self.drop_due(key).await;
        };
        let fate = self.fate(job, &owner, &due, slot, now).await?;
        self.move_on(job, &owner, (&due, bytes), next, fate, slot, now)
            .await
    }

    /// A due row without its schedule: left by nobody, but harmless.
    async fn drop_due(&self, key: &Key) -> Result<()> {
        let mut batch = Batch::default();
        batch.expect(Tree::Hot, key.clone(), Condition::Present);
        batch.delete(Tree::Hot, key.clone());
        committed(self.core.engine.commit(batch).await).map(drop)
    }

    async fn fate(
        &self,
        job: &Job,
        owner: &Owner,
        due: &Due,
        slot: Instant,
        now: Instant,
    ) -> Result<Fate> {
        if self.paused(&job.name, owner, false).is_some() {
            return Ok(Fate::Nothing);
        }
        let offset = due.at.0 - due.slot.0;
        let late = now.0 - slot.0 - offset;
        let window = i64::try_from(self.settings.missed_window_hours).unwrap_or(i64::MAX);
        let (reason, ready_at) = match job.missed {
            _ if late <= ON_TIME_MS => (Reason::Schedule, now),
            Missed::Skip => {
                return Ok(Fate::Skip("its time passed while nothing ran jobs".into()));
            }
            Missed::RunOnce if late > window.saturating_mul(3_600_000) => {
                return Ok(Fate::Skip(format!(
                    "its time passed more than {window} hours ago, while nothing ran jobs"
                )));
            }
            Missed::RunOnce => {
                let spread = job.spread_ms.max(CATCH_UP_SPREAD_MS);
                let part = stable_part(&["catch-up", job.name.as_str(), owner.as_str()], spread);
                (Reason::CatchUp, now.plus_ms(part))
            }
        };
        Ok(match self.overlapped(job, owner).await? {
            Some(why) => Fate::Skip(why),
            None => Fate::Run(reason, ready_at),
        })
    }

    /// Why a slot is skipped because of an earlier run, where it is.
    async fn overlapped(&self, job: &Job, owner: &Owner) -> Result<Option<String>> {
        let (waiting, running) = self.unfinished(&job.name, owner).await?;
        if self.too_many_waiting(owner).await? {
            let max = self.settings.queued_per_tenant_max;
            return Ok(Some(format!(
                "{max} runs wait, as many as jobs.queued_per_tenant_max allows"
            )));
        }
        match job.overlap {
            Overlap::Skip => Ok(waiting.or(running).map(|id| {
                format!("the run {id} was not done when this one's time came (overlap = \"skip\")")
            })),
            Overlap::Queue => {
                Ok(waiting.map(|id| format!("the run {id} waits already (overlap = \"queue\")")))
            }
            Overlap::CancelRunning => {
                for id in waiting.into_iter().chain(running) {
                    self.cancel_run(&id, "the job's next slot (overlap = \"cancel-running\")")
                        .await?;
                }
                Ok(None)
            }
        }
    }

    /// The first run of a job and owner that waits, and the first under way.
    pub(super) async fn unfinished(
        &self,
        job: &JobName,
        owner: &Owner,
    ) -> Result<(Option<RunId>, Option<RunId>)> {
        let first = |prefix: Key| async move {
            let mut scan = Scan::prefix(Tree::Hot, prefix);
            scan.limit = 1;
            scan.values = false;
            Ok::<_, Error>(self.core.engine.scan(&scan).await?.rows.pop())
        };
        let waiting = first(jobs::queue_of_job(owner, job)).await?;
        let running = first(jobs::running_of_job(owner, job)).await?;
        Ok((
            waiting.and_then(|(key, _)| Some(jobs::read_queued(&key)?.0)),
            running.and_then(|(key, _)| jobs::read_running(&key)),
        ))
    }

    #[allow(clippy::too_many_arguments)]
    async fn move_on(
        &self,
        job: &Job,
        owner: &Owner,
        (due, bytes): (&Due, Value),
        next: Option<Due>,
        fate: Fate,
        slot: Instant,
        now: Instant,
    ) -> Result<()> {
        let old = (due.clone(), bytes);
        let run = self.run_of(job, owner, due, fate, slot, now);
        let mut batch = Batch::default();
        if let Some(slug) = owner.tenant() {
            batch.expect(Tree::Hot, keys::tenant(&slug), Condition::Present);
        }
        let moved = |batch: &mut Batch| match &next {
            Some(next) => move_due(batch, owner, &job.name, Some(&old), next),
            // Its calendar has ended.
            None => {
                let key = jobs::schedule(owner, &job.name);
                batch.expect(Tree::Hot, key.clone(), Condition::Value(old.1.clone()));
                batch.delete(Tree::Hot, key);
                batch.delete(Tree::Hot, jobs::due(old.0.at, owner, &job.name));
                Ok(())
            }
        };
        let without_run = batch.clone();
        moved(&mut batch)?;
        let made = run
            .as_ref()
            .map(|run| rows::insert(&mut batch, run))
            .transpose()?;
        match self.core.engine.commit(batch).await {
            Ok(()) => {
                if let Some(run) = run {
                    tracing::debug!(run = %run.id, state = run.state.name(), "slot");
                    if run.state == RunState::Queued {
                        self.notify(owner);
                    }
                }
                Ok(())
            }
            // This slot has its run already: the clock went back, or somebody asked
            // for it (backfill).
            Err(StoreError::Conflict { index, .. }) if Some(index) == made => {
                let mut batch = without_run;
                moved(&mut batch)?;
                committed(self.core.engine.commit(batch).await).map(drop)
            }
            // Another process was faster, or the app or the tenant changed.
            Err(StoreError::Conflict { .. }) => Ok(()),
            Err(other) => Err(other.into()),
        }
    }

    fn run_of(
        &self,
        job: &Job,
        owner: &Owner,
        due: &Due,
        fate: Fate,
        slot: Instant,
        now: Instant,
    ) -> Option<Run> {
        let id = RunId {
            owner: owner.clone(),
            job: job.name.clone(),
            slot: Slot::scheduled(slot),
        };
        let mut run = match fate {
            Fate::Nothing => return None,
            Fate::Run(reason, ready_at) => {
                let mut run = Run::queued(id, reason, now);
                run.ready_at = ready_at;
                run
            }
            Fate::Skip(why) => {
                let mut run = Run::queued(id, Reason::Schedule, now);
                run.end(now, RunState::Skipped, Some(&why));
                run
            }
        };
        run.due_at = slot.plus_ms(due.at.0 - due.slot.0);
        Some(run)
    }

    /// Whether an owner may have no further run waiting.
    pub(super) async fn too_many_waiting(&self, owner: &Owner) -> Result<bool> {
        let waiting = counts::value(&self.core, &jobs::waiting(owner)).await?;
        Ok(waiting >= self.settings.queued_per_tenant_max as u64)
    }

    /// Counts a run of a job for an owner that failed, or forgets those counted.
    /// Pauses the job for the owner when there are too many.
    pub(super) async fn count_failure(
        &self,
        job: &JobName,
        owner: &Owner,
        failed: bool,
    ) -> Result<()> {
        loop {
            let key = jobs::schedule(owner, job);
            let Some(bytes) = self.core.engine.get(Tree::Hot, &key).await? else {
                return Ok(());
            };
            let mut due: Due = codec::decode(&bytes)?;
            let failures = if failed {
                due.failures.saturating_add(1)
            } else {
                0
            };
            if failures == due.failures {
                return Ok(());
            }
            due.failures = failures;
            let mut batch = Batch::default();
            batch.expect(Tree::Hot, key.clone(), Condition::Value(bytes));
            batch.put(Tree::Hot, key, codec::encode(&due)?);
            if !committed(self.core.engine.commit(batch).await)? {
                continue;
            }
            let limit = self.settings.pause_after_failures;
            if limit > 0 && failures >= limit {
                let paused = Paused::Both(job.clone(), owner.clone());
                let reason = format!("{failures} runs in a row failed");
                tracing::warn!(%job, owner = owner.as_str(), failures, "the job is paused for this tenant");
                self.put_pause(&paused, "tenantry".into(), &reason).await?;
            }
            return Ok(());
        }
    }
}

/// The latest slot that is due by now, and the one after it.
fn latest_and_next(
    job: &Job,
    owner: &Owner,
    tenant: Option<&Tenant>,
    due: &Due,
    now: Instant,
) -> Option<(Instant, Option<Due>)> {
    let zone = job.zone(tenant);
    let offset = job.offset_ms(owner.as_str());
    let latest = job.schedule.as_ref()?.latest(now.plus_ms(-offset), zone);
    let slot = latest
        .filter(|latest| *latest > due.slot)
        .unwrap_or(due.slot);
    let next = next_due(job, owner, tenant, slot.plus_ms(offset).max(now)).map(|mut next| {
        next.failures = due.failures;
        next
    });
    Some((slot, next))
}
