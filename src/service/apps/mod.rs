//! The app: which entities there are, their schemas and indexes, as the store
//! holds them. `apply.rs` changes it, `build.rs` does the work that follows in
//! the background.

mod apply;
mod build;
mod declared;
mod head;
mod view;

use std::sync::{Arc, PoisonError, RwLock};

pub use apply::{Applied, ApplyOptions, DroppedEntity};
pub use declared::{EntityView, IndexDeclared, JobDeclared};
pub use head::{AppHead, AppVersion, BuildProgress, IndexEntry, IndexState};
use tokio::sync::Notify;
pub use view::{AppView, IndexView, ProgressView, VersionView};

use super::{Code, Core, Error, Result};
use crate::{
    domain::{AppFile, Entity, EntityName, Index},
    store::{Batch, Condition, Tree, Value, codec, keys},
};

/// The applied app as of one moment.
pub struct AppState {
    /// The head row's bytes: what a write expects to find.
    pub head_bytes: Option<Value>,
    /// The head.
    pub head: AppHead,
    /// The applied file.
    pub file: Arc<AppFile>,
}

/// An index that writes maintain.
pub struct Maintained<'a> {
    /// The index.
    pub index: &'a Index,
    /// Whether records written before it may still lack their rows.
    pub building: bool,
}

impl AppState {
    /// A declared entity, by the name in a request.
    pub fn entity(&self, name: &str) -> Result<&Arc<Entity>> {
        let declared = EntityName::parse(name)
            .ok()
            .and_then(|n| self.file.entities.get(&n));
        declared.ok_or_else(|| {
            Error::new(
                Code::NotFound,
                format!("There is no entity {name:?}; declare it in app.toml as [entity.{name}] and apply the file."),
            )
        })
    }

    /// The indexes of `entity` whose rows every write keeps.
    pub fn maintained<'a>(&'a self, entity: &'a Entity) -> impl Iterator<Item = Maintained<'a>> {
        entity.all_indexes().filter_map(|index| {
            let entry = self.head.entry(entity.name.as_str(), index.name.as_str())?;
            let building = entry.state == IndexState::Building;
            entry
                .state
                .is_maintained()
                .then_some(Maintained { index, building })
        })
    }

    /// Whether lists may use an index.
    pub fn is_ready(&self, entity: &Entity, index: &str) -> bool {
        self.head
            .entry(entity.name.as_str(), index)
            .is_some_and(|entry| entry.state == IndexState::Ready)
    }

    /// Adds to `batch` that the app is still this one.
    pub fn expect_unchanged(&self, batch: &mut Batch) -> usize {
        let condition = match &self.head_bytes {
            Some(bytes) => Condition::Value(bytes.clone()),
            None => Condition::Absent,
        };
        batch.expect(Tree::Hot, keys::APP_HEAD, condition)
    }
}

/// The service that knows the applied app.
pub struct Apps {
    core: Core,
    state: RwLock<Arc<AppState>>,
    /// One applier at a time in this process; others are fenced by the head row.
    applying: tokio::sync::Mutex<()>,
    work: Notify,
}

impl Apps {
    /// Reads the applied app from the store.
    pub async fn load(core: Core) -> Result<Self> {
        let state = read_state(&core, None).await?;
        let apps = Self {
            core,
            state: RwLock::new(Arc::new(state)),
            applying: tokio::sync::Mutex::new(()),
            work: Notify::new(),
        };
        apps.add_built_in().await?;
        Ok(apps)
    }

    /// The app as this process knows it.
    pub fn current(&self) -> Arc<AppState> {
        self.state
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The app as a read needs it: looked up where another process may change it.
    pub async fn for_reading(&self) -> Result<Arc<AppState>> {
        match self.core.engine.exclusive() {
            true => Ok(self.current()),
            false => self.refresh().await,
        }
    }

    /// Reads the app again, after a write found that it changed.
    pub async fn refresh(&self) -> Result<Arc<AppState>> {
        let known = self.current();
        let state = Arc::new(read_state(&self.core, Some(&known)).await?);
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = state.clone();
        Ok(state)
    }

    /// Completes when background work may be waiting.
    pub async fn work_waiting(&self) {
        self.work.notified().await;
    }
}

/// The state in the store. The file of an unchanged version is not parsed again.
async fn read_state(core: &Core, known: Option<&AppState>) -> Result<AppState> {
    let Some(head_bytes) = core.engine.get(Tree::Hot, &keys::APP_HEAD.into()).await? else {
        let file = Arc::new(AppFile::empty());
        return Ok(AppState {
            head_bytes: None,
            head: AppHead::default(),
            file,
        });
    };
    let head: AppHead = codec::decode(&head_bytes)?;
    let file = match known {
        Some(known) if known.head.version == head.version => known.file.clone(),
        _ => Arc::new(read_file(core, head.version).await?),
    };
    Ok(AppState {
        head_bytes: Some(head_bytes),
        head,
        file,
    })
}

async fn read_file(core: &Core, version: u64) -> Result<AppFile> {
    let row = core
        .engine
        .get(Tree::Hot, &keys::app_version(version))
        .await?;
    let row = row.ok_or_else(|| Error::internal(format!("app version {version} is missing")))?;
    let stored: AppVersion = codec::decode(&row)?;
    AppFile::parse(&stored.source).map_err(|problems| {
        let first = problems
            .first()
            .map(ToString::to_string)
            .unwrap_or_default();
        Error::internal(format!(
            "the applied app file (version {version}) is refused: {first}"
        ))
    })
}
