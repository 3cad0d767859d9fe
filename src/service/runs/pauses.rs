//! What is paused: everything, a job, a tenant, or a job for a tenant. A pause stops
//! the schedule and keeps what waits waiting; what somebody asks for by name runs
//! all the same, unless everything is paused.

use std::{
    collections::BTreeMap,
    sync::{PoisonError, RwLock},
};

use serde::Serialize;
use utoipa::ToSchema;

use super::{Runs, stored::Pause, sync::committed};
use crate::{
    domain::{TenantSlug, job::run::Owner, names::JobName, tenant::wire_instant},
    service::{Caller, Result},
    store::{Batch, Condition, Tree, codec, keys::jobs},
};

/// What a pause is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Paused {
    /// Every job.
    Everything,
    /// A job, for everybody.
    Job(JobName),
    /// All jobs of a tenant.
    Owner(Owner),
    /// A job of a tenant.
    Both(JobName, Owner),
}

impl Paused {
    /// What a job and a tenant, each given or not, name.
    pub fn of(job: Option<JobName>, owner: Option<Owner>) -> Self {
        match (job, owner) {
            (None, None) => Self::Everything,
            (Some(job), None) => Self::Job(job),
            (None, Some(owner)) => Self::Owner(owner),
            (Some(job), Some(owner)) => Self::Both(job, owner),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Everything => "all".into(),
            Self::Job(job) => format!("job#{job}"),
            Self::Owner(owner) => format!("owner#{}", owner.as_str()),
            Self::Both(job, owner) => format!("both#{}#{job}", owner.as_str()),
        }
    }

    fn parse(name: &str) -> Option<Self> {
        let parts: Vec<_> = name.split('#').collect();
        match parts[..] {
            ["all"] => Some(Self::Everything),
            ["job", job] => Some(Self::Job(JobName::parse(job).ok()?)),
            ["owner", owner] => Some(Self::Owner(Owner::parse(owner)?)),
            ["both", owner, job] => {
                Some(Self::Both(JobName::parse(job).ok()?, Owner::parse(owner)?))
            }
            _ => None,
        }
    }

    fn job(&self) -> Option<&JobName> {
        match self {
            Self::Job(job) | Self::Both(job, _) => Some(job),
            _ => None,
        }
    }

    fn owner(&self) -> Option<&Owner> {
        match self {
            Self::Owner(owner) | Self::Both(_, owner) => Some(owner),
            _ => None,
        }
    }
}

/// A pause, as the API shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PauseView {
    /// The job; null where all jobs are meant.
    #[schema(required = true)]
    pub job: Option<String>,
    /// The tenant; null where all tenants are meant.
    #[schema(required = true)]
    pub tenant: Option<String>,
    /// When it began.
    #[serde(with = "wire_instant")]
    #[schema(value_type = String, format = DateTime)]
    pub since: crate::base::Instant,
    /// Who asked for it.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// The pauses, as this process knows them.
#[derive(Default)]
pub(super) struct Pauses(RwLock<BTreeMap<Paused, Pause>>);

impl Pauses {
    fn get(&self, paused: &Paused) -> Option<Pause> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.get(paused).cloned()
    }
}

impl Runs {
    /// The pause that keeps a job from running for an owner, where there is one.
    /// `manual` runs are those that somebody asked for by name.
    pub fn paused(&self, job: &JobName, owner: &Owner, manual: bool) -> Option<Pause> {
        let pauses = &self.pauses;
        let everything = pauses.get(&Paused::Everything);
        if manual {
            return everything;
        }
        everything
            .or_else(|| pauses.get(&Paused::Job(job.clone())))
            .or_else(|| pauses.get(&Paused::Owner(owner.clone())))
            .or_else(|| pauses.get(&Paused::Both(job.clone(), owner.clone())))
    }

    /// Reads the pauses from the store.
    pub async fn load_pauses(&self) -> Result<()> {
        let rows = crate::service::scan::every(&self.core, jobs::PAUSES).await?;
        let mut known = BTreeMap::new();
        for (key, value) in rows {
            let name = String::from_utf8_lossy(&key[jobs::PAUSES.len()..]);
            if let Some(paused) = Paused::parse(&name) {
                known.insert(paused, codec::decode(&value)?);
            }
        }
        *self
            .pauses
            .0
            .write()
            .unwrap_or_else(PoisonError::into_inner) = known;
        Ok(())
    }

    /// All pauses. For operators.
    pub async fn pauses(&self, caller: &Caller) -> Result<Vec<PauseView>> {
        caller.require_operator()?;
        self.load_pauses().await?;
        let known = self.pauses.0.read().unwrap_or_else(PoisonError::into_inner);
        let view = |(paused, pause): (&Paused, &Pause)| PauseView {
            job: paused.job().map(ToString::to_string),
            tenant: paused.owner().map(|owner| owner.as_str().to_owned()),
            since: pause.since,
            by: pause.by.clone(),
            reason: pause.reason.clone(),
        };
        Ok(known.iter().map(view).collect())
    }

    /// Pauses what is named. For operators.
    pub async fn pause(&self, caller: &Caller, paused: &Paused, reason: &str) -> Result<()> {
        caller.require_operator()?;
        self.refuse_unknown(paused).await?;
        self.put_pause(paused, caller.credential(), reason).await
    }

    pub(super) async fn put_pause(&self, paused: &Paused, by: String, reason: &str) -> Result<()> {
        let pause = Pause {
            since: self.core.clock.now(),
            by,
            reason: reason.chars().take(500).collect(),
        };
        let mut batch = Batch::default();
        let key = jobs::pause(&paused.name());
        // One that is there says since when.
        batch.expect(Tree::Hot, key.clone(), Condition::Absent);
        batch.put(Tree::Hot, key, codec::encode(&pause)?);
        committed(self.core.engine.commit(batch).await)?;
        self.load_pauses().await
    }

    /// Ends a pause, and has every job count its failures anew. For operators.
    pub async fn resume(&self, caller: &Caller, paused: &Paused) -> Result<()> {
        caller.require_operator()?;
        let mut batch = Batch::default();
        batch.delete(Tree::Hot, jobs::pause(&paused.name()));
        self.core.engine.commit(batch).await?;
        if let Paused::Both(job, owner) = paused {
            self.count_failure(job, owner, false).await?;
        }
        self.load_pauses().await?;
        match paused.owner() {
            Some(owner) => self.notify(owner),
            None => self.wake(),
        }
        Ok(())
    }

    async fn refuse_unknown(&self, paused: &Paused) -> Result<()> {
        if let Some(job) = paused.job() {
            self.declared(job.as_str()).await?;
        }
        if let Some(slug) = paused.owner().and_then(Owner::tenant) {
            self.existing(&slug).await?;
        }
        Ok(())
    }

    /// The pauses of a tenant, to be removed with it.
    pub(super) fn pause_keys_of(slug: &TenantSlug) -> (crate::store::Key, crate::store::Key) {
        (
            jobs::pause(&format!("owner#{slug}")),
            jobs::pause(&format!("both#{slug}#")),
        )
    }
}
