//! `/metrics` in the Prometheus text format, for operators and for whoever asks
//! from the machine itself.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use actix_web::{HttpResponse, web};
use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder, core::Collector,
};

use super::{Answer, Services, problem::Problem, routes};
use crate::{
    jobs::metrics::JobMetrics,
    service::{Error, archive::Totals, backups::Figures, records::Moved},
    store::CommitterMetrics,
};

/// From a read out of memory to a bulk import.
const SECONDS: [f64; 12] = [
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0,
];

/// What the server counts of its requests.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    durations: HistogramVec,
    in_flight: IntGaugeVec,
    started: Instant,
}

/// One request under way; over when dropped.
pub struct InFlight(IntGauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// Counters at 0.
    pub fn new(jobs: &JobMetrics) -> prometheus::Result<Self> {
        let registry = Registry::new();
        let requests = IntCounterVec::new(
            Opts::new("tenantry_http_requests_total", "Requests answered."),
            &["method", "route", "status"],
        )?;
        let durations = HistogramVec::new(
            HistogramOpts::new(
                "tenantry_http_request_duration_seconds",
                "Time from a request's head to the head of its answer.",
            )
            .buckets(SECONDS.to_vec()),
            &["route"],
        )?;
        let in_flight = IntGaugeVec::new(
            Opts::new(
                "tenantry_http_requests_in_flight",
                "Requests that are being answered.",
            ),
            &["route"],
        )?;
        let own: [Box<dyn Collector>; 3] = [
            Box::new(requests.clone()),
            Box::new(durations.clone()),
            Box::new(in_flight.clone()),
        ];
        for collector in own.into_iter().chain(jobs.collectors()) {
            registry.register(collector)?;
        }
        Ok(Self {
            registry,
            requests,
            durations,
            in_flight,
            started: Instant::now(),
        })
    }

    /// A request begins.
    pub fn in_flight(&self, route: &str) -> InFlight {
        let gauge = self.in_flight.with_label_values(&[route]);
        gauge.inc();
        InFlight(gauge)
    }

    /// A request was answered. Methods are few, and whatever is none is "other".
    pub fn answered(&self, method: &str, route: &str, status: u16, took: Duration) {
        let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
        let method = if known.contains(&method) {
            method
        } else {
            "other"
        };
        let labels = [method, route, &status.to_string()];
        self.requests.with_label_values(&labels).inc();
        self.durations
            .with_label_values(&[route])
            .observe(took.as_secs_f64());
    }

    /// The text of `/metrics`.
    pub fn text(
        &self,
        store: &CommitterMetrics,
        (waiting_runs, oldest_s): (u64, f64),
    ) -> prometheus::Result<String> {
        let mut out = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut out)?;
        let mut text = String::from_utf8_lossy(&out).into_owned();
        let mut add = |kind: &str, name: &str, help: &str, value: f64| {
            text += &format!(
                "# HELP tenantry_{name} {help}\n# TYPE tenantry_{name} {kind}\ntenantry_{name} {value}\n"
            );
        };
        let read = |counter: &AtomicU64| counter.load(Relaxed) as f64;
        for (name, help, counter) in [
            (
                "store_groups_total",
                "Groups of batches written, each with one sync.",
                &store.groups,
            ),
            ("store_batches_total", "Batches written.", &store.batches),
            (
                "store_conflicts_total",
                "Batches refused because an expectation did not hold.",
                &store.conflicts,
            ),
            (
                "store_written_bytes_total",
                "Bytes of keys and values written.",
                &store.bytes,
            ),
            (
                "store_keys_read_total",
                "Keys read by gets and scans.",
                &store.keys_read,
            ),
            (
                "store_cache_hits_total",
                "Reads answered from the record cache.",
                &store.cache_hits,
            ),
            (
                "store_cache_misses_total",
                "Reads that went to the engine.",
                &store.cache_misses,
            ),
            (
                "store_page_cache_hits_total",
                "Pages of index rows answered from the page cache.",
                &store.page_hits,
            ),
        ] {
            add("counter", name, help, read(counter));
        }
        let sync = read(&store.sync_us) / 1e6;
        add(
            "counter",
            "store_sync_seconds_total",
            "Time spent writing and syncing.",
            sync,
        );
        let waiting = read(&store.waiting);
        add(
            "gauge",
            "store_waiting_batches",
            "Batches that waited when the last group was done.",
            waiting,
        );
        add(
            "gauge",
            "job_queue_runs",
            "Runs that wait for their turn or for their next attempt.",
            waiting_runs as f64,
        );
        add(
            "gauge",
            "job_queue_oldest_seconds",
            "How long ago the oldest of the runs that wait was queued.",
            oldest_s,
        );
        let uptime = self.started.elapsed().as_secs_f64();
        add("gauge", "uptime_seconds", "Time since the start.", uptime);
        if let Some(bytes) = resident_bytes() {
            add(
                "gauge",
                "resident_memory_bytes",
                "Memory of the process in RAM.",
                bytes,
            );
        }
        text += &format!(
            "# HELP tenantry_build_info The version that runs.\n# TYPE tenantry_build_info gauge\ntenantry_build_info{{version=\"{}\"}} 1\n",
            env!("CARGO_PKG_VERSION")
        );
        Ok(text)
    }
}

