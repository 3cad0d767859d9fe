//! What the server sees of itself: a sample every five seconds, kept in memory for
//! six hours, for the console's charts. Prometheus has the same and more.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use actix_web::web;
use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;

use super::{Services, recent::Histogram};
use crate::base::Instant;

/// How often a sample is taken.
pub const EVERY: Duration = Duration::from_secs(5);
/// Six hours of them.
const KEPT: usize = 6 * 3_600 / 5;
/// Points of an answer; more are merged.
const POINTS_MAX: usize = 720;

/// What the server saw of itself in a while.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Sample {
    /// When it ended, RFC 3339.
    pub at: String,
    /// How long it is.
    pub seconds: f64,
    /// Requests answered; probes, the console's own files and its stream left out.
    pub requests: u64,
    /// Those of them that failed (5xx).
    pub errors: u64,
    /// Milliseconds that half of them took at most; null without requests.
    #[schema(required = true)]
    pub p50_ms: Option<f64>,
    /// Milliseconds that 99 of 100 took at most; null without requests.
    #[schema(required = true)]
    pub p99_ms: Option<f64>,
    /// Runs of jobs that waited at its end.
    pub queued: u64,
    /// Runs of jobs under way at its end.
    pub running: u64,
    /// Bytes that the store's files took on the disk.
    pub disk_bytes: u64,
    /// Records of all tenants and tiers, as they were counted last.
    pub records: u64,
}

/// Requests since the last sample.
#[derive(Default)]
struct Window {
    errors: u64,
    durations: Histogram,
}

/// A sample as it is kept: what can be merged.
#[derive(Clone)]
struct Kept {
    at: Instant,
    seconds: f64,
    window: Histogram,
    errors: u64,
    standing: Standing,
}

/// What is so at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub struct Standing {
    /// Runs that wait.
    pub queued: u64,
    /// Runs under way.
    pub running: u64,
    /// Bytes of the store's files.
    pub disk_bytes: u64,
    /// Records.
    pub records: u64,
}

/// The samples.
pub struct Samples {
    window: Mutex<Window>,
    kept: Mutex<VecDeque<Kept>>,
    newest: watch::Sender<Option<Sample>>,
}

impl Default for Samples {
    fn default() -> Self {
        Self {
            window: Mutex::default(),
            kept: Mutex::default(),
            newest: watch::channel(None).0,
        }
    }
}

impl Samples {
    /// A request was answered.
    pub fn answered(&self, route: &str, status: u16, took: Duration) {
        let unseen = [
            "none",
            "/healthz",
            "/readyz",
            "/metrics",
            "/v1/events",
            "/v1/overview",
        ];
        if unseen.contains(&route) {
            return;
        }
        let mut window = lock(&self.window);
        window.errors += u64::from(status >= 500);
        window.durations.record(took);
    }

    /// Tells of each sample when it is taken.
    pub fn newest(&self) -> watch::Receiver<Option<Sample>> {
        self.newest.subscribe()
    }

    /// All that are kept, oldest first, at most 720: longer ones where there are more.
    pub fn all(&self) -> Vec<Sample> {
        let kept = lock(&self.kept);
        let together = kept.len().div_ceil(POINTS_MAX).max(1);
        let kept: Vec<&Kept> = kept.iter().collect();
        kept.chunks(together).filter_map(merged).collect()
    }

    /// Ends a sample, `seconds` after the one before.
    fn take(&self, at: Instant, seconds: f64, standing: Standing) {
        let window = std::mem::take(&mut *lock(&self.window));
        let sample = Kept {
            at,
            seconds,
            window: window.durations,
            errors: window.errors,
            standing,
        };
        let newest = merged(&[&sample]);
        let mut kept = lock(&self.kept);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(sample);
        self.newest.send_replace(newest);
    }
}

/// One sample of several that follow each other.
fn merged(samples: &[&Kept]) -> Option<Sample> {
    let last = samples.last()?;
    let mut durations = Histogram::default();
    for sample in samples {
        durations.merge(&sample.window);
    }
    Some(Sample {
        at: last.at.to_rfc3339(),
        seconds: samples.iter().map(|sample| sample.seconds).sum(),
        requests: durations.count(),
        errors: samples.iter().map(|sample| sample.errors).sum(),
        p50_ms: durations.quantile_ms(0.5),
        p99_ms: durations.quantile_ms(0.99),
        queued: last.standing.queued,
        running: last.standing.running,
        disk_bytes: last.standing.disk_bytes,
        records: last.standing.records,
    })
}

/// Takes samples until the server stops.
pub async fn keep(app: Services, samples: web::Data<Samples>, mut stopping: watch::Receiver<bool>) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks.tick().await;
    let mut before = std::time::Instant::now();
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stopping.wait_for(|stopping| *stopping) => return,
        }
        if let Err(error) = app.archive.gather_if_due().await {
            tracing::warn!(%error, "the tiers could not be counted");
        }
        let now = standing(&app).await;
        let seconds = before.elapsed().as_secs_f64();
        before = std::time::Instant::now();
        samples.take(app.core.clock.now(), seconds, now);
    }
}

/// What is so now. What cannot be read counts as 0: the log has the reason.
pub async fn standing(app: &Services) -> Standing {
    let queued = app.runs.depth().await.unwrap_or_else(|error| {
        tracing::warn!(%error, "the queue could not be counted");
        (0, None)
    });
    let store = app.store.maintenance.clone();
    let disk = tokio::task::spawn_blocking(move || store.disk_bytes());
    let totals = app.archive.totals();
    Standing {
        queued: queued.0,
        running: app.job_metrics.running(),
        disk_bytes: disk.await.ok().and_then(Result::ok).unwrap_or(0),
        records: totals.tiers.iter().map(|(records, _)| records).sum(),
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    fn standing(queued: u64) -> Standing {
        Standing {
            queued,
            ..Standing::default()
        }
    }

    #[test]
    fn a_sample_has_the_requests_since_the_one_before() {
        let samples = Samples::default();
        let newest = samples.newest();
        let took = Duration::from_millis(4);
        samples.answered("/v1/tenants", 200, took);
        samples.answered("/v1/tenants", 503, took);
        samples.answered("/healthz", 500, took);
        samples.answered("none", 404, took);
        samples.take(Instant(5_000), 5.0, standing(7));
        samples.take(Instant(10_000), 5.0, standing(0));
        let all = samples.all();
        assert_eq!((all[0].requests, all[0].errors, all[0].queued), (2, 1, 7));
        assert!(all[0].p99_ms.is_some_and(|ms| (3.7..4.3).contains(&ms)));
        assert_eq!((all[1].requests, all[1].p50_ms), (0, None));
        assert_eq!(newest.borrow().as_ref(), Some(&all[1]));
    }

    #[test]
    fn six_hours_are_kept_and_told_in_few_points() {
        let samples = Samples::default();
        for n in 1..=5_000 {
            samples.answered("/v1/tenants", 200, Duration::from_millis(1));
            samples.take(Instant(n * 5_000), 5.0, standing(n as u64));
        }
        let all = samples.all();
        assert!(all.len() <= POINTS_MAX, "{}", all.len());
        let sum = |of: fn(&Sample) -> f64| all.iter().map(of).sum::<f64>();
        assert_eq!(sum(|sample| sample.seconds), 6.0 * 3_600.0);
        assert_eq!(sum(|sample| sample.requests as f64), KEPT as f64);
        let last = all.last().unwrap();
        assert_eq!(
            (last.queued, last.at.as_str()),
            (5_000, "1970-01-01T06:56:40.000Z")
        );
    }
}
