//! One suite that every engine passes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tenantry::store::{
    Batch, CommitterOptions, Condition, DiskEngine, KEY_BYTES_MAX, Key, Order, Scan, StoreError,
    Tree, VALUE_BYTES_MAX, Value, codec::decode_counter,
};

use crate::bench::*;

#[tokio::test]
async fn create_if_absent() {
    for bench in engines() {
        let engine = bench.engine();
        engine.commit(create("k", b"1")).await.unwrap();
        let second = engine.commit(create("k", b"2")).await;
        match second {
            Err(StoreError::Conflict { index: 0, found }) => {
                assert_eq!(found.unwrap(), "1", "{}", bench.name);
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(get(&engine, "k").await.unwrap(), b"1");
        let mut batch = Batch::default();
        batch.delete(Tree::Hot, "k");
        engine.commit(batch).await.unwrap();
        engine.commit(create("k", b"3")).await.unwrap();
        assert_eq!(get(&engine, "k").await.unwrap(), b"3");
    }
}

#[tokio::test]
async fn every_kind_of_expectation() {
    let value = |text: &'static str| Value::from_static(text.as_bytes());
    for bench in engines() {
        let engine = bench.engine();
        engine.commit(put("there", b"header+body")).await.unwrap();
        engine.commit(put("empty", b"")).await.unwrap();
        for (name, condition, holds) in [
            ("there", Condition::Present, true),
            ("there", Condition::Absent, false),
            ("there", Condition::Value(value("header+body")), true),
            ("there", Condition::Value(value("header")), false),
            ("there", Condition::Value(value("")), false),
            ("there", Condition::Prefix(value("header")), true),
            ("there", Condition::Prefix(value("header+body")), true),
            ("there", Condition::Prefix(value("header+body+")), false),
            ("there", Condition::Prefix(value("body")), false),
            ("there", Condition::Prefix(value("")), true),
            ("empty", Condition::Present, true),
            ("empty", Condition::Absent, false),
            ("empty", Condition::Value(value("")), true),
            ("gone", Condition::Present, false),
            ("gone", Condition::Absent, true),
            ("gone", Condition::Value(value("")), false),
            ("gone", Condition::Prefix(value("")), false),
        ] {
            let mut batch = Batch::default();
            batch.expect(Tree::Hot, "there", Condition::Present);
            batch.expect(Tree::Hot, name, condition.clone());
            batch.put(Tree::Hot, "mark", value("x"));
            let taken = engine.commit(batch).await;
            match holds {
                true => taken.unwrap(),
                false => assert_eq!(conflict(taken), 1, "{name} {condition:?}"),
            }
            let marked = get(&engine, "mark").await.is_some();
            assert_eq!(marked, holds, "{}: {name} {condition:?}", bench.name);
            let mut batch = Batch::default();
            batch.delete(Tree::Hot, "mark");
            engine.commit(batch).await.unwrap();
        }
        // The trees are apart.
        let mut batch = Batch::default();
        batch.expect(Tree::Archive, "there", Condition::Absent);
        engine.commit(batch).await.unwrap();
    }
}

#[tokio::test]
async fn a_batch_is_all_or_nothing_across_trees() {
    for bench in engines() {
        let engine = bench.engine();
        let both = |expected: Condition, value: &'static str| {
            let mut batch = Batch::default();
            for tree in Tree::ALL {
                batch.put(tree, "a", value);
                batch.put(tree, "b", value);
                batch.add(tree, "n", 1);
            }
            batch.expect(Tree::Archive, "b", expected);
            batch
        };
        engine.commit(both(Condition::Absent, "1")).await.unwrap();
        conflict(engine.commit(both(Condition::Absent, "2")).await);
        for tree in Tree::ALL {
            for name in ["a", "b"] {
                assert_eq!(engine.get(tree, &key(name)).await.unwrap().unwrap(), "1");
            }
            let counter = engine.get(tree, &key("n")).await.unwrap();
            assert_eq!(decode_counter(counter.as_ref()).unwrap(), 1);
        }
        let mut moved = Batch::default();
        moved.delete(Tree::Hot, "a");
        moved.put(Tree::Archive, "a", "moved");
        engine.commit(moved).await.unwrap();
        assert_eq!(get(&engine, "a").await, None);
        let archived = engine.get(Tree::Archive, &key("a")).await.unwrap();
        assert_eq!(archived.unwrap(), "moved", "{}", bench.name);
    }
}

#[tokio::test]
async fn neighbours_with_a_common_beginning_are_apart() {
    for bench in engines() {
        let engine = bench.engine();
        for name in [
            "acme#t#1",
            "acme#t#2",
            "acme-2#t#1",
            "acme#tt#1",
            "acm#t#1",
            "acme",
        ] {
            engine.commit(put(name, b"x")).await.unwrap();
        }
        for order in [Order::Ascending, Order::Descending] {
            let rows = all(&engine, prefix("acme#t#", order, 1)).await;
            let mut names: Vec<_> = rows.iter().map(|(k, _)| k.as_str()).collect();
            names.sort_unstable();
            assert_eq!(names, ["acme#t#1", "acme#t#2"], "{}", bench.name);
            let rows = all(&engine, prefix("acme-2#", order, 10)).await;
            assert_eq!(rows.len(), 1);
            assert_eq!(all(&engine, prefix("acme#", order, 2)).await.len(), 3);
        }
        let scan = Scan::prefix(Tree::Archive, "acme#");
        assert!(engine.scan(&scan).await.unwrap().rows.is_empty());
    }
}

#[tokio::test]
async fn pages_in_both_directions_skip_and_repeat_nothing() {
    for bench in engines() {
        let engine = bench.engine();
        let names: Vec<_> = (0..50).map(|n| format!("p#{n:03}")).collect();
        for name in &names {
            engine.commit(put(name, name.as_bytes())).await.unwrap();
        }
        engine.commit(put("o#", b"x")).await.unwrap();
        engine.commit(put("q#", b"x")).await.unwrap();
        for limit in [1, 2, 7, 49, 50, 51, 1000] {
            for bytes_max in [1, 20, 100, 1 << 20] {
                for order in [Order::Ascending, Order::Descending] {
                    let mut scan = prefix("p#", order, limit);
                    scan.bytes_max = bytes_max;
                    let mut wanted = names.clone();
                    if order == Order::Descending {
                        wanted.reverse();
                    }
                    let given: Vec<_> = all(&engine, scan).await.into_iter().map(|r| r.0).collect();
                    assert_eq!(given, wanted, "{} {limit} {bytes_max}", bench.name);
                }
            }
        }
        // A row of ten bytes: the page ends with the row that reaches the limit.
        let mut scan = prefix("p#", Order::Ascending, 50);
        scan.bytes_max = 25;
        assert_eq!(engine.scan(&scan).await.unwrap().rows.len(), 3);
        // After a key that is not there, in both directions.
        let mut scan = prefix("p#", Order::Ascending, 1);
        scan.after = Some(key("p#0105"));
        assert_eq!(engine.scan(&scan).await.unwrap().rows[0].0, "p#011");
        scan.order = Order::Descending;
        assert_eq!(engine.scan(&scan).await.unwrap().rows[0].0, "p#010");
        // After the last one.
        scan.after = Some(key("p#000"));
        let page = engine.scan(&scan).await.unwrap();
        assert!(page.rows.is_empty() && page.next.is_none());
        // Without values.
        let mut scan = prefix("p#", Order::Ascending, 3);
        scan.values = false;
        let page = engine.scan(&scan).await.unwrap();
        assert!(page.rows.iter().all(|(_, value)| value.is_empty()));
        // An empty and an upside-down range.
        let mut scan = prefix("p#", Order::Ascending, 3);
        scan.end = Some(scan.start.clone());
        assert!(engine.scan(&scan).await.unwrap().rows.is_empty());
        scan.end = Some(key("o#"));
        assert!(engine.scan(&scan).await.unwrap().rows.is_empty());
    }
}

/// A value that tells whether it is whole.
fn whole(seed: usize, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (seed * 31 + at / 97) as u8).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn values_are_read_whole_while_they_are_overwritten() {
    const SIZES: [usize; 9] = [
        0,
        1,
        100,
        4000,
        4096,
        40_000,
        123_457,
        400 * 1024,
        VALUE_BYTES_MAX,
    ];
    for bench in engines() {
        let engine = bench.engine();
        for (seed, bytes) in SIZES.into_iter().enumerate() {
            engine.commit(put("v", &whole(seed, bytes))).await.unwrap();
            assert_eq!(get(&engine, "v").await.unwrap(), whole(seed, bytes));
        }
        let stop = Arc::new(AtomicBool::new(false));
        let readers: Vec<_> = (0..3)
            .map(|reader| {
                let (engine, stop) = (bench.engine(), stop.clone());
                tokio::spawn(async move {
                    let mut read = 0;
                    while !stop.load(Ordering::SeqCst) {
                        let value = match reader {
                            0 => {
                                let scan = prefix("v", Order::Ascending, 2);
                                engine.scan(&scan).await.unwrap().rows[0].1.to_vec()
                            }
                            _ => get(&engine, "v").await.unwrap(),
                        };
                        let known = SIZES.iter().enumerate().any(|(seed, bytes)| {
                            value.len() == *bytes && value == whole(seed, *bytes)
                        });
                        assert!(known, "half of two values: {} bytes", value.len());
                        read += 1;
                        tokio::task::yield_now().await;
                    }
                    read
                })
            })
            .collect();
        for round in 0..60 {
            let seed = round * 5 % SIZES.len();
            engine
                .commit(put("v", &whole(seed, SIZES[seed])))
                .await
                .unwrap();
        }
        stop.store(true, Ordering::SeqCst);
        for reader in readers {
            assert!(reader.await.unwrap() > 0);
        }
        // What was split into pieces shows nowhere.
        let scan = Scan::prefix(Tree::Hot, Key::new());
        let rows = all(&engine, scan).await;
        let names: Vec<_> = rows.iter().map(|(k, _)| k.as_str()).collect();
        assert_eq!(names, ["v", "~#seq"], "{}", bench.name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_sixteen_one_wins() {
    for bench in engines() {
        for round in 0..30 {
            let name = format!("race{round}");
            let racers = (0..16u8).map(|racer| {
                let (engine, name) = (bench.engine(), name.clone());
                tokio::spawn(
                    async move { engine.commit(create(&name, &[racer])).await.map(|()| racer) },
                )
            });
            let mut winners = Vec::new();
            for racer in racers.collect::<Vec<_>>() {
                match racer.await.unwrap() {
                    Ok(racer) => winners.push(racer),
                    Err(StoreError::Conflict { .. }) => {}
                    Err(other) => panic!("{other}"),
                }
            }
            assert_eq!(
                get(&bench.engine(), &name).await.unwrap(),
                winners,
                "{}",
                bench.name
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_contended_add_is_lost() {
    for bench in engines() {
        let adders: Vec<_> = (0..16i64)
            .map(|adder| {
                let engine = bench.engine();
                tokio::spawn(async move {
                    for _ in 0..50 {
                        let mut batch = Batch::default();
                        batch.add(Tree::Hot, "n", adder - 7);
                        batch.add(Tree::Hot, "twice", 1);
                        batch.add(Tree::Hot, "twice", 1);
                        engine.commit(batch).await.unwrap();
                    }
                })
            })
            .collect();
        for adder in adders {
            adder.await.unwrap();
        }
        let engine = bench.engine();
        let counter = |name: &'static str| {
            let engine = engine.clone();
            async move {
                let value = engine.get(Tree::Hot, &key(name)).await.unwrap();
                decode_counter(value.as_ref()).unwrap()
            }
        };
        assert_eq!(
            counter("n").await,
            (0..16).map(|a| (a - 7) * 50).sum::<i64>()
        );
        assert_eq!(counter("twice").await, 16 * 50 * 2, "{}", bench.name);
        let mut batch = Batch::default();
        batch.add(Tree::Hot, "n", -counter("n").await);
        engine.commit(batch).await.unwrap();
        assert_eq!(get(&engine, "n").await, None, "a counter at 0 goes");
    }
}

#[tokio::test]
async fn writes_of_a_batch_apply_in_order() {
    for bench in engines() {
        let engine = bench.engine();
        let mut batch = Batch::default();
        batch.put(Tree::Hot, "a", "1");
        batch.delete(Tree::Hot, "a");
        batch.put(Tree::Hot, "b", "1");
        batch.put(Tree::Hot, "b", "2");
        batch.delete(Tree::Hot, "c");
        batch.put(Tree::Hot, "c", "3");
        engine.commit(batch).await.unwrap();
        assert_eq!(get(&engine, "a").await, None);
        assert_eq!(get(&engine, "b").await.unwrap(), b"2");
        assert_eq!(get(&engine, "c").await.unwrap(), b"3", "{}", bench.name);
    }
}

#[tokio::test]
async fn what_breaks_a_limit_is_refused_whole() {
    for bench in engines() {
        let engine = bench.engine();
        let long = Key::from(vec![b'k'; KEY_BYTES_MAX]);
        let large = Value::from(vec![0; VALUE_BYTES_MAX]);
        let mut batch = Batch::default();
        batch.put(Tree::Hot, long.clone(), large.clone());
        engine.commit(batch).await.unwrap();
        let found = engine.get(Tree::Hot, &long).await.unwrap().unwrap();
        assert_eq!(found.len(), VALUE_BYTES_MAX);
        for (key, value) in [
            (Key::from(vec![b'k'; KEY_BYTES_MAX + 1]), Value::new()),
            (Key::new(), Value::new()),
            (Key::from_static(b"\0pieces"), Value::new()),
            (key_of("v"), Value::from(vec![0; VALUE_BYTES_MAX + 1])),
        ] {
            let mut batch = put("mark", b"x");
            batch.put(Tree::Hot, key, value);
            let refused = engine.commit(batch).await;
            assert!(
                matches!(refused, Err(StoreError::TooLarge(_))),
                "{refused:?}"
            );
            assert_eq!(get(&engine, "mark").await, None, "{}", bench.name);
        }
    }
}

fn key_of(text: &str) -> Key {
    key(text)
}

#[tokio::test]
async fn several_keys_are_given_in_their_order() {
    for bench in engines() {
        let engine = bench.engine();
        for name in ["a", "b", "c"] {
            engine.commit(put(name, name.as_bytes())).await.unwrap();
        }
        let wanted = ["c", "x", "a", "c"].map(key);
        let found = engine.get_many(Tree::Hot, &wanted).await.unwrap();
        let found: Vec<_> = found.iter().map(|v| v.as_deref()).collect();
        let expected = [Some(&b"c"[..]), None, Some(b"a"), Some(b"c")];
        assert_eq!(found, expected, "{}", bench.name);
        assert!(engine.get_many(Tree::Hot, &[]).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_generation_tells_that_something_was_written() {
    for bench in engines() {
        let engine = bench.engine();
        let of = |name: &str| engine.generation(name.as_bytes()).unwrap();
        let (before, other) = (of("acme#ticket#1"), of("acme#comment#1"));
        assert_eq!(before % 2, 0);
        assert_eq!(before, of("acme#ticket@by_status#x"), "one family");
        engine.commit(put("acme#ticket#1", b"x")).await.unwrap();
        let after = of("acme#ticket@by_status#x");
        assert!(after > before && after % 2 == 0, "{}", bench.name);
        assert_eq!(of("acme#comment#1"), other);
        conflict(engine.commit(create("acme#ticket#1", b"y")).await);
        assert_eq!(of("acme#ticket#1"), after, "nothing was written");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_full_queue_refuses_and_loses_nothing_it_took() {
    let options = CommitterOptions {
        group_batches: 2,
        queue_batches: 4,
        ..CommitterOptions::default()
    };
    for bench in engines_with(options) {
        let writers: Vec<_> = (0..400)
            .map(|n| {
                let engine = bench.engine();
                tokio::spawn(async move { (n, engine.commit(put(&format!("k{n}"), b"x")).await) })
            })
            .collect();
        let mut refused = 0;
        for writer in writers {
            let (n, answer) = writer.await.unwrap();
            let there = get(&bench.engine(), &format!("k{n}")).await.is_some();
            match answer {
                Ok(()) => assert!(there),
                Err(StoreError::Busy) => {
                    refused += 1;
                    assert!(!there);
                }
                Err(other) => panic!("{other}"),
            }
        }
        if DiskEngine::named(bench.name).is_some() {
            assert!(refused > 0, "a queue of 4 took 400 at once");
        }
    }
}

#[tokio::test]
async fn after_closing_nothing_is_taken_and_all_is_read() {
    for bench in engines() {
        let engine = bench.engine();
        let waiting: Vec<_> = (0..100)
            .map(|n| {
                let engine = bench.engine();
                tokio::spawn(async move { engine.commit(put(&format!("k{n}"), b"x")).await })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(5)).await;
        bench.store.close();
        for (n, answer) in futures_util::future::join_all(waiting)
            .await
            .into_iter()
            .enumerate()
        {
            let taken = answer.unwrap().is_ok();
            assert_eq!(get(&engine, &format!("k{n}")).await.is_some(), taken);
        }
        let late = engine.commit(put("late", b"x")).await;
        assert!(matches!(late, Err(StoreError::ReadOnly(_))), "{late:?}");
        assert_eq!(get(&engine, "late").await, None, "{}", bench.name);
    }
}

#[tokio::test]
async fn the_change_sequence_counts_batches_that_wrote() {
    for bench in engines() {
        let engine = bench.engine();
        for n in 0..5 {
            engine.commit(put(&format!("k{n}"), b"x")).await.unwrap();
        }
        let mut only_looks = Batch::default();
        only_looks.expect(Tree::Hot, "k1", Condition::Present);
        engine.commit(only_looks).await.unwrap();
        conflict(engine.commit(create("k1", b"y")).await);
        let stored = get(&engine, "~#seq").await.unwrap();
        assert_eq!(stored, 5u64.to_le_bytes(), "{}", bench.name);
    }
}
