//! What people ask of runs: run now, backfill, cancel, retry.

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use super::{Runs, Stop, rows, stored::Checkpoint, sync::committed, view::RunView};
use crate::{
    base::Instant,
    domain::{
        Tenant, TenantSlug,
        job::{Job, Reason, Run, RunId, RunState, Scope, Slot, run::Owner},
        names::JobName,
    },
    service::{
        Caller, Code, Error, Result, TenantAccess,
        archive::{Ask, Way},
        counts,
    },
    store::{Batch, Condition, Key, Scan, StoreError, Tree, codec, keys, keys::jobs},
};

/// Runs that one call may make.
pub const ASKED_MAX: usize = 100_000;
/// Runs made in one commit.
const A_COMMIT: usize = 100;
/// Names of runs that an answer lists.
const NAMED_MAX: usize = 100;

/// For whom something is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whom {
    /// Everybody that the job is for.
    All,
    /// These tenants.
    Tenants(Vec<String>),
}

/// A range of dates whose slots are to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backfill {
    /// The first moment.
    pub from: Instant,
    /// The first moment behind it.
    pub to: Instant,
}

/// What became of a call for runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Asked {
    /// Runs that were put into the queue.
    pub queued: usize,
    /// Slots that have a run already, and were left alone.
    pub existing: usize,
    /// Runs left out because their tenant has too many waiting.
    pub refused: usize,
    /// The first 100 of the runs that were queued.
    pub runs: Vec<String>,
}

impl Asked {
    fn add(&mut self, run: &Run) {
        self.queued += 1;
        if self.runs.len() < NAMED_MAX {
            self.runs.push(run.id.to_string());
        }
    }
}

impl Runs {
    /// The job of that name.
    pub(super) async fn declared(&self, name: &str) -> Result<Arc<Job>> {
        let state = self.apps.for_reading().await?;
        let job = JobName::parse(name)
            .ok()
            .and_then(|name| state.file.jobs.get(&name).cloned());
        job.ok_or_else(|| {
            Error::new(
                Code::NotFound,
                format!("There is no job {name:?}; declare it in app.toml as [job.{name}] and apply the file."),
            )
        })
    }

    pub(super) async fn existing(&self, slug: &TenantSlug) -> Result<Tenant> {
        let tenant = super::sync::tenant(&self.core, slug).await?;
        tenant.ok_or_else(|| Error::not_found(format!("tenant {:?}", slug.as_str())))
    }

    /// Queues a run for each tenant named. For operators.
    pub async fn run_now(&self, caller: &Caller, job: &str, whom: &Whom) -> Result<Asked> {
        caller.require_operator()?;
        let job = self.declared(job).await?;
        let mut asked = Asked::default();
        let mut owners = Owners::new(self, &job, whom).await?;
        while let Some(page) = owners.next(self, &job).await? {
            let each = page
                .iter()
                .map(|(owner, _)| self.run_for(&job, owner, None));
            for made in futures_util::future::join_all(each).await {
                match made? {
                    Some(run) => asked.add(&run),
                    None => asked.refused += 1,
                }
            }
        }
        self.refuse_where_none(&asked, whom)?;
        Ok(asked)
    }

    /// A run that somebody asked for; `None` where the owner has too many waiting.
    /// Its first attempt begins with `begin`, where there is one.
    async fn run_for(
        &self,
        job: &Job,
        owner: &Owner,
        begin: Option<&Checkpoint>,
    ) -> Result<Option<Run>> {
        if self.too_many_waiting(owner).await? {
            return Ok(None);
        }
        let now = self.core.clock.now();
        let mut at = now;
        loop {
            let id = RunId {
                owner: owner.clone(),
                job: job.name.clone(),
                slot: Slot::manual(at),
            };
            let mut run = Run::queued(id, Reason::Manual, now);
            run.due_at = now;
            let mut batch = Batch::default();
            expect_owner(&mut batch, owner);
            let made = rows::insert(&mut batch, &run)?;
            if let Some(begin) = begin {
                self.keep(&mut batch, &run.id, begin)?;
            }
            match self.core.engine.commit(batch).await {
                Ok(()) => {
                    self.notify(owner);
                    return Ok(Some(run));
                }
                // Somebody asked in the same millisecond.
                Err(StoreError::Conflict { index, .. }) if index == made => at = at.plus_ms(1),
                Err(StoreError::Conflict { .. }) => {
                    return Err(Error::not_found("such tenant any more"));
                }
                Err(other) => return Err(other.into()),
            }
        }
    }

