//! What holds when the engine fails, waits, panics or dies.

use std::{path::Path, sync::Arc, time::Duration};

use tenantry::store::{
    Batch, Committed, CommitterOptions, DiskEngine, Engine, StoreError, Tree,
    engine::{
        Applied, Embedded, Stored,
        faulty::{Call, Fault, Faulty},
        memory::Memory,
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
        let faulty = Arc::new(Faulty::new(Memory::new()));
        let committed = Committed::start(faulty.clone(), CommitterOptions::default()).unwrap();
        let metrics = committed.metrics();
        let engine: Arc<dyn Engine> = Arc::new(committed);
        engine.commit(put("before", b"1")).await.unwrap();
        assert!(engine.read_only().is_none());
        faulty.plan(Call::Apply, 0, fault);
        let failed = engine.commit(put("failed", b"1")).await;
        assert!(
            matches!(failed, Err(StoreError::InDoubt(_))),
            "{fault:?}: {failed:?}"
        );
        for _ in 0..3 {
            let late = engine.commit(put("late", b"1")).await;
            assert!(matches!(late, Err(StoreError::ReadOnly(_))), "{late:?}");
        }
        assert!(engine.read_only().is_some());
        let written = metrics.batches.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(written, 1, "only what is on disk counts as written");
        assert_eq!(get(&engine, "before").await.unwrap(), b"1");
        assert_eq!(get(&engine, "late").await, None);
    }
}

/// The disk hangs for a while: nobody waits for it, and afterwards writes go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_disk_that_does_not_answer_keeps_nobody_waiting() {
    let options = CommitterOptions {
        stalled_after: Duration::from_millis(200),
        ..CommitterOptions::default()
    };
    let faulty = Arc::new(Faulty::new(Memory::new()));
    let engine: Arc<dyn Engine> = Arc::new(Committed::start(faulty.clone(), options).unwrap());
    engine.commit(put("before", b"1")).await.unwrap();
    faulty.plan(Call::Apply, 0, Fault::Delay(Duration::from_secs(2)));
    let began = std::time::Instant::now();
    let both = ["first", "second"].map(|name| engine.commit(put(name, b"1")));
    for answer in futures_util::future::join_all(both).await {
        assert!(matches!(answer, Err(StoreError::Stalled(_))), "{answer:?}");
    }
    let late = engine.commit(put("late", b"1")).await;
    assert!(matches!(late, Err(StoreError::Stalled(_))), "{late:?}");
    assert!(engine.read_only().unwrap().contains("has not taken"));
    assert_eq!(get(&engine, "before").await.unwrap(), b"1");
    assert!(began.elapsed() < Duration::from_secs(2), "they waited");
    while engine.read_only().is_some() {
        tokio::task::yield_now().await;
    }
    engine.commit(put("after", b"1")).await.unwrap();
    // What was sent before is written when the disk answers; what came late is not.
    for name in ["first", "second"] {
        assert_eq!(get(&engine, name).await.unwrap(), b"1");
    }
    assert_eq!(get(&engine, "late").await, None);
}

/// A server that is told to stop does not wait for a disk that hangs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_does_not_answer_holds_up_no_end() {
    let options = CommitterOptions {
        stalled_after: Duration::from_millis(200),
        ..CommitterOptions::default()
    };
    let faulty = Arc::new(Faulty::new(Memory::new()));
    let engine = Committed::start(faulty.clone(), options).unwrap();
    faulty.plan(Call::Apply, 0, Fault::Delay(Duration::from_secs(20)));
    engine.commit(put("k", b"1")).await.unwrap_err();
    let began = std::time::Instant::now();
    engine.close();
    assert!(began.elapsed() < Duration::from_secs(10), "it waited");
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
                Err(StoreError::InDoubt(_) | StoreError::ReadOnly(_)) => {}
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

/// Who lost against a batch that is on its way hears of it when that is on disk,
/// and never hears that it lost against what then was not written.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_conflict_is_answered_when_its_winner_is_on_disk() {
    for fails in [false, true] {
        let (faulty, engine) = rig();
        faulty.plan(Call::Apply, 0, Fault::Delay(Duration::from_millis(50)));
        if fails {
            faulty.plan(Call::Apply, 1, Fault::Fail);
        }
        let commit = |batch: Batch| {
            let engine = engine.clone();
            tokio::spawn(async move { engine.commit(batch).await })
        };
        let first = commit(create("first", b"1"));
        while faulty.count(Call::Apply) == 0 {
            tokio::task::yield_now().await;
        }
        let looked_at = faulty.count(Call::Get);
        let winner = commit(create("second", b"1"));
        while faulty.count(Call::Get) == looked_at {
            tokio::task::yield_now().await;
        }
        let answer = engine.commit(create("second", b"2")).await;
        match fails {
            false => {
                assert_eq!(conflict(answer), 0);
                assert_eq!(get(&engine, "second").await.unwrap(), b"1");
                winner.await.unwrap().unwrap();
            }
            true => assert!(
                matches!(
                    answer,
                    Err(StoreError::InDoubt(_) | StoreError::ReadOnly(_))
                ),
                "{answer:?}"
            ),
        }
        first.await.unwrap().unwrap();
    }
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

