//! Jobs and runs, looked up and listed. Every list is a range of keys: of all runs,
//! of a job's in one state, or of a tenant's of one job; where several ranges are
//! meant, they are merged.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};

use super::{
    JobView, LogView, Runs,
    ask::{missing, run_id},
    live::LiveRun,
    view::RunView,
};
use crate::{
    base::Instant,
    domain::{
        TenantSlug,
        job::{Job, RunId, RunState, run::Owner},
        names::JobName,
    },
    service::{Caller, Code, Error, Result},
    store::{Key, Order, Scan, Tree, codec, keys::jobs},
};

/// Due rows looked at for the next times of all jobs.
const DUE_LOOKED_AT: usize = 5_000;
/// Runs of a tenant looked at for one page.
const LOOKED_AT_MAX: usize = 1_000;

/// Which runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter {
    /// Of this job.
    pub job: Option<String>,
    /// Of this tenant.
    pub tenant: Option<String>,
    /// In this state.
    pub state: Option<RunState>,
}

impl Runs {
    /// All jobs. For operators.
    pub async fn jobs(&self, caller: &Caller) -> Result<Vec<JobView>> {
        caller.require_operator()?;
        let state = self.apps.for_reading().await?;
        let next = self.next_times(state.file.jobs.len()).await?;
        let mut views = Vec::new();
        for job in state.file.jobs.values() {
            let next = next.iter().find(|(name, _)| *name == job.name);
            views.push(self.job_view(job, next.map(|(_, at)| *at)).await?);
        }
        Ok(views)
    }

    /// One job. For operators.
    pub async fn job(&self, caller: &Caller, name: &str) -> Result<JobView> {
        caller.require_operator()?;
        let job = self.declared(name).await?;
        let next = self.next_times(usize::MAX).await?;
        let next = next.iter().find(|(name, _)| *name == job.name);
        self.job_view(&job, next.map(|(_, at)| *at)).await
    }

    async fn job_view(&self, job: &Job, next: Option<Instant>) -> Result<JobView> {
        let pause = self.paused(&job.name, &Owner::installation(), false);
        let filter = RunFilter {
            job: Some(job.name.to_string()),
            ..RunFilter::default()
        };
        let (mut last, _) = self.page(&filter, 1, None).await?;
        Ok(JobView::new(job, pause, next, last.pop()))
    }

    /// The first due time of each job, among the next ones.
    async fn next_times(&self, jobs_wanted: usize) -> Result<Vec<(JobName, Instant)>> {
        let mut found: Vec<(JobName, Instant)> = Vec::new();
        let mut scan = Scan::prefix(Tree::Hot, jobs::DUE);
        scan.values = false;
        let mut looked_at = 0;
        loop {
            let page = self.core.engine.scan(&scan).await?;
            looked_at += page.rows.len();
            for (at, _, job) in page.rows.iter().filter_map(|(key, _)| jobs::read_due(key)) {
                if !found.iter().any(|(known, _)| *known == job) {
                    found.push((job, at));
                }
            }
            match page.next {
                Some(next) if looked_at < DUE_LOOKED_AT && found.len() < jobs_wanted => {
                    scan.after = Some(next);
                }
                _ => return Ok(found),
            }
        }
    }

    /// One run. For operators.
    pub async fn get(&self, caller: &Caller, id: &str) -> Result<RunView> {
        caller.require_operator()?;
        self.view_of(&run_id(id)?).await
    }

    /// A run's log. For operators.
    pub async fn log(&self, caller: &Caller, id: &str) -> Result<LogView> {
        caller.require_operator()?;
        let id = run_id(id)?;
        self.stored(&id).await?.ok_or_else(|| missing(&id))?;
        if let Some(live) = self.live.get(&id) {
            return Ok(LogView::from(&live.log()));
        }
        Ok(LogView::from(&self.stored_log(&id).await?))
    }

    /// A run under way in this process. For operators.
    pub async fn live_run(
        &self,
        caller: &Caller,
        id: &str,
    ) -> Result<Option<std::sync::Arc<LiveRun>>> {
        caller.require_operator()?;
        Ok(self.live.get(&run_id(id)?))
    }