    /// Queues a run that moves what was asked for. For operators.
    pub async fn run_asked(
        &self,
        caller: &Caller,
        access: &TenantAccess,
        way: Way,
        ask: &Ask,
    ) -> Result<RunView> {
        caller.require_operator()?;
        let state = self.apps.for_reading().await?;
        let mut jobs = state.file.jobs.values();
        let job = jobs.find(|job| job.kind.name() == way.kind());
        let job = job.ok_or_else(|| {
            let kind = way.kind();
            bad(format!("No job of the kind {kind} is declared."))
        })?;
        let begin = serde_json::to_vec(&serde_json::json!({ "ask": ask }));
        let begin = Checkpoint {
            state: begin.map_err(Error::internal)?,
            ..Checkpoint::default()
        };
        let slug = TenantSlug::parse(access.tenant()).map_err(Error::internal)?;
        match self.run_for(job, &Owner::from(&slug), Some(&begin)).await? {
            Some(run) => self.view_of(&run.id).await,
            None => Err(self.too_many()),
        }
    }

    fn too_many(&self) -> Error {
        let max = self.settings.queued_per_tenant_max;
        Error::new(
            Code::LimitReached,
            format!("{max} runs wait, as many as jobs.queued_per_tenant_max allows."),
        )
    }

    /// Queues the slots of a range of dates that have no run yet. For operators.
    pub async fn backfill(
        &self,
        caller: &Caller,
        job: &str,
        whom: &Whom,
        range: Backfill,
    ) -> Result<Asked> {
        caller.require_operator()?;
        let job = self.declared(job).await?;
        if job.schedule.is_none() {
            return Err(bad(format!(
                "{} has no schedule, so there are no slots to fill.",
                job.name
            )));
        }
        if range.from >= range.to {
            return Err(bad(
                "`from` has to be before `to`, which is the first moment left out.",
            ));
        }
        let mut asked = Asked::default();
        let mut owners = Owners::new(self, &job, whom).await?;
        while let Some(page) = owners.next(self, &job).await? {
            for (owner, tenant) in &page {
                let slots = slots(&job, tenant.as_ref(), range, ASKED_MAX - asked.queued)?;
                for part in slots.chunks(A_COMMIT) {
                    self.fill(&job, owner, part, &mut asked).await?;
                }
            }
        }
        self.refuse_where_none(&asked, whom)?;
        Ok(asked)
    }

    async fn fill(
        &self,
        job: &Job,
        owner: &Owner,
        slots: &[Instant],
        asked: &mut Asked,
    ) -> Result<()> {
        let now = self.core.clock.now();
        let offset = job.offset_ms(owner.as_str());
        let run = |slot: &Instant| {
            let id = RunId {
                owner: owner.clone(),
                job: job.name.clone(),
                slot: Slot::scheduled(*slot),
            };
            let mut run = Run::queued(id, Reason::Backfill, now);
            run.due_at = slot.plus_ms(offset);
            run
        };
        loop {
            let waiting = counts::value(&self.core, &jobs::waiting(owner)).await?;
            let room = (self.settings.queued_per_tenant_max as u64).saturating_sub(waiting);
            let mut batch = Batch::default();
            expect_owner(&mut batch, owner);
            let (mut made, mut existing, mut refused) = (Vec::new(), 0, 0);
            let wanted: Vec<Run> = slots.iter().map(run).collect();
            let keys: Vec<Key> = wanted.iter().map(|run| jobs::run(&run.id)).collect();
            let known = self.core.engine.get_many(Tree::Hot, &keys).await?;
            for (run, known) in wanted.into_iter().zip(known) {
                if known.is_some() {
                    existing += 1;
                } else if made.len() as u64 >= room {
                    refused += 1;
                } else {
                    rows::insert(&mut batch, &run)?;
                    made.push(run);
                }
            }
            if made.is_empty() || committed(self.core.engine.commit(batch).await)? {
                asked.existing += existing;
                asked.refused += refused;
                made.iter().for_each(|run| asked.add(run));
                self.notify(owner);
                return Ok(());
            }
            if let Some(slug) = owner.tenant() {
                self.existing(&slug).await?;
            }
        }
    }

