//! The committer in very many orders of its threads' steps. Its own source is compiled
//! here once more, with the locks, threads and atomic numbers of `shuttle`, which runs
//! all threads as one and decides at each of their steps who goes on. A hang is a
//! deadlock to it, and a schedule that fails is printed and can be replayed.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod base {
    pub mod sync {
        pub use std::sync::PoisonError;

        pub use shuttle::{
            sync::{
                Condvar, Mutex, MutexGuard,
                atomic::{AtomicBool, AtomicU64, Ordering, fence},
            },
            thread,
        };
    }
}

mod store {
    pub use tenantry::store::{codec, engine};
}

// What only the server uses of it is used by nobody here.
#[allow(dead_code, unused_imports)]
#[path = "../../src/store/committer/mod.rs"]
mod committer;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use committer::{Committed, CommitterOptions};
use shuttle::{
    Config, Runner,
    future::block_on,
    scheduler::{PctScheduler, RandomScheduler, Scheduler},
    thread,
};
use tenantry::store::{
    Batch, Condition, Embedded, Engine, Key, StoreError, Tree, Value,
    engine::{
        Result,
        faulty::{Call, Fault, Faulty},
        memory::Memory,
    },
};

/// Schedules of one case with one scheduler, unless `SCHEDULES` says otherwise.
const SCHEDULES: usize = 300;
/// Reorderings that the second scheduler puts into each schedule.
const DEPTH: usize = 3;

type Rig = (Arc<Faulty<Memory>>, Arc<Committed>);

fn rig() -> Rig {
    let faulty = Arc::new(Faulty::new(Memory::new()));
    let options = CommitterOptions {
        group_batches: 2,
        cache_bytes: 1 << 16,
        ..CommitterOptions::default()
    };
    let committed = Committed::start(faulty.clone(), options).unwrap();
    (faulty, Arc::new(committed))
}

fn check(case: fn()) {
    let schedules = std::env::var("SCHEDULES").map_or(SCHEDULES, |text| text.parse().unwrap());
    let run = |scheduler: Box<dyn Scheduler + Send>| {
        let mut config = Config::new();
        config.stack_size = 1 << 20;
        Runner::new(scheduler, config).run(case);
    };
    run(Box::new(RandomScheduler::new(schedules)));
    run(Box::new(PctScheduler::new(DEPTH, schedules)));
}

fn key(name: &str) -> Key {
    Key::copy_from_slice(name.as_bytes())
}

fn put(name: &str, value: &str) -> Batch {
    let mut batch = Batch::default();
    batch.put(Tree::Hot, key(name), value.to_owned());
    batch.add(Tree::Hot, key("count"), 1);
    batch
}

fn create(name: &str, value: &str) -> Batch {
    let mut batch = put(name, value);
    batch.expect(Tree::Hot, key(name), Condition::Absent);
    batch
}

fn commit(engine: &Committed, batch: Batch) -> Result<()> {
    block_on(engine.commit(batch))
}

fn get(engine: &Committed, name: &str) -> Option<Value> {
    block_on(engine.get(Tree::Hot, &key(name))).unwrap()
}

/// What is on the disk, past all caches.
fn stored(engine: &Faulty<Memory>, name: &str) -> Option<Value> {
    engine.get(Tree::Hot, name.as_bytes()).unwrap()
}

fn count(engine: &Faulty<Memory>) -> i64 {
    let count = stored(engine, "count").map(|bytes| bytes[..].try_into().unwrap());
    count.map_or(0, i64::from_le_bytes)
}

fn join<T>(threads: Vec<thread::JoinHandle<T>>) -> Vec<T> {
    threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .collect()
}

