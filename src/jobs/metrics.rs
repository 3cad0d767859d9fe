//! What is counted of jobs, in Prometheus' own types; `http/metrics.rs` shows it.

use std::time::Duration;

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, core::Collector};

use crate::domain::job::Run;

/// From at once to a day.
const SECONDS: [f64; 12] = [
    0.01, 0.05, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 21_600.0, 86_400.0,
];

/// What is counted of jobs.
pub struct JobMetrics {
    delays: HistogramVec,
    durations: HistogramVec,
    outcomes: IntCounterVec,
    running: IntGaugeVec,
    ticks: IntCounterVec,
}

impl JobMetrics {
    /// Counters at 0.
    pub fn new() -> prometheus::Result<Self> {
        let histogram = |name: &str, help: &str| {
            let options = HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
            HistogramVec::new(options, &["job"])
        };
        Ok(Self {
            delays: histogram(
                "tenantry_job_start_delay_seconds",
                "Time from when a run could begin to when its attempt began.",
            )?,
            durations: histogram(
                "tenantry_job_attempt_duration_seconds",
                "Time that attempts at runs took.",
            )?,
            outcomes: IntCounterVec::new(
                Opts::new(
                    "tenantry_job_attempts_total",
                    "Attempts that ended, by the state that they left their run in.",
                ),
                &["job", "state"],
            )?,
            running: IntGaugeVec::new(
                Opts::new("tenantry_job_running", "Attempts under way."),
                &["job"],
            )?,
            ticks: IntCounterVec::new(
                Opts::new(
                    "tenantry_job_ticks_total",
                    "Looks at what is due, by whether they went well.",
                ),
                &["outcome"],
            )?,
        })
    }

    /// What a registry takes.
    pub fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![
            Box::new(self.delays.clone()),
            Box::new(self.durations.clone()),
            Box::new(self.outcomes.clone()),
            Box::new(self.running.clone()),
            Box::new(self.ticks.clone()),
        ]
    }

    /// Attempts under way in this process.
    pub fn running(&self) -> u64 {
        let families = self.running.collect();
        let gauges = families.iter().flat_map(|family| family.get_metric());
        gauges
            .map(|gauge| gauge.get_gauge().get_value())
            .sum::<f64>() as u64
    }

    /// An attempt begins. Names of jobs are those of an app file, so they are few.
    pub(super) fn started(&self, run: &Run) {
        let job = run.id.job.as_str();
        self.running.with_label_values(&[job]).inc();
        if let Some(attempt) = run.attempts.last() {
            let could = run.ready_at.max(run.queued_at);
            let delay = (attempt.started_at.0 - could.0).max(0);
            let delays = self.delays.with_label_values(&[job]);
            delays.observe(delay as f64 / 1_000.0);
        }
    }

    /// An attempt is over, whatever became of it.
    pub(super) fn stopped(&self, run: &Run) {
        self.running.with_label_values(&[run.id.job.as_str()]).dec();
    }

    /// An attempt left its run in this state.
    pub(super) fn ended(&self, run: &Run, took: Duration) {
        let job = run.id.job.as_str();
        let outcomes = self.outcomes.with_label_values(&[job, run.state.name()]);
        outcomes.inc();
        let durations = self.durations.with_label_values(&[job]);
        durations.observe(took.as_secs_f64());
    }

    /// A tick is over.
    pub(super) fn ticked(&self, well: bool) {
        let outcome = if well { "ok" } else { "failed" };
        self.ticks.with_label_values(&[outcome]).inc();
    }
}
