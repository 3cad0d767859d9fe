//! The applied app file's head: one small row that says which version is
//! applied and what state each index is in.
//!
//! Every write of a record expects this row to be as it was when the write was
//! planned, so a change of the app takes effect between two writes and never
//! inside one, in this process and in any other.

use serde::{Deserialize, Serialize};

use crate::store::codec::Stored;

/// The row under [`crate::store::keys::APP_HEAD`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppHead {
    /// Grows with every change of this row, so that no two states share their bytes.
    pub epoch: u64,
    /// The applied version of the app file; 0 where none was applied.
    pub version: u64,
    /// Every index that has rows or is to have them.
    pub indexes: Vec<IndexEntry>,
    /// Entities that were dropped and whose rows are still being removed.
    pub purging: Vec<String>,
}

/// One index of one entity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexEntry {
    /// The entity's name.
    pub entity: String,
    /// The index's name.
    pub index: String,
    /// What its rows depend on.
    pub fingerprint: String,
    /// Where it stands.
    pub state: IndexState,
}

/// Where an index stands in its life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum IndexState {
    /// Old rows are being removed; writes do not maintain it. Then it is built,
    /// where the app file still declares it.
    Clearing,
    /// Rows for existing records are being added; writes maintain it; no list uses it.
    Building,
    /// Complete.
    Ready,
    /// Building met records that it cannot hold; writes do not maintain it.
    /// Applying an app file tries again.
    Failed(String),
}

impl IndexState {
    /// Whether writes keep its rows.
    pub fn is_maintained(&self) -> bool {
        matches!(self, IndexState::Building | IndexState::Ready)
    }
}

impl Stored for AppHead {
    const KIND: &'static str = "app head";
    const VERSION: u8 = 1;
}

impl AppHead {
    /// The entry of an index.
    pub fn entry(&self, entity: &str, index: &str) -> Option<&IndexEntry> {
        self.indexes
            .iter()
            .find(|e| e.entity == entity && e.index == index)
    }

    /// The entry of an index, to change it.
    pub fn entry_mut(&mut self, entity: &str, index: &str) -> Option<&mut IndexEntry> {
        self.indexes
            .iter_mut()
            .find(|e| e.entity == entity && e.index == index)
    }
}

/// One applied version of the app file, kept for history and rollback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppVersion {
    /// Its number, from 1.
    pub version: u64,
    /// The file as it was given.
    pub source: String,
    /// When, in milliseconds since the epoch.
    pub applied_at: i64,
    /// By whom.
    pub applied_by: String,
}

impl Stored for AppVersion {
    const KIND: &'static str = "app version";
    const VERSION: u8 = 1;
}

/// How far the building of an index has come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildProgress {
    /// The tenant that is being worked on.
    pub tenant: Option<String>,
    /// Whether its archive is reached.
    pub archive: bool,
    /// The last record's key that is done.
    pub after: Option<Vec<u8>>,
    /// Records done.
    pub done: u64,
    /// Records there were at the start.
    pub total: u64,
}

impl Stored for BuildProgress {
    const KIND: &'static str = "build progress";
    const VERSION: u8 = 1;
}