    /// Runs, those queued last first; of a tenant, those of the latest slots. With
    /// the cursor of the next page. A page may be short, or empty, and still have one.
    pub async fn list(
        &self,
        caller: &Caller,
        filter: &RunFilter,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<(Vec<RunView>, Option<String>)> {
        caller.require_operator()?;
        let after = cursor.map(read_cursor).transpose()?;
        let (runs, next) = self.page(filter, limit, after).await?;
        Ok((runs, next.map(|key| BASE64_URL_SAFE_NO_PAD.encode(key))))
    }

    async fn page(
        &self,
        filter: &RunFilter,
        limit: usize,
        after: Option<Key>,
    ) -> Result<(Vec<RunView>, Option<Key>)> {
        let job = filter.job.as_deref().map(JobName::parse).transpose();
        let job = job.map_err(|error| bad(format!("job: {error}.")))?;
        let owner = match filter.tenant.as_deref() {
            Some(name) => Some(Owner::parse(name).ok_or_else(|| {
                bad(format!(
                    "tenant: {name:?} is no tenant; ~ is the installation."
                ))
            })?),
            None => None,
        };
        if let Some(slug) = owner.as_ref().and_then(Owner::tenant) {
            self.existing(&slug).await?;
        }
        let ranges = match (&owner, &job) {
            (Some(owner), Some(job)) => vec![jobs::runs_of(owner, job)],
            (Some(owner), None) => {
                let all = self.jobs_with_runs().await?;
                all.iter().map(|job| jobs::runs_of(owner, job)).collect()
            }
            (None, None) if filter.state.is_none() => vec![Key::from_static(jobs::RUNS.as_bytes())],
            (None, job) => {
                let all = match job {
                    Some(job) => vec![job.clone()],
                    None => self.jobs_with_runs().await?,
                };
                let states: Vec<_> = match filter.state {
                    Some(state) => vec![state],
                    None => RunState::ALL.to_vec(),
                };
                let of = |job: &JobName| -> Vec<Key> {
                    let states = states.iter();
                    states
                        .map(|state| jobs::listed_by_prefix(job, *state))
                        .collect()
                };
                all.iter().flat_map(of).collect()
            }
        };
        self.merge(&ranges, filter.state, limit, after).await
    }

    /// Ranges merged by what follows their prefixes, a moment first, descending.
    /// `after` is the place of the last run that was looked at.
    async fn merge(
        &self,
        prefixes: &[Key],
        state: Option<RunState>,
        limit: usize,
        after: Option<Key>,
    ) -> Result<(Vec<RunView>, Option<Key>)> {
        let after = after.as_ref().and_then(Place::read);
        let mut sources = Vec::new();
        for prefix in prefixes {
            let mut source = Source::new(prefix, after.as_ref(), limit);
            source.fill(self).await?;
            sources.push(source);
        }
        let (mut runs, mut last, mut looked_at) = (Vec::new(), None, 0);
        loop {
            let first = sources.iter().enumerate();
            let first = first.filter_map(|(n, source)| Some((source.place()?, n)));
            let Some((place, n)) = first.max() else {
                return Ok((runs, None));
            };
            if runs.len() >= limit || looked_at >= LOOKED_AT_MAX {
                return Ok((runs, last.as_ref().map(Place::write)));
            }
            let key = sources[n].take(self).await?;
            looked_at += 1;
            last = Some(place);
            let Some(id) = key.and_then(|key| of_any_row(&key)) else {
                continue;
            };
            if let Some((run, _)) = self.stored(&id).await?
                && state.is_none_or(|state| run.state == state)
            {
                runs.push(self.view(&run));
            }
        }
    }

    /// How many runs wait, and since when the first of them. For metrics.
    pub async fn depth(&self) -> Result<(u64, Option<Instant>)> {
        let rows = crate::service::scan::every(&self.core, jobs::WAITING).await?;
        let mut waiting = 0;
        for (_, value) in rows {
            waiting += u64::try_from(codec::decode_counter(Some(&value))?).unwrap_or(0);
        }
        let mut oldest = None;
        for job in self.jobs_with_runs().await? {
            let prefix = jobs::listed_by_prefix(&job, RunState::Queued);
            let mut scan = Scan::prefix(Tree::Hot, prefix);
            scan.limit = 1;
            scan.values = false;
            let first = self.core.engine.scan(&scan).await?.rows.pop();
            let at = first.and_then(|(key, _)| Some(jobs::read_listed_by(&key)?.2));
            oldest = [oldest, at].into_iter().flatten().min();
        }
        Ok((waiting, oldest))
    }

    /// A tenant's jobs with their next times. For operators.
    pub async fn next_of(
        &self,
        caller: &Caller,
        slug: &TenantSlug,
    ) -> Result<Vec<(JobName, Instant)>> {
        caller.require_operator()?;
        let known = self.schedules_of(&Owner::from(slug)).await?;
        Ok(known
            .into_iter()
            .map(|(job, (due, _))| (job, due.at))
            .collect())
    }
}

/// Where a run stands in a merge.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// What follows the prefix of its row.
    rest: Key,
    /// The prefix.
    prefix: Key,
}

