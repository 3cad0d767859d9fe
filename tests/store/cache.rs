//! The record cache never shows what is no more.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use tenantry::store::{Batch, Tree};

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