/// The tiers: what is in them, what moves, what waits.
fn tiers(totals: &Totals, moved: &Moved, oldest_due_s: f64) -> String {
    let mut text = String::new();
    let mut add = |kind: &str, name: &str, help: &str, series: &[(&str, f64)]| {
        text += &format!("# HELP tenantry_{name} {help}\n# TYPE tenantry_{name} {kind}\n");
        for (labels, value) in series {
            text += &format!("tenantry_{name}{labels} {value}\n");
        }
    };
    let labels = ["{tier=\"hot\"}", "{tier=\"archive\"}"];
    let [records, bytes] = [
        totals.tiers.map(|(records, _)| records as f64),
        totals.tiers.map(|(_, bytes)| bytes as f64),
    ];
    let of = |values: [f64; 2]| [(labels[0], values[0]), (labels[1], values[1])];
    add("gauge", "tier_records", "Records in a tier.", &of(records));
    let help = "Bytes of keys and stored values of a tier's records.";
    add("gauge", "tier_bytes", help, &of(bytes));
    let json_bytes = totals.archived_json_bytes as f64;
    let help = "Bytes of archived records' JSON before it was compressed.";
    add("gauge", "archive_json_bytes", help, &[("", json_bytes)]);
    let help = "How long the record that waits for the archive longest has been due.";
    add(
        "gauge",
        "archive_oldest_due_seconds",
        help,
        &[("", oldest_due_s)],
    );
    let read = |counter: &AtomicU64| counter.load(Relaxed) as f64;
    let ways = [
        ("{way=\"archive\"}", read(&moved.archived)),
        ("{way=\"restore\"}", read(&moved.restored)),
        ("{way=\"purge\"}", read(&moved.purged)),
    ];
    let help = "Records that moved between the tiers, or were purged.";
    add("counter", "archive_moved_records_total", help, &ways);
    text
}

/// The backups that there are, and how the last one went.
fn backups(figures: &Figures) -> String {
    let mut text = String::new();
    for (name, help, value) in [
        (
            "backup_last_success_timestamp_seconds",
            "The moment that the newest backup is of, since the epoch; 0 is none.",
            figures.last_success_s,
        ),
        (
            "backup_last_duration_seconds",
            "How long the newest backup took.",
            figures.last_duration_s,
        ),
        (
            "backup_last_bytes",
            "The length of the newest backup's file.",
            figures.last_bytes as f64,
        ),
        (
            "backups",
            "Complete backups that are there.",
            figures.backups as f64,
        ),
        (
            "backups_failed",
            "Backups that failed, as far as they are remembered.",
            figures.failed as f64,
        ),
        (
            "backup_last_verified_timestamp_seconds",
            "When a backup was verified last, since the epoch; 0 is never.",
            figures.last_verified_s,
        ),
        (
            "backup_last_verified_whole",
            "Whether the backup that was verified last was found whole.",
            f64::from(u8::from(figures.last_verified_whole)),
        ),
    ] {
        text += &format!(
            "# HELP tenantry_{name} {help}\n# TYPE tenantry_{name} gauge\ntenantry_{name} {value}\n"
        );
    }
    text
}