#[test]
fn what_is_acknowledged_is_stored_and_one_of_several_creations_wins() {
    check(|| {
        let (faulty, engine) = rig();
        let writer = |n: usize| {
            let (faulty, engine) = (faulty.clone(), engine.clone());
            thread::spawn(move || {
                let own = format!("own{n}");
                commit(&engine, put(&own, "1")).unwrap();
                assert!(
                    stored(&faulty, &own).is_some(),
                    "acknowledged and not stored"
                );
                let won = commit(&engine, create("same", &own));
                match &won {
                    Ok(()) => {}
                    Err(StoreError::Conflict { .. }) => {
                        assert!(stored(&faulty, "same").is_some(), "lost against nothing");
                    }
                    Err(other) => panic!("{other}"),
                }
                usize::from(won.is_ok())
            })
        };
        let won: usize = join((0..3).map(writer).collect()).into_iter().sum();
        assert_eq!(won, 1);
        assert_eq!(count(&faulty), 4);
        engine.close();
    });
}

#[test]
fn a_close_writes_what_was_taken_and_refuses_the_rest() {
    check(|| {
        let (faulty, engine) = rig();
        let writers = (0..2).map(|n| {
            let engine = engine.clone();
            thread::spawn(move || {
                let answers = (0..2).map(|m| commit(&engine, put(&format!("k{n}.{m}"), "1")));
                answers.filter(Result::is_ok).count()
            })
        });
        let writers = writers.collect();
        let closer = {
            let engine = engine.clone();
            thread::spawn(move || engine.close())
        };
        let taken: usize = join(writers).into_iter().sum();
        closer.join().unwrap();
        assert_eq!(count(&faulty), taken as i64);
        let late = commit(&engine, put("late", "1"));
        assert!(matches!(late, Err(StoreError::ReadOnly(_))), "{late:?}");
    });
}

/// Three writers, while a call of the engine goes wrong.
fn writers_meet(call: Call, fault: Fault) {
    let (faulty, engine) = rig();
    commit(&engine, put("before", "1")).unwrap();
    faulty.plan(call, 1, fault);
    let writer = |n: usize| {
        let engine = engine.clone();
        thread::spawn(move || {
            let answers = (0..2).map(|m| commit(&engine, create(&format!("k{n}.{m}"), "1")));
            answers.filter(Result::is_ok).count() as i64
        })
    };
    let taken: i64 = join((0..3).map(writer).collect()).into_iter().sum();
    let unknown = if matches!(fault, Fault::FailAfter) {
        2
    } else {
        0
    };
    let stored = count(&faulty) - 1;
    assert!(
        (taken..=taken + unknown).contains(&stored),
        "{taken} taken, {stored} stored"
    );
    let late = commit(&engine, put("late", "1"));
    assert!(matches!(late, Err(StoreError::ReadOnly(_))), "{late:?}");
    assert!(get(&engine, "before").is_some());
    engine.close();
}

#[test]
fn a_write_that_fails_answers_everybody() {
    check(|| writers_meet(Call::Apply, Fault::Fail));
}

#[test]
fn a_write_that_fails_when_it_is_done_answers_everybody() {
    check(|| writers_meet(Call::Apply, Fault::FailAfter));
}

#[test]
fn a_panic_in_a_write_answers_everybody() {
    check(|| writers_meet(Call::Apply, Fault::Panic));
}

#[test]
fn a_panic_while_expectations_are_checked_answers_everybody() {
    check(|| writers_meet(Call::Get, Fault::Panic));
}

#[test]
fn no_read_is_older_than_an_acknowledged_write() {
    check(|| {
        let (_, engine) = rig();
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let writer = {
            let (engine, acknowledged) = (engine.clone(), acknowledged.clone());
            thread::spawn(move || {
                for n in 1..=3 {
                    commit(&engine, put("k", &n.to_string())).unwrap();
                    acknowledged.store(n, Ordering::SeqCst);
                }
            })
        };
        let reader = |_| {
            let (engine, acknowledged) = (engine.clone(), acknowledged.clone());
            thread::spawn(move || {
                for _ in 0..4 {
                    let least = acknowledged.load(Ordering::SeqCst);
                    let value = get(&engine, "k").map_or(0, |value| {
                        std::str::from_utf8(&value).unwrap().parse().unwrap()
                    });
                    assert!(value >= least, "{value} after {least}");
                }
            })
        };
        join((0..2).map(reader).collect());
        writer.join().unwrap();
        engine.close();
    });
}