impl Place {
    /// No key of ours holds a zero byte.
    fn write(&self) -> Key {
        Key::from([&self.rest[..], b"\0", &self.prefix[..]].concat())
    }

    fn read(bytes: &Key) -> Option<Self> {
        let zero = memchr::memchr(0, bytes)?;
        Some(Self {
            rest: bytes.slice(..zero),
            prefix: bytes.slice(zero + 1..),
        })
    }
}

/// One range of a merge.
struct Source {
    scan: Scan,
    prefix: Key,
    rows: std::collections::VecDeque<Key>,
    ended: bool,
}

impl Source {
    fn new(prefix: &Key, after: Option<&Place>, limit: usize) -> Self {
        let mut scan = Scan::prefix(Tree::Hot, prefix.clone());
        scan.order = Order::Descending;
        scan.values = false;
        scan.limit = limit.clamp(1, 256);
        scan.after = after.map(|after| {
            // Two ranges may have runs in the same place: the greater prefix is first.
            let behind: &[u8] = if *prefix < after.prefix { b"\0" } else { b"" };
            Key::from([&prefix[..], &after.rest[..], behind].concat())
        });
        Self {
            scan,
            prefix: prefix.clone(),
            rows: std::collections::VecDeque::new(),
            ended: false,
        }
    }

    async fn fill(&mut self, runs: &Runs) -> Result<()> {
        if self.rows.is_empty() && !self.ended {
            let page = runs.core.engine.scan(&self.scan).await?;
            self.ended = page.next.is_none();
            self.scan.after = page.next;
            self.rows = page.rows.into_iter().map(|(key, _)| key).collect();
        }
        Ok(())
    }

    fn place(&self) -> Option<Place> {
        Some(Place {
            rest: self.rows.front()?.slice(self.prefix.len()..),
            prefix: self.prefix.clone(),
        })
    }

    async fn take(&mut self, runs: &Runs) -> Result<Option<Key>> {
        let key = self.rows.pop_front();
        self.fill(runs).await?;
        Ok(key)
    }
}

/// The run that a row of any of the lists is about.
fn of_any_row(key: &[u8]) -> Option<RunId> {
    let listed = jobs::read_listed(key).map(|(id, _)| id);
    let by = || jobs::read_listed_by(key).map(|(id, _, _)| id);
    listed.or_else(by).or_else(|| jobs::read_of_run(key))
}

fn read_cursor(text: &str) -> Result<Key> {
    let read = BASE64_URL_SAFE_NO_PAD.decode(text).ok();
    // It names a place in a range and nothing else: any bytes are harmless.
    let read = read.filter(|bytes| !bytes.is_empty() && bytes.len() <= 512);
    read.map(Key::from).ok_or_else(|| {
        Error::new(
            Code::InvalidCursor,
            "The cursor cannot be used: it was not made here.",
        )
    })
}

fn bad(detail: impl Into<String>) -> Error {
    Error::new(Code::BadRequest, detail)
}
