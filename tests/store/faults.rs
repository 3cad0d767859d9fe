//! What holds when the engine fails, waits, panics or dies.

use std::{sync::Arc, time::Duration};

use tenantry::store::{
    Batch, Committed, CommitterOptions, Engine, StoreError, Tree,
    engine::{
        faulty::{Call, Fault, Faulty},
        memory::Memory,
        sled::Sled,
    },
};

use crate::bench::*;

type Rig = (Arc<Faulty<Memory>>, Arc<dyn Engine>);

fn rig() -> Rig {
    let faulty = Arc::new(Faulty::new(Memory::new()));
    let committed = Committed::start(faulty.clone(), CommitterOptions::default()).unwrap();
    (faulty, Arc::new(committed))
}

#[tokio::test]
async fn after_a_failed_write_nothing_is_taken_and_reads_go_on() {
    for fault in [Fault::Fail, Fault::FailAfter, Fault::Panic] {
        let (faulty, engine) = rig();
        engine.commit(put("before", b"1")).await.unwrap();
        assert!(engine.read_only().is_none());
        faulty.plan(Call::Apply, 0, fault);
        let failed = engine.commit(put("failed", b"1")).await;
        assert!(
            matches!(failed, Err(StoreError::Io(_))),
            "{fault:?}: {failed:?}"
        );
        for _ in 0..3 {
            let late = engine.commit(put("late", b"1")).await;
            assert!(matches!(late, Err(StoreError::ReadOnly(_))), "{late:?}");
        }
        assert!(engine.read_only().is_some());
        assert_eq!(get(&engine, "before").await.unwrap(), b"1");
        assert_eq!(get(&engine, "late").await, None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_failure_fails_every_batch_that_waits_and_hangs_nobody() {
    for fault in [Fault::Fail, Fault::Panic] {
        let (faulty, engine) = rig();
        faulty.plan(Call::Apply, 0, Fault::Delay(Duration::from_millis(50)));
        faulty.plan(Call::Apply, 1, fault);
        let first = tokio::spawn({
            let engine = engine.clone();
            async move { engine.commit(put("first", b"x")).await }
        });
        while faulty.count(Call::Apply) == 0 {
            tokio::task::yield_now().await;
        }
        let writers: Vec<_> = (0..64)
            .map(|n| {
                let engine = engine.clone();
                tokio::spawn(async move { engine.commit(put(&format!("k{n}"), b"x")).await })
            })
            .collect();
        for writer in writers {
            let answer = tokio::time::timeout(Duration::from_secs(10), writer).await;
            match answer.expect("hangs").unwrap() {
                Err(StoreError::Io(_) | StoreError::ReadOnly(_)) => {}
                other => panic!("{other:?}"),
            }
        }
        first.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_panic_while_expectations_are_checked_hangs_nobody() {
    let (faulty, engine) = rig();
    engine.commit(put("k", b"1")).await.unwrap();
    faulty.plan(Call::Get, 0, Fault::Panic);
    for _ in 0..3 {
        // Not a key that the committer has just written and still knows.
        let answer = engine.commit(create("other", b"2"));
        let answer = tokio::time::timeout(Duration::from_secs(10), answer).await;
        assert!(answer.expect("hangs").is_err());
    }
    assert_eq!(get(&engine, "k").await.unwrap(), b"1");
}

#[tokio::test]
async fn an_error_while_expectations_are_checked_is_that_batchs_own() {
    let (faulty, engine) = rig();
    faulty.plan(Call::Get, 0, Fault::Fail);
    let failed = engine.commit(create("k", b"1")).await;
    assert!(matches!(failed, Err(StoreError::Io(_))), "{failed:?}");
    engine.commit(create("k", b"2")).await.unwrap();
    assert_eq!(get(&engine, "k").await.unwrap(), b"2");
}

#[tokio::test]
async fn a_slow_write_is_answered_when_it_is_done() {
    let (faulty, engine) = rig();
    faulty.plan(Call::Apply, 0, Fault::Delay(Duration::from_millis(100)));
    let started = std::time::Instant::now();
    engine.commit(put("k", b"1")).await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(100));
}

#[tokio::test]
async fn groups_are_merged_while_one_is_written() {
    let (faulty, engine) = rig();
    faulty.plan(Call::Apply, 0, Fault::Delay(Duration::from_millis(200)));
    let first = tokio::spawn({
        let engine = engine.clone();
        async move { engine.commit(put("first", b"x")).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let writers = (0..50).map(|n| {
        let engine = engine.clone();
        tokio::spawn(async move { engine.commit(put(&format!("k{n}"), b"x")).await })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap().unwrap();
    }
    first.await.unwrap().unwrap();
    assert!(
        faulty.count(Call::Apply) <= 4,
        "{} writes",
        faulty.count(Call::Apply)
    );
}

#[tokio::test]
async fn what_was_acknowledged_before_a_failure_is_there_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sled");
    {
        let faulty = Arc::new(Faulty::new(Sled::open(&path, 16 << 20).unwrap()));
        let engine = Committed::start(faulty.clone(), CommitterOptions::default()).unwrap();
        let engine: Arc<dyn Engine> = Arc::new(engine);
        for n in 0..20 {
            engine.commit(put(&format!("k{n}"), b"x")).await.unwrap();
        }
        faulty.plan(Call::Apply, 0, Fault::Fail);
        let mut both = Batch::default();
        both.put(Tree::Hot, "lost", "x");
        both.put(Tree::Archive, "lost", "x");
        engine.commit(both).await.unwrap_err();
    }
    let sled = Arc::new(Sled::open(&path, 16 << 20).unwrap());
    let engine = Committed::start(sled, CommitterOptions::default()).unwrap();
    let engine: Arc<dyn Engine> = Arc::new(engine);
    for n in 0..20 {
        assert!(get(&engine, &format!("k{n}")).await.is_some());
    }
    assert_eq!(get(&engine, "lost").await, None);
    assert_eq!(engine.get(Tree::Archive, &key("lost")).await.unwrap(), None);
}

/// In the child process: dies in the middle of the tenth write.
#[tokio::test]
async fn a_process_that_dies_in_a_write_loses_none_before_it() {
    const CHILD: &str = "TENANTRY_TEST_DIES_IN";
    if let Some(path) = std::env::var_os(CHILD) {
        let faulty = Arc::new(Faulty::new(Sled::open(path.as_ref(), 16 << 20).unwrap()));
        faulty.plan(Call::Apply, 9, Fault::Die);
        let engine = Committed::start(faulty, CommitterOptions::default()).unwrap();
        for n in 0..100 {
            engine
                .commit(put(&format!("k{n}"), &[b'x'; 9000]))
                .await
                .unwrap();
        }
        unreachable!("the process should have died");
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sled");
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "faults::a_process_that_dies_in_a_write_loses_none_before_it",
        ])
        .env(CHILD, &path)
        .output()
        .unwrap();
    assert!(!child.status.success());
    let sled = Arc::new(Sled::open(&path, 16 << 20).unwrap());
    let engine: Arc<dyn Engine> =
        Arc::new(Committed::start(sled, CommitterOptions::default()).unwrap());
    for n in 0..100 {
        let there = get(&engine, &format!("k{n}")).await.is_some();
        assert_eq!(there, n < 9, "k{n}");
    }
}