/// Linux tells it in kB; other systems do not have the file.
fn resident_bytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024.0)
}

/// The routes.
pub fn configure(config: &mut web::ServiceConfig) {
    config.service(
        routes::resource("/metrics")
            .route(web::get().to(show))
            .route(web::head().to(show)),
    );
}

/// Metrics in the Prometheus text format.
#[utoipa::path(
    get, path = "/metrics", tag = "server", security((), ("bearer" = []), ("session" = [])),
    responses(
        (status = 200, description = "The metrics, for operators and the machine itself", body = String, content_type = "text/plain"),
        super::openapi::Refused,
    )
)]
pub async fn show(app: Services, metrics: web::Data<Metrics>) -> Answer {
    let (waiting, oldest) = app.runs.depth().await?;
    let now = app.runs.now();
    let oldest_s = oldest.map_or(0.0, |at| (now.0 - at.0).max(0) as f64 / 1_000.0);
    let text = metrics.text(&app.store.metrics, (waiting, oldest_s));
    let mut text = text.map_err(|error| Problem(Error::internal(error)))?;
    text += &tiers(
        &app.archive.totals(),
        &app.records.moved,
        app.archive.oldest_due_s(),
    );
    let all = app.backups.clone();
    let figures = web::block(move || all.figures()).await;
    text += &backups(&figures.map_err(|error| Problem(Error::internal(error)))?);
    Ok(HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(text))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::collections::BTreeMap;

    use super::*;

    /// What `promtool check metrics` looks for, where that is not installed.
    #[test]
    fn every_metric_is_named_typed_and_explained() {
        let metrics = Metrics::new(&JobMetrics::new().unwrap()).unwrap();
        drop(metrics.in_flight("/healthz"));
        metrics.answered("GET", "/healthz", 200, Duration::from_millis(2));
        metrics.answered("BREW", "none", 404, Duration::ZERO);
        let mut text = metrics
            .text(&CommitterMetrics::default(), (0, 0.0))
            .unwrap();
        text += &tiers(&Totals::default(), &Moved::default(), 0.0);
        text += &backups(&Figures::default());
        let (mut helps, mut types) = (BTreeMap::new(), BTreeMap::new());
        for line in text.lines() {
            if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|l| l.split_once(' '))
            {
                assert!(help.ends_with('.'), "{line}");
                assert!(helps.insert(name, help).is_none(), "{name} stands twice");
            } else if let Some((name, kind)) =
                line.strip_prefix("# TYPE ").and_then(|l| l.split_once(' '))
            {
                assert!(
                    helps.contains_key(name),
                    "{name} has no help before its type"
                );
                assert_eq!(kind == "counter", name.ends_with("_total"), "{name} {kind}");
                assert!(types.insert(name, kind).is_none(), "{name} stands twice");
            } else {
                let (series, value) = line.rsplit_once(' ').unwrap();
                value.parse::<f64>().unwrap();
                let name = series.split('{').next().unwrap();
                let parts = ["_bucket", "_sum", "_count"];
                let base = parts.iter().find_map(|part| name.strip_suffix(part));
                let known = types.contains_key(name)
                    || base.is_some_and(|base| types.get(base) == Some(&"histogram"));
                assert!(known && name.starts_with("tenantry_"), "{line}");
            }
        }
        assert!(types.len() >= 14, "{types:?}");
        assert!(
            text.contains("method=\"other\""),
            "methods of clients are no labels"
        );
        assert!(text.contains("tenantry_uptime_seconds "));
    }
}
