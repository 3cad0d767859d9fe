//! Random operations against each engine and against a plain ordered map.

use std::{collections::BTreeMap, sync::Arc};

use proptest::prelude::*;
use tenantry::store::{
    Batch, CommitterOptions, Condition, DiskEngine, Engine, Key, OpenStore, Order, Scan,
    StoreError, Tree, Value,
    codec::decode_counter,
    engine::{faulty::Faulty, memory::Memory},
};

use crate::bench::*;

#[derive(Debug, Clone)]
enum Operation {
    Commit(Vec<(u8, Wanted)>, Vec<Change>),
    Get(u8),
    Scan {
        tree: bool,
        from: u8,
        until: u8,
        after: Option<u8>,
        descending: bool,
        limit: usize,
        bytes: usize,
    },
    Reopen,
}

#[derive(Debug, Clone)]
enum Wanted {
    Absent,
    Present,
    Value(u16),
    Prefix(u8),
}

#[derive(Debug, Clone)]
enum Change {
    Put(bool, u8, u16),
    Delete(bool, u8),
    Add(u8, i8),
}

type Model = BTreeMap<(Tree, Key), Value>;

fn tree(archive: bool) -> Tree {
    if archive { Tree::Archive } else { Tree::Hot }
}

fn name(n: u8) -> Key {
    key(&format!("t#{}", n % 24))
}

fn counter(n: u8) -> Key {
    key(&format!("c#{}", n % 4))
}

/// A value of a size between nothing and several pieces.
fn value(seed: u16) -> Value {
    let bytes = match seed % 5 {
        0 => 0,
        1 => 3,
        2 => 900,
        3 => 5000,
        _ => 20_000,
    };
    let mut value = vec![(seed / 5) as u8; bytes];
    if let Some(first) = value.first_mut() {
        *first = (seed % 7) as u8;
    }
    value.into()
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let wanted = prop_oneof![
        2 => Just(Wanted::Absent),
        4 => Just(Wanted::Present),
        1 => any::<u16>().prop_map(|v| Wanted::Value(v % 60)),
        1 => (0..7u8).prop_map(Wanted::Prefix),
    ];
    let change = prop_oneof![
        5 => (any::<bool>(), any::<u8>(), 0..60u16).prop_map(|(t, k, v)| Change::Put(t, k, v)),
        3 => (any::<bool>(), any::<u8>()).prop_map(|(t, k)| Change::Delete(t, k)),
        2 => (any::<u8>(), -3..4i8).prop_map(|(k, d)| Change::Add(k, d)),
    ];
    let commit = (
        prop::collection::vec((any::<u8>(), wanted), 0..2),
        prop::collection::vec(change, 0..6),
    )
        .prop_map(|(expectations, changes)| Operation::Commit(expectations, changes));
    let scan = (
        any::<bool>(),
        any::<u8>(),
        any::<u8>(),
        prop::option::of(any::<u8>()),
        any::<bool>(),
        1..12usize,
        1..30_000usize,
    )
        .prop_map(
            |(tree, from, until, after, descending, limit, bytes)| Operation::Scan {
                tree,
                from,
                until,
                after,
                descending,
                limit,
                bytes,
            },
        );
    let operation = prop_oneof![
        12 => commit,
        4 => any::<u8>().prop_map(Operation::Get),
        4 => scan,
        1 => Just(Operation::Reopen),
    ];
    prop::collection::vec(operation, 1..60)
}

fn batch(expectations: &[(u8, Wanted)], changes: &[Change]) -> Batch {
    let mut batch = Batch::default();
    for (key, wanted) in expectations {
        let condition = match wanted {
            Wanted::Absent => Condition::Absent,
            Wanted::Present => Condition::Present,
            Wanted::Value(seed) => Condition::Value(value(*seed)),
            Wanted::Prefix(byte) => Condition::Prefix(vec![*byte].into()),
        };
        batch.expect(Tree::Hot, name(*key), condition);
    }
    for change in changes {
        match change {
            Change::Put(archive, key, seed) => batch.put(tree(*archive), name(*key), value(*seed)),
            Change::Delete(archive, key) => batch.delete(tree(*archive), name(*key)),
            Change::Add(key, delta) => batch.add(Tree::Hot, counter(*key), i64::from(*delta)),
        }
    }
    batch
}

/// Does to the model what the contract says; the failing expectation otherwise.
fn apply(
    model: &mut Model,
    expectations: &[(u8, Wanted)],
    changes: &[Change],
) -> Result<(), usize> {
    for (index, (key, wanted)) in expectations.iter().enumerate() {
        let found = model.get(&(Tree::Hot, name(*key)));
        let holds = match wanted {
            Wanted::Absent => found.is_none(),
            Wanted::Present => found.is_some(),
            Wanted::Value(seed) => found == Some(&value(*seed)),
            Wanted::Prefix(byte) => found.is_some_and(|v| v.first() == Some(byte)),
        };
        if !holds {
            return Err(index);
        }
    }
    for change in changes {
        match change {
            Change::Put(archive, key, seed) => {
                model.insert((tree(*archive), name(*key)), value(*seed));
            }
            Change::Delete(archive, key) => {
                model.remove(&(tree(*archive), name(*key)));
            }
            Change::Add(key, delta) => {
                let at = (Tree::Hot, counter(*key));
                let sum = decode_counter(model.get(&at)).unwrap() + i64::from(*delta);
                match sum {
                    0 => model.remove(&at),
                    _ => model.insert(at, Value::copy_from_slice(&sum.to_le_bytes())),
                };
            }
        }
    }
    Ok(())
}

