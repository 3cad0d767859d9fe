//! What the committer counts.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Counters since the start; see `/metrics`.
#[derive(Debug, Default)]
pub struct CommitterMetrics {
    /// Groups written, each with one sync.
    pub groups: AtomicU64,
    /// Batches written.
    pub batches: AtomicU64,
    /// Batches refused because an expectation did not hold.
    pub conflicts: AtomicU64,
    /// Bytes of keys and values written.
    pub bytes: AtomicU64,
    /// Batches that waited when the last group was done.
    pub waiting: AtomicU64,
    /// Microseconds spent writing and syncing.
    pub sync_us: AtomicU64,
    /// Keys read by gets and scans.
    pub keys_read: AtomicU64,
    /// Reads answered from the record cache.
    pub cache_hits: AtomicU64,
    /// Reads that went to the engine.
    pub cache_misses: AtomicU64,
    /// Pages of index rows answered from the page cache.
    pub page_hits: AtomicU64,
}

impl CommitterMetrics {
    pub(super) fn written(&self, batches: usize, bytes: usize) {
        self.groups.fetch_add(1, Relaxed);
        self.batches.fetch_add(batches as u64, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }

    pub(super) fn waiting(&self, batches: usize) {
        self.waiting.store(batches as u64, Relaxed);
    }

    pub(super) fn synced(&self, took: Duration) {
        self.sync_us
            .fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    pub(super) fn refused(&self) {
        self.conflicts.fetch_add(1, Relaxed);
    }

    /// Keys that were got, and how many of them from the record cache.
    pub(super) fn reads(&self, keys: u64, hits: u64) {
        self.keys_read.fetch_add(keys, Relaxed);
        for (counter, times) in [(&self.cache_hits, hits), (&self.cache_misses, keys - hits)] {
            if times > 0 {
                counter.fetch_add(times, Relaxed);
            }
        }
    }

    /// Rows of a scan, and whether the page cache had them.
    pub(super) fn scanned(&self, rows: u64, hit: bool) {
        self.keys_read.fetch_add(rows, Relaxed);
        if hit {
            self.page_hits.fetch_add(1, Relaxed);
        }
    }
}