    fn refuse_where_none(&self, asked: &Asked, whom: &Whom) -> Result<()> {
        if asked.queued == 0 && asked.existing == 0 && asked.refused > 0 && *whom != Whom::All {
            return Err(self.too_many());
        }
        Ok(())
    }

    /// Cancels a run. One that is under way stops at its next step. For operators.
    pub async fn cancel(&self, caller: &Caller, id: &str) -> Result<RunView> {
        caller.require_operator()?;
        let id = run_id(id)?;
        let found = self.stored(&id).await?;
        let (run, _) = found.ok_or_else(|| missing(&id))?;
        if run.state.is_over() {
            return Err(Error::new(
                Code::AlreadyExists,
                format!("The run is over: it {}.", past(run.state)),
            ));
        }
        self.cancel_run(&id, &caller.credential()).await?;
        self.view_of(&id).await
    }

    /// Cancels a run that is not over.
    pub(super) async fn cancel_run(&self, id: &RunId, by: &str) -> Result<()> {
        loop {
            let Some((run, bytes)) = self.stored(id).await? else {
                return Ok(());
            };
            if run.state.is_over() {
                return Ok(());
            }
            if let (RunState::Running, Some(live)) = (run.state, self.live.get(id)) {
                live.stop(Stop::Cancel(by.into()));
                return Ok(());
            }
            let now = self.core.clock.now();
            let mut after = run.clone();
            let error = format!("cancelled by {by}");
            after.end_attempt(now, "cancelled", Some(&error));
            after.end(now, RunState::Cancelled, Some(&error));
            if self.replace((&run, &bytes), &after).await? {
                return self.ended(&after).await;
            }
        }
    }

    /// Has a run that is over and did not succeed wait for another attempt, which
    /// begins at its checkpoint. For operators.
    pub async fn retry(&self, caller: &Caller, id: &str) -> Result<RunView> {
        caller.require_operator()?;
        let id = run_id(id)?;
        match self.retry_run(&id).await? {
            Some(Ok(())) => self.view_of(&id).await,
            Some(Err(state)) => Err(Error::new(
                Code::AlreadyExists,
                format!("Nothing to retry: the run {}.", past(state)),
            )),
            None => Err(missing(&id)),
        }
    }

    async fn retry_run(&self, id: &RunId) -> Result<Option<Result<(), RunState>>> {
        loop {
            let Some((run, bytes)) = self.stored(id).await? else {
                return Ok(None);
            };
            if !run.state.is_over() || run.state == RunState::Succeeded {
                return Ok(Some(Err(run.state)));
            }
            let mut after = run.clone();
            after.reason = Reason::Retry;
            (after.failures, after.interruptions) = (0, 0);
            after.requeue(self.core.clock.now());
            if self.replace((&run, &bytes), &after).await? {
                self.notify(&id.owner);
                return Ok(Some(Ok(())));
            }
        }
    }

    /// Retries all runs of a job in a state. For operators. How many.
    pub async fn retry_all(&self, caller: &Caller, job: &str, state: RunState) -> Result<usize> {
        caller.require_operator()?;
        if !state.is_over() || state == RunState::Succeeded {
            return Err(bad(
                "state: expected dead, failed, timed_out, cancelled or skipped.",
            ));
        }
        let job = JobName::parse(job).map_err(|error| bad(format!("job: {error}.")))?;
        let mut scan = Scan::prefix(Tree::Hot, jobs::listed_by_prefix(&job, state));
        scan.values = false;
        let mut retried = 0;
        loop {
            let page = self.core.engine.scan(&scan).await?;
            for (key, _) in &page.rows {
                if let Some((id, _, _)) = jobs::read_listed_by(key)
                    && let Some(Ok(())) = self.retry_run(&id).await?
                {
                    retried += 1;
                }
            }
            match page.next {
                Some(next) if retried < ASKED_MAX => scan.after = Some(next),
                _ => return Ok(retried),
            }
        }
    }
}

