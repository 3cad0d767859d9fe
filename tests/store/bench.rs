//! Every engine, and short ways to ask it.

use std::{path::Path, sync::Arc};

use tenantry::store::{
    Batch, CommitterOptions, Condition, DiskEngine, Engine, Key, OpenStore, Order, Scan,
    StoreError, StoreOptions, Tree, Value,
    engine::{faulty::Faulty, memory::Memory},
};

/// What a test gives an engine.
pub const CACHE_BYTES: u64 = 16 << 20;

/// A store for one test, with its files.
pub struct Bench {
    pub store: OpenStore,
    pub name: &'static str,
    _dir: Option<tempfile::TempDir>,
}

impl Bench {
    pub fn engine(&self) -> Arc<dyn Engine> {
        self.store.engine.clone()
    }
}

/// Every engine the contract is kept by.
pub fn engines() -> Vec<Bench> {
    engines_with(CommitterOptions::default())
}

pub fn engines_with(options: CommitterOptions) -> Vec<Bench> {
    let bench = |name, store, dir| Bench {
        store,
        name,
        _dir: dir,
    };
    let memory = OpenStore::over(Memory::new(), options).unwrap();
    let faulty = OpenStore::over(Faulty::new(Memory::new()), options).unwrap();
    let on_disk = DiskEngine::ALL.map(|engine| {
        let dir = tempfile::tempdir().unwrap();
        bench(
            engine.name(),
            open_with(dir.path(), engine, options),
            Some(dir),
        )
    });
    let mut benches = vec![
        bench("memory", memory, None),
        bench("faulty without faults", faulty, None),
    ];
    benches.extend(on_disk);
    benches
}

/// A store in `dir` on this engine.
pub fn open(dir: &Path, engine: DiskEngine) -> OpenStore {
    open_with(dir, engine, CommitterOptions::default())
}

pub fn open_with(dir: &Path, engine: DiskEngine, committer: CommitterOptions) -> OpenStore {
    let options = StoreOptions {
        engine: Some(engine),
        cache_bytes: CACHE_BYTES,
        committer,
    };
    tenantry::store::open(dir, &options).unwrap()
}

pub fn key(text: &str) -> Key {
    Key::copy_from_slice(text.as_bytes())
}

pub fn put(key_text: &str, value: &[u8]) -> Batch {
    let mut batch = Batch::default();
    batch.put(Tree::Hot, key(key_text), Value::copy_from_slice(value));
    batch
}

pub fn create(key_text: &str, value: &[u8]) -> Batch {
    let mut batch = put(key_text, value);
    batch.expect(Tree::Hot, key(key_text), Condition::Absent);
    batch
}

pub async fn get(engine: &Arc<dyn Engine>, text: &str) -> Option<Vec<u8>> {
    let value = engine.get(Tree::Hot, &key(text)).await.unwrap();
    value.map(|v| v.to_vec())
}

/// Every key under a prefix, page by page.
pub async fn all(engine: &Arc<dyn Engine>, mut scan: Scan) -> Vec<(String, Vec<u8>)> {
    let mut rows = Vec::new();
    loop {
        let page = engine.scan(&scan).await.unwrap();
        assert!(page.rows.len() <= scan.limit);
        for (key, value) in page.rows {
            rows.push((String::from_utf8(key.to_vec()).unwrap(), value.to_vec()));
        }
        match page.next {
            Some(next) => {
                assert_eq!(next, rows.last().unwrap().0.as_bytes());
                scan.after = Some(next);
            }
            None => return rows,
        }
    }
}

pub fn prefix(text: &str, order: Order, limit: usize) -> Scan {
    let mut scan = Scan::prefix(Tree::Hot, key(text));
    scan.order = order;
    scan.limit = limit;
    scan
}

/// The position of the expectation that failed.
pub fn conflict(result: Result<(), StoreError>) -> usize {
    match result {
        Err(StoreError::Conflict { index, .. }) => index,
        other => panic!("no conflict: {other:?}"),
    }
}
