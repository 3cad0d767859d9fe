//! The caches never show what is no more.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use tenantry::store::{Batch, Order, Scan, Tree};

use crate::bench::*;

fn latest(round: &AtomicU64) -> u64 {
    round.load(Ordering::SeqCst)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_read_is_older_than_an_acknowledged_write() {
    const KEYS: usize = 8;
    for bench in engines() {
        let acknowledged: Arc<Vec<AtomicU64>> =
            Arc::new((0..KEYS).map(|_| AtomicU64::new(0)).collect());
        let stop = Arc::new(AtomicBool::new(false));
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let (engine, acknowledged, stop) =
                    (bench.engine(), acknowledged.clone(), stop.clone());
                tokio::spawn(async move {
                    let mut reads = 0_usize;
                    while !stop.load(Ordering::SeqCst) {
                        let n = reads % KEYS;
                        let known = latest(&acknowledged[n]);
                        let found = get(&engine, &format!("k{n}")).await;
                        match found.map(|v| u64::from_le_bytes(v.try_into().unwrap())) {
                            Some(found) => assert!(found >= known, "{found} after {known}"),
                            // Every third write is a deletion. Nothing is there only if
                            // one was written last, or may have been since.
                            None => {
                                // Round 0 wrote nothing yet.
                                let now = latest(&acknowledged[n]) + 1;
                                let deleted = (known..=now).any(|round| round % 3 == 0);
                                assert!(deleted, "nothing between {known} and {now}");
                            }
                        }
                        reads += 1;
                        if reads.is_multiple_of(64) {
                            tokio::task::yield_now().await;
                        }
                    }
                    reads
                })
            })
            .collect();
        let writers: Vec<_> = (0..KEYS)
            .map(|n| {
                let (engine, acknowledged) = (bench.engine(), acknowledged.clone());
                tokio::spawn(async move {
                    for round in 1..150_u64 {
                        let name = format!("k{n}");
                        let mut batch = Batch::default();
                        match round % 3 {
                            0 => batch.delete(Tree::Hot, key(&name)),
                            _ => batch = put(&name, &round.to_le_bytes()),
                        }
                        engine.commit(batch).await.unwrap();
                        acknowledged[n].store(round, Ordering::SeqCst);
                        let now = get(&engine, &name).await;
                        assert_eq!(now.is_none(), round % 3 == 0, "its own write");
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.await.unwrap();
        }
        stop.store(true, Ordering::SeqCst);
        for reader in readers {
            assert!(reader.await.unwrap() > 0);
        }
    }
}

#[tokio::test]
async fn hits_and_misses_are_counted() {
    for bench in engines() {
        let engine = bench.engine();
        engine.commit(put("k", b"1")).await.unwrap();
        let metrics = bench.store.metrics.clone();
        let hits = || metrics.cache_hits.load(Ordering::SeqCst);
        let before = hits();
        for _ in 0..5 {
            assert_eq!(get(&engine, "k").await.unwrap(), b"1");
        }
        assert_eq!(hits() - before, 4, "{}", bench.name);
        engine.commit(put("k", b"2")).await.unwrap();
        assert_eq!(get(&engine, "k").await.unwrap(), b"2");
        assert_eq!(hits() - before, 4, "{}", bench.name);
    }
}

/// The rows of one index, newest first, as a list reads them.
fn first_page(limit: usize) -> Scan {
    Scan {
        order: Order::Descending,
        limit,
        bytes_max: 1 << 20,
        ..Scan::prefix(Tree::Hot, key("acme#ticket@by_status#open#"))
    }
}

#[tokio::test]
async fn a_page_of_index_rows_is_kept_until_its_family_changes() {
    for bench in engines() {
        let engine = bench.engine();
        for n in 0..9 {
            let row = format!("acme#ticket@by_status#open#{n}");
            engine.commit(put(&row, b"")).await.unwrap();
        }
        let metrics = bench.store.metrics.clone();
        let hits = || metrics.page_hits.load(Ordering::SeqCst);
        let first = engine.scan(&first_page(4)).await.unwrap();
        let again = engine.scan(&first_page(4)).await.unwrap();
        assert_eq!((first, hits()), (again.clone(), 1), "{}", bench.name);
        // The next page, another limit and the other direction are other pages.
        let next = Scan {
            after: again.next.clone(),
            ..first_page(4)
        };
        assert_ne!(engine.scan(&next).await.unwrap(), again);
        assert_eq!(engine.scan(&first_page(5)).await.unwrap().rows.len(), 5);
        let ascending = Scan {
            order: Order::Ascending,
            ..first_page(4)
        };
        assert_ne!(engine.scan(&ascending).await.unwrap(), again);
        assert_eq!(hits(), 1, "{}", bench.name);
        // A neighbour's write leaves the page where it is, one of its own does not.
        engine
            .commit(put("acme2#ticket@by_status#open#z", b""))
            .await
            .unwrap();
        assert_eq!(engine.scan(&first_page(4)).await.unwrap(), again);
        assert_eq!(hits(), 2, "{}", bench.name);
        engine
            .commit(put("acme#ticket@by_status#open#z", b""))
            .await
            .unwrap();
        let now = engine.scan(&first_page(4)).await.unwrap();
        assert!(now.rows[0].0.ends_with(b"z"), "{}", bench.name);
        assert_eq!(hits(), 2, "{}", bench.name);
        // Rows that belong to several families are read each time.
        for _ in 0..2 {
            let all = Scan::prefix(Tree::Hot, key("acme"));
            assert_eq!(engine.scan(&all).await.unwrap().rows.len(), 11);
        }
        assert_eq!(hits(), 2, "{}", bench.name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_page_is_older_than_an_acknowledged_write() {
    const ROUNDS: u64 = 300;
    for bench in engines() {
        let acknowledged = Arc::new(AtomicU64::new(0));
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let (engine, acknowledged) = (bench.engine(), acknowledged.clone());
                tokio::spawn(async move {
                    loop {
                        let known = latest(&acknowledged);
                        let page = engine.scan(&first_page(4)).await.unwrap();
                        let newest = page.rows.first().map_or(0, |(key, _)| {
                            let digits = std::str::from_utf8(&key[key.len() - 6..]).unwrap();
                            digits.parse::<u64>().unwrap()
                        });
                        assert!(newest >= known, "{newest} after {known}");
                        if known == ROUNDS {
                            return;
                        }
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        for round in 1..=ROUNDS {
            let row = format!("acme#ticket@by_status#open#{round:06}");
            bench.engine().commit(put(&row, b"")).await.unwrap();
            acknowledged.store(round, Ordering::SeqCst);
        }
        for reader in readers {
            reader.await.unwrap();
        }
    }
}