async fn check_scan(engine: &Arc<dyn Engine>, model: &Model, operation: &Operation) {
    let Operation::Scan {
        tree: archive,
        from,
        until,
        after,
        descending,
        limit,
        bytes,
    } = operation
    else {
        return;
    };
    let scan = Scan {
        tree: tree(*archive),
        start: name(*from),
        end: (until % 5 != 0).then(|| name(*until)),
        after: after.map(name),
        order: if *descending {
            Order::Descending
        } else {
            Order::Ascending
        },
        limit: *limit,
        bytes_max: *bytes,
        values: true,
    };
    let within = |key: &Key| {
        *key >= scan.start
            && scan.end.as_ref().is_none_or(|end| key < end)
            && scan.after.as_ref().is_none_or(|after| match descending {
                true => key < after,
                false => key > after,
            })
            && !key.starts_with(b"~#seq")
    };
    let rows = model
        .iter()
        .filter(|((t, k), _)| *t == scan.tree && within(k));
    let mut rows: Vec<_> = rows.map(|((_, k), v)| (k.clone(), v.clone())).collect();
    if *descending {
        rows.reverse();
    }
    let mut wanted = Vec::new();
    let mut sum = 0;
    for row in &rows {
        if wanted.len() == *limit || (sum >= *bytes && !wanted.is_empty()) {
            break;
        }
        sum += row.0.len() + row.1.len();
        wanted.push(row.clone());
    }
    let page = engine.scan(&scan).await.unwrap();
    let given: Vec<_> = page
        .rows
        .into_iter()
        .filter(|(k, _)| k != "~#seq")
        .collect();
    if scan.end.is_none() && given.len() < wanted.len() {
        // The page's last row was the change sequence, which the model leaves out.
        wanted.truncate(given.len());
    }
    assert_eq!(given, wanted, "{operation:?}");
    if wanted.len() < rows.len() {
        assert!(page.next.is_some(), "more follows: {operation:?}");
    }
}

async fn same(engine: &Arc<dyn Engine>, model: &Model) {
    for tree in Tree::ALL {
        let mut scan = Scan::prefix(tree, Key::new());
        scan.limit = usize::MAX;
        scan.bytes_max = usize::MAX;
        let page = engine.scan(&scan).await.unwrap();
        let rows = page.rows.into_iter().filter(|(key, _)| key != "~#seq");
        let rows: Vec<_> = rows.map(|(k, v)| ((tree, k), v)).collect();
        let wanted = model.iter().filter(|((t, _), _)| *t == tree);
        let wanted: Vec<_> = wanted.map(|(k, v)| (k.clone(), v.clone())).collect();
        assert_eq!(rows, wanted);
    }
}

/// What the operations run against.
#[derive(Clone, Copy)]
enum Against {
    Memory,
    /// The engine in memory, below the wrapper that can make it fail.
    Faulty,
    Disk(DiskEngine),
}

async fn run(operations: &[Operation], against: Against) {
    let dir = tempfile::tempdir().unwrap();
    let opened = || match against {
        Against::Memory => tenantry::store::memory().unwrap(),
        Against::Faulty => {
            let engine = Faulty::new(Memory::new());
            OpenStore::over(engine, CommitterOptions::default()).unwrap()
        }
        Against::Disk(engine) => open(dir.path(), engine),
    };
    let mut store = opened();
    let mut model = Model::new();
    for operation in operations {
        let engine = store.engine.clone();
        match operation {
            Operation::Commit(expectations, changes) => {
                let wanted = apply(&mut model, expectations, changes);
                match engine.commit(batch(expectations, changes)).await {
                    Ok(()) => assert_eq!(wanted, Ok(())),
                    Err(StoreError::Conflict { index, .. }) => assert_eq!(wanted, Err(index)),
                    Err(other) => panic!("{other}"),
                }
            }
            Operation::Get(n) => {
                for key in [name(*n), counter(*n)] {
                    let found = engine.get(Tree::Hot, &key).await.unwrap();
                    assert_eq!(found.as_ref(), model.get(&(Tree::Hot, key)));
                }
            }
            Operation::Scan { .. } => check_scan(&engine, &model, operation).await,
            Operation::Reopen if matches!(against, Against::Disk(_)) => {
                drop(engine);
                store.close();
                drop(store);
                store = opened();
            }
            Operation::Reopen => {}
        }
    }
    same(&store.engine, &model).await;
}

fn block_on(future: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(future);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_engine_in_memory_is_as_the_model(operations in operations()) {
        block_on(run(&operations, Against::Memory));
    }

    #[test]
    fn the_wrapper_without_faults_is_as_the_model(operations in operations()) {
        block_on(run(&operations, Against::Faulty));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn sled_is_as_the_model_also_when_reopened(operations in operations()) {
        block_on(run(&operations, Against::Disk(DiskEngine::Sled)));
    }

    #[test]
    fn fjall_is_as_the_model_also_when_reopened(operations in operations()) {
        block_on(run(&operations, Against::Disk(DiskEngine::Fjall)));
    }
}