/// A group whose batches do not add up to its limit in bytes.
#[tokio::test]
async fn a_group_stays_within_its_bytes_and_the_queue_within_its_own() {
    let options = CommitterOptions {
        group_bytes: 25_000,
        queue_bytes: 100_000,
        ..CommitterOptions::default()
    };
    let faulty = Arc::new(Faulty::new(Memory::new()));
    let engine: Arc<dyn Engine> = Arc::new(Committed::start(faulty.clone(), options).unwrap());
    let send = |name: String, bytes: usize| {
        let engine = engine.clone();
        tokio::spawn(async move { engine.commit(put(&name, &vec![1; bytes])).await })
    };
    faulty.plan(Call::Apply, 0, Fault::Delay(Duration::from_millis(300)));
    let first = send("first".into(), 1);
    while faulty.count(Call::Apply) == 0 {
        tokio::task::yield_now().await;
    }
    // Two of the ten make a group and eight wait; two more are too many.
    let taken: Vec<_> = (0..12).map(|n| send(format!("k{n:02}"), 10_000)).collect();
    let answers = futures_util::future::join_all(taken).await;
    let answers: Vec<_> = answers.into_iter().map(|a| a.unwrap()).collect();
    let refused = answers
        .iter()
        .filter(|a| matches!(a, Err(StoreError::Busy)));
    assert!((1..=3).contains(&refused.count()), "{answers:?}");
    let taken = answers.iter().filter(|a| a.is_ok()).count() as u64;
    // A group takes two of them, and the first stood alone.
    assert!(faulty.count(Call::Apply) > taken / 2);
    first.await.unwrap().unwrap();
    // One above both limits is taken when it stands alone.
    send("large".into(), 300_000).await.unwrap().unwrap();
}

/// Batches that are refused do not keep those admitted before them waiting.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_stream_of_conflicts_holds_nobody_back() {
    let (_, engine) = rig();
    engine.commit(put("taken", b"1")).await.unwrap();
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let conflicting: Vec<_> = (0..200)
        .map(|_| {
            let (engine, stop) = (engine.clone(), stop.clone());
            tokio::spawn(async move {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let _ = engine.commit(create("taken", b"2")).await;
                }
            })
        })
        .collect();
    for n in 0..50 {
        let write = engine.commit(put(&format!("k{n}"), b"x"));
        let answer = tokio::time::timeout(Duration::from_secs(10), write).await;
        answer.expect("held back").unwrap();
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    for writer in conflicting {
        writer.await.unwrap();
    }
}

#[tokio::test]
async fn a_change_sequence_that_is_none_is_an_error() {
    let memory = Memory::new();
    let damaged = Applied {
        tree: Tree::Hot,
        key: key("~#seq"),
        value: Some("12345".into()),
        replaced_bytes: None,
    };
    memory.apply(&[damaged]).unwrap();
    let opened = Committed::start(Arc::new(memory), CommitterOptions::default());
    assert!(matches!(opened.err(), Some(StoreError::Corrupt(_))));
}

fn at(path: &Path, engine: DiskEngine) -> Arc<dyn Stored> {
    engine.open(path, CACHE_BYTES).unwrap()
}

fn committed(engine: impl Embedded) -> Arc<dyn Engine> {
    Arc::new(Committed::start(Arc::new(engine), CommitterOptions::default()).unwrap())
}

#[tokio::test]
async fn what_was_acknowledged_before_a_failure_is_there_after_it() {
    for kind in DiskEngine::ALL {
        let dir = tempfile::tempdir().unwrap();
        {
            let faulty = Arc::new(Faulty::new(at(dir.path(), kind)));
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
        let engine = committed(at(dir.path(), kind));
        for n in 0..20 {
            assert!(get(&engine, &format!("k{n}")).await.is_some());
        }
        assert_eq!(get(&engine, "lost").await, None);
        assert_eq!(engine.get(Tree::Archive, &key("lost")).await.unwrap(), None);
    }
}

/// In the child process: dies in the middle of the tenth write.
#[tokio::test]
async fn a_process_that_dies_in_a_write_loses_none_before_it() {
    const ENGINE: &str = "TENANTRY_TEST_ENGINE";
    const CHILD: &str = "TENANTRY_TEST_DIES_IN";
    if let (Some(path), Ok(engine)) = (std::env::var_os(CHILD), std::env::var(ENGINE)) {
        let engine = DiskEngine::named(&engine).unwrap();
        let faulty = Faulty::new(at(path.as_ref(), engine));
        faulty.plan(Call::Apply, 9, Fault::Die);
        let engine = committed(faulty);
        for n in 0..100 {
            engine
                .commit(put(&format!("k{n}"), &[b'x'; 9000]))
                .await
                .unwrap();
        }
        unreachable!("the process should have died");
    }
    for engine in DiskEngine::ALL {
        let dir = tempfile::tempdir().unwrap();
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "faults::a_process_that_dies_in_a_write_loses_none_before_it",
            ])
            .env(CHILD, dir.path())
            .env(ENGINE, engine.name())
            .output()
            .unwrap();
        assert!(!child.status.success());
        let engine = committed(at(dir.path(), engine));
        for n in 0..100 {
            let there = get(&engine, &format!("k{n}")).await.is_some();
            assert_eq!(there, n < 9, "k{n}");
        }
    }
}
