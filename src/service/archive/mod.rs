//! The archive tier: which records are due, what goes along with them, what a rule
//! would do, what is where. The moves themselves are operations on records
//! (`records/stage`); the jobs that make them are in `jobs/kinds`.

mod along;
mod due;
mod plan;
mod receipts;
mod totals;
mod training;
mod view;

use std::sync::{Arc, Mutex};

pub use along::A_COMMIT;
pub use due::DuePage;
pub use plan::EntityPlan;
pub use receipts::Receipt;
pub use totals::Totals;
pub use view::{ArchivedTier, DictionaryView, EntityStatus, HotTier, RuleView, archive_end};

use serde::{Deserialize, Serialize};

use super::{
    Code, Core, Error, Result, TenantAccess,
    apps::{AppState, Apps},
    holds,
    records::{Action, Only, Operation, Records},
};
use crate::{
    domain::{
        Entity, EntityName, RecordId, Tenant,
        archive::{ArchiveRule, Child, Terms},
        job::kind::archive::Params,
        query::{ListRequest, TierChoice},
    },
    store::{Tree, codec},
};

/// The service.
pub struct Archive {
    core: Core,
    apps: Arc<Apps>,
    records: Arc<Records>,
    gathered: Mutex<totals::Gathered>,
    /// Whose turn it is to move records: one run at a time, whatever the tenant.
    turns: tokio::sync::Mutex<()>,
}

/// Which way records go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Out of the hot tree.
    Archive,
    /// Back into it.
    Restore,
}

impl Way {
    /// Where records come from.
    pub fn from(self) -> Tree {
        match self {
            Self::Archive => Tree::Hot,
            Self::Restore => Tree::Archive,
        }
    }

    /// The list that gives the records that were asked for.
    pub fn request(self, ask: &Ask) -> Result<ListRequest> {
        let request = ListRequest::from_pairs(ask.query.clone(), A_COMMIT, A_COMMIT);
        let mut request = request.map_err(|problem| {
            let detail = format!("query: {}.", problem.detail);
            Error::new(Code::BadRequest, detail)
        })?;
        request.tier = match self {
            Self::Archive => TierChoice::Hot,
            Self::Restore => TierChoice::Archive,
        };
        Ok(request)
    }

    /// The name of the kind of jobs that go this way.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Archive => "archive",
            Self::Restore => "restore",
        }
    }

    /// The operation that moves a record.
    pub fn operation(self, entity: &str, id: &str, only: Only) -> Operation {
        let id = id.to_owned();
        let action = match self {
            Self::Archive => Action::Archive { id, only },
            Self::Restore => Action::Restore { id, only },
        };
        Operation::of(entity, action)
    }
}

/// What was asked to be moved: the records that a list with these parameters gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// The entity.
    pub entity: String,
    /// The parameters, as in a list's URL.
    pub query: Vec<(String, String)>,
}

impl Archive {
    /// The service over a store.
    pub fn new(core: Core, apps: Arc<Apps>, records: Arc<Records>) -> Self {
        Self {
            core,
            apps,
            records,
            gathered: Mutex::default(),
            turns: tokio::sync::Mutex::default(),
        }
    }