/// The owners that something is asked for, page by page.
struct Owners {
    named: Vec<(Owner, Option<Tenant>)>,
    scan: Option<Scan>,
}

impl Owners {
    async fn new(runs: &Runs, job: &Job, whom: &Whom) -> Result<Self> {
        let mut owners = Self {
            named: Vec::new(),
            scan: None,
        };
        match (whom, &job.scope) {
            (Whom::All, Scope::Installation) => {
                owners.named.push((Owner::installation(), None));
            }
            (Whom::Tenants(_), Scope::Installation) => {
                return Err(bad(format!(
                    "{} runs for the installation, not for tenants; say \"all\".",
                    job.name
                )));
            }
            (Whom::All, Scope::EachTenant(_)) => {
                owners.scan = Some(Scan::prefix(Tree::Hot, keys::TENANTS));
            }
            (Whom::Tenants(names), Scope::EachTenant(_)) => {
                if names.is_empty() || names.len() > ASKED_MAX {
                    return Err(bad(format!(
                        "tenants: expected \"all\", or 1 to {ASKED_MAX} of them."
                    )));
                }
                for name in names {
                    let slug = TenantSlug::parse(name);
                    let slug = slug.map_err(|_| Error::not_found(format!("tenant {name:?}")))?;
                    let tenant = runs.existing(&slug).await?;
                    if !job.is_for(Some(&tenant)) {
                        return Err(bad(format!(
                            "The job {} is not for the tenant {name}: its `where` leaves it out.",
                            job.name
                        )));
                    }
                    owners.named.push((Owner::from(&slug), Some(tenant)));
                }
            }
        }
        Ok(owners)
    }

    async fn next(
        &mut self,
        runs: &Runs,
        job: &Job,
    ) -> Result<Option<Vec<(Owner, Option<Tenant>)>>> {
        if !self.named.is_empty() {
            let rest = self.named.split_off(self.named.len().min(A_COMMIT));
            return Ok(Some(std::mem::replace(&mut self.named, rest)));
        }
        let Some(scan) = &mut self.scan else {
            return Ok(None);
        };
        let page = runs.core.engine.scan(scan).await?;
        let mut owners = Vec::new();
        for (_, row) in &page.rows {
            let tenant: Tenant = codec::decode(row)?;
            if job.is_for(Some(&tenant)) {
                owners.push((Owner::from(&tenant.id), Some(tenant)));
            }
        }
        match page.next {
            Some(next) => scan.after = Some(next),
            None => self.scan = None,
        }
        Ok(Some(owners))
    }
}

fn slots(job: &Job, tenant: Option<&Tenant>, range: Backfill, most: usize) -> Result<Vec<Instant>> {
    let zone = job.zone(tenant);
    let mut slots = Vec::new();
    let mut at = range.from.plus_ms(-1);
    while let Some(slot) = job.schedule.as_ref().and_then(|s| s.next(at, zone)) {
        if slot >= range.to {
            break;
        }
        if slots.len() >= most {
            return Err(bad(format!(
                "That is more than {ASKED_MAX} runs; ask for a shorter range or fewer tenants."
            )));
        }
        slots.push(slot);
        at = slot;
    }
    Ok(slots)
}

/// Nothing is made for a tenant that goes meanwhile.
fn expect_owner(batch: &mut Batch, owner: &Owner) {
    if let Some(slug) = owner.tenant() {
        batch.expect(Tree::Hot, keys::tenant(&slug), Condition::Present);
    }
}

pub(super) fn run_id(text: &str) -> Result<RunId> {
    RunId::parse(text).ok_or_else(|| Error::not_found(format!("run {text:?}")))
}

pub(super) fn missing(id: &RunId) -> Error {
    Error::not_found(format!("run {id}"))
}

fn bad(detail: impl Into<String>) -> Error {
    Error::new(Code::BadRequest, detail)
}

fn past(state: RunState) -> &'static str {
    match state {
        RunState::Queued => "waits",
        RunState::Running => "is under way",
        RunState::Succeeded => "succeeded",
        RunState::Failed => "failed",
        RunState::TimedOut => "timed out",
        RunState::Cancelled => "was cancelled",
        RunState::Skipped => "was skipped",
        RunState::Dead => "failed for good",
    }
}
