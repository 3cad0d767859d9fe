//! The app as the API shows it.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::{
    AppVersion, Apps, IndexEntry, IndexState,
    declared::{self, EntityView, JobDeclared},
};
use crate::{
    base::Instant,
    domain::{AppFile, archive::OwnRulesChange},
    service::{Caller, Code, Error, Result},
    store::{Scan, Tree, codec, keys},
};

/// The applied app.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AppView {
    /// The applied version; 0 where no app file was applied yet.
    pub version: u64,
    /// The app file as it was given.
    pub source: String,
    /// Every index and where it stands.
    pub indexes: Vec<IndexView>,
    /// Dropped entities whose rows are still being removed.
    pub purging: Vec<String>,
    /// The entities in force, those of the app file first.
    pub entities: Vec<EntityView>,
    /// The jobs in force.
    pub jobs: Vec<JobDeclared>,
}

/// An index and where it stands.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct IndexView {
    /// Its entity.
    pub entity: String,
    /// Its name.
    pub name: String,
    /// `ready`, `building`, `dropping` or `failed`. Lists use it only when ready.
    pub state: String,
    /// Why building failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How far building has come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<ProgressView>,
}

/// How far building has come.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ProgressView {
    /// Records done.
    pub done: u64,
    /// Records there were when it began.
    pub total: u64,
}

/// An applied version.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct VersionView {
    /// Its number.
    pub version: u64,
    /// When it was applied, RFC 3339.
    pub applied_at: String,
    /// By whom.
    pub applied_by: String,
    /// The app file.
    pub source: String,
}

impl Apps {
    /// The applied app and the state of its indexes.
    pub async fn view(&self, caller: &Caller) -> Result<AppView> {
        caller.require_operator()?;
        let state = self.refresh().await?;
        let mut indexes = Vec::new();
        for entry in &state.head.indexes {
            indexes.push(self.index_view(entry).await?);
        }
        Ok(AppView {
            version: state.head.version,
            source: state.file.source.clone(),
            entities: declared::entities(&state, &indexes),
            jobs: declared::jobs(&state),
            indexes,
            purging: state.head.purging.clone(),
        })
    }

    /// Refuses durations for an entity that has no archive rule: they would do nothing.
    pub async fn check_own_rules(&self, own: Option<&OwnRulesChange>) -> Result<()> {
        let state = self.for_reading().await?;
        // Taking back what was set is always possible, also when the rule is gone.
        let sets = |terms: &&Option<BTreeMap<String, Option<String>>>| {
            terms.iter().flat_map(BTreeMap::values).any(Option::is_some)
        };
        let set = own.into_iter().flatten().filter(|(_, terms)| sets(terms));
        for (name, _) in set {
            if state.entity(name)?.archive.is_none() {
                return Err(Error::new(
                    Code::BadRequest,
                    format!("archive: the entity {name} has no archive rule in app.toml."),
                ));
            }
        }
        Ok(())
    }

    async fn index_view(&self, entry: &IndexEntry) -> Result<IndexView> {
        let (state, reason) = match &entry.state {
            IndexState::Clearing => ("dropping", None),
            IndexState::Building => ("building", None),
            IndexState::Ready => ("ready", None),
            IndexState::Failed(reason) => ("failed", Some(reason.clone())),
        };
        let progress = match entry.state {
            IndexState::Building => {
                let progress = self.progress(entry).await?;
                Some(ProgressView {
                    done: progress.done,
                    total: progress.total,
                })
            }
            _ => None,
        };
        Ok(IndexView {
            entity: entry.entity.clone(),
            name: entry.index.clone(),
            state: state.into(),
            reason,
            progress,
        })
    }

    /// The versions that are kept, newest first.
    pub async fn versions(&self, caller: &Caller) -> Result<Vec<VersionView>> {
        caller.require_operator()?;
        let mut scan = Scan::prefix(Tree::Hot, keys::APP_VERSIONS);
        scan.order = crate::store::Order::Descending;
        scan.bytes_max = usize::MAX;
        let page = self.core.engine.scan(&scan).await?;
        page.rows
            .iter()
            .map(|(_, value)| Ok(shown(codec::decode(value)?)))
            .collect()
    }

    /// One of the versions that are kept.
    pub async fn version(&self, caller: &Caller, version: u64) -> Result<VersionView> {
        caller.require_operator()?;
        self.stored_version(version).await.map(shown)
    }

    async fn stored_version(&self, version: u64) -> Result<AppVersion> {
        let row = self
            .core
            .engine
            .get(Tree::Hot, &keys::app_version(version))
            .await?;
        let row = row.ok_or_else(|| {
            Error::not_found(format!(
                "app version {version}; GET /v1/app/versions lists those that are kept"
            ))
        })?;
        Ok(codec::decode(&row)?)
    }

    /// The file of an earlier version, to be applied again.
    pub async fn version_file(&self, caller: &Caller, version: u64) -> Result<AppFile> {
        caller.require_operator()?;
        let stored = self.stored_version(version).await?;
        AppFile::parse(&stored.source).map_err(|problems| {
            let first = problems
                .first()
                .map(ToString::to_string)
                .unwrap_or_default();
            Error::new(
                Code::InvalidApp,
                format!("Version {version} is no longer valid: {first}"),
            )
        })
    }
}

fn shown(stored: AppVersion) -> VersionView {
    VersionView {
        version: stored.version,
        applied_at: Instant(stored.applied_at).to_rfc3339(),
        applied_by: stored.applied_by,
        source: stored.source,
    }
}
