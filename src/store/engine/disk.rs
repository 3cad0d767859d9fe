//! The engines that keep their data in a folder, by name.

use std::{path::Path, sync::Arc};

use super::{
    Applied, Embedded, Maintenance, Page, Result, Scan, Tree, Value, fjall::Fjall, sled::Sled,
};

/// An engine with everything that the store asks of it.
pub trait Stored: Embedded + Maintenance {}

impl<T: Embedded + Maintenance> Stored for T {}

impl Embedded for Arc<dyn Stored> {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Value>> {
        self.as_ref().get(tree, key)
    }
    fn scan(&self, scan: &Scan) -> Result<Page> {
        self.as_ref().scan(scan)
    }
    fn apply(&self, writes: &[Applied]) -> Result<()> {
        self.as_ref().apply(writes)
    }
}

/// One of the engines that keep their data in a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskEngine {
    /// sled 0.34.
    Sled,
    /// fjall 3.
    Fjall,
}

impl DiskEngine {
    /// All of them; the first is what a new store gets.
    pub const ALL: [DiskEngine; 2] = [DiskEngine::Sled, DiskEngine::Fjall];

    /// The name in `[store] engine`, in `FORMAT` and of the folder.
    pub fn name(self) -> &'static str {
        match self {
            DiskEngine::Sled => "sled",
            DiskEngine::Fjall => "fjall",
        }
    }

    /// The engine of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|engine| engine.name() == name)
    }

    /// Opens or creates the engine's files in the folder `path`, with a cache of
    /// `cache_bytes` for what it reads.
    pub fn open(self, path: &Path, cache_bytes: u64) -> Result<Arc<dyn Stored>> {
        Ok(match self {
            DiskEngine::Sled => Arc::new(Sled::open(path, cache_bytes)?),
            DiskEngine::Fjall => Arc::new(Fjall::open(path, cache_bytes)?),
        })
    }
}
