//! Opening a store: the engine with its committer.

use std::{path::Path, sync::Arc};

use super::{
    backup,
    committer::{ByHand, Committed, CommitterMetrics, CommitterOptions},
    copy,
    engine::{
        DiskEngine, Embedded, Engine, Maintenance, Result, StoreError, Stored, memory::Memory,
    },
    folder,
};

/// How to open a store.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The engine; none is the one that the store was made with.
    pub engine: Option<DiskEngine>,
    /// Bytes of the engine's own cache.
    pub cache_bytes: u64,
    /// The committer's limits.
    pub committer: CommitterOptions,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            engine: None,
            cache_bytes: 256 << 20,
            committer: CommitterOptions::default(),
        }
    }
}

/// An open store.
#[derive(Clone)]
pub struct OpenStore {
    /// The contract.
    pub engine: Arc<dyn Engine>,
    /// What an operator asks of it.
    pub maintenance: Arc<dyn Maintenance>,
    /// What the committer counts.
    pub metrics: Arc<CommitterMetrics>,
    committed: Arc<Committed>,
}

impl OpenStore {
    /// An embedded engine with a committer over it.
    pub fn over(engine: impl Stored, options: CommitterOptions) -> Result<Self> {
        Self::over_shared(Arc::new(engine), options)
    }

    /// An embedded engine below a committer that takes its steps by hand.
    pub fn by_hand(
        engine: Arc<dyn Stored>,
        options: CommitterOptions,
        seed: u64,
    ) -> Result<(Self, ByHand)> {
        let (committed, by_hand) = Committed::by_hand(engine.clone(), options, seed)?;
        Ok((Self::of(committed, engine), by_hand))
    }

    fn over_shared(engine: Arc<dyn Stored>, options: CommitterOptions) -> Result<Self> {
        let embedded: Arc<dyn Embedded> = engine.clone();
        Ok(Self::of(Committed::start(embedded, options)?, engine))
    }

    fn of(committed: Committed, maintenance: Arc<dyn Maintenance>) -> Self {
        let committed = Arc::new(committed);
        Self {
            metrics: committed.metrics(),
            engine: committed.clone(),
            maintenance,
            committed,
        }
    }

    /// Writes what waits and ends the committer; further commits are refused.
    pub fn close(&self) {
        self.committed.close();
    }

    /// The committer, for who reads the whole store.
    pub(super) fn committed(&self) -> &Committed {
        &self.committed
    }
}

/// A store in memory, for tests.
pub fn memory() -> Result<OpenStore> {
    OpenStore::over(Memory::new(), CommitterOptions::default())
}

/// Opens the store in `dir`, or makes one where the folder is empty or missing.
pub fn open(dir: &Path, options: &StoreOptions) -> Result<OpenStore> {
    backup::settle(dir).map_err(|error| StoreError::Open(error.to_string()))?;
    let engine = folder::prepare(dir, options.engine)?;
    copy::settle(dir, engine)?;
    let opened = engine.open(&folder::engine_folder(dir, engine), options.cache_bytes)?;
    let store = OpenStore::over_shared(opened, options.committer)?;
    copy::forget_old(dir);
    Ok(store)
}