    /// Waits for its turn to move records. Runs take turns commit by commit, so all of
    /// them together take no more of the store's time than one, and none waits for
    /// another's end.
    pub async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turns.lock().await
    }

    /// The entities that have a rule, in the order of their names.
    pub async fn entities(&self) -> Result<Vec<Arc<Entity>>> {
        let state = self.apps.for_reading().await?;
        let ruled = state.file.entities.values();
        Ok(ruled.filter(|e| e.archive.is_some()).cloned().collect())
    }

    /// The applied app file's entity of that name, with its rule.
    pub async fn ruled(&self, name: &str) -> Result<Arc<Entity>> {
        let state = self.apps.for_reading().await?;
        let entity = state.entity(name)?;
        match entity.archive {
            Some(_) => Ok(entity.clone()),
            None => Err(Error::new(
                Code::BadRequest,
                format!(
                    "The entity {name} has no archive rule; declare [entity.{name}.archive] in app.toml, or name single records."
                ),
            )),
        }
    }

    /// Refuses what a run could not do: an entity without a rule, a list that no index
    /// serves.
    pub async fn check_ask(&self, access: &TenantAccess, way: Way, ask: &Ask) -> Result<()> {
        self.ruled(&ask.entity).await?;
        let bad = |detail: String| Error::new(Code::BadRequest, detail);
        const OURS: [&str; 5] = ["tier", "limit", "cursor", "count", "explain"];
        if let Some((name, _)) = ask
            .query
            .iter()
            .find(|(name, _)| OURS.contains(&name.as_str()))
        {
            return Err(bad(format!(
                "query: {name} has no meaning here: expected filters and an order."
            )));
        }
        let mut request = way.request(ask)?;
        request.limit = 1;
        self.records.list(access, &ask.entity, &request).await?;
        Ok(())
    }

    /// How long after its time a record of an entity goes for good, as it is declared and
    /// set for the tenant at this moment; `None` where it is kept.
    pub async fn purge_after_ms(
        &self,
        access: &TenantAccess,
        entity: &EntityName,
    ) -> Result<Option<i64>> {
        let state = self.apps.for_reading().await?;
        let entity = state.file.entities.get(entity);
        let Some((entity, rule)) = entity.and_then(|e| Some((e, e.archive.as_ref()?))) else {
            return Ok(None);
        };
        let row = access.keys.tenant_row();
        let row = self.core.engine.get(Tree::Hot, &row).await?;
        let tenant: Option<Tenant> = row.map(|row| codec::decode(&row)).transpose()?;
        Ok(terms(entity, rule, tenant.as_ref()).purge_after_ms)
    }

    /// Whether a legal hold covers a record, or all of an entity.
    pub async fn is_held(
        &self,
        access: &TenantAccess,
        entity: &EntityName,
        id: Option<&RecordId>,
    ) -> Result<bool> {
        match id {
            Some(id) => holds::is_held(&self.core, &access.keys, entity, id).await,
            None => holds::holds_entity(&self.core, &access.keys, entity).await,
        }
    }

    /// Whether a legal hold covers anything of an entity.
    pub async fn holds_any_of(&self, access: &TenantAccess, entity: &EntityName) -> Result<bool> {
        holds::holds_any_of(&self.core, &access.keys, entity).await
    }

    /// Bytes of an archived record's key and stored value.
    pub async fn stored_bytes(
        &self,
        access: &TenantAccess,
        entity: &EntityName,
        id: &RecordId,
    ) -> Result<u64> {
        let key = access.keys.record(entity, id);
        let value = self.core.engine.get(Tree::Archive, &key).await?;
        Ok(value.map_or(0, |value| (key.len() + value.len()) as u64))
    }

    /// How many records are due for the archive, of the entities meant.
    pub async fn count_all_due(
        &self,
        access: &TenantAccess,
        tenant: &Tenant,
        params: &Params,
    ) -> Result<u64> {
        let now = self.core.clock.now();
        let mut due = 0;
        for entity in self.entities().await? {
            let Some(rule) = entity
                .archive
                .as_ref()
                .filter(|_| params.means(&entity.name))
            else {
                continue;
            };
            if self.is_ready(&entity).await? {
                let terms = terms(&entity, rule, Some(tenant));
                due += self.count_due_now(access, &entity, terms, now).await?;
            }
        }
        Ok(due)
    }

    /// Whether the indexes are complete that find what is due and what goes along.
    pub async fn is_ready(&self, entity: &Entity) -> Result<bool> {
        let state = self.apps.for_reading().await?;
        let Some(rule) = &entity.archive else {
            return Ok(false);
        };
        let due = state.is_ready(entity, rule.due.name.as_str());
        Ok(due && unready_child(&state, rule).is_none())
    }
}

/// The first kind of records that go along whose index is not complete.
fn unready_child<'a>(state: &AppState, rule: &'a ArchiveRule) -> Option<&'a Child> {
    rule.with.iter().find(|child| {
        let entity = state.file.entities.get(&child.entity);
        !entity.is_some_and(|entity| state.is_ready(entity, child.index.as_str()))
    })
}

/// A rule's durations for a tenant.
pub fn terms(entity: &Entity, rule: &ArchiveRule, tenant: Option<&Tenant>) -> Terms {
    rule.terms(tenant.and_then(|tenant| tenant.archive.get(&entity.name)))
}
