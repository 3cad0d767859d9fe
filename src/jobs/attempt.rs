//! One attempt at a run, from its claim to its end: the kind's work until it is done,
//! fails, panics, takes too long or is stopped.

use std::{
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context as TaskContext, Poll},
    time::{Duration, Instant},
};

use futures_util::FutureExt as _;
use nix::time::{ClockId, clock_gettime};

use super::{
    context::{Context, Failure},
    kinds::{self, webhook::Network},
    metrics::JobMetrics,
};
use crate::{
    domain::job::RunId,
    service::{
        Result,
        archive::Archive,
        backups::Backups,
        records::Records,
        runs::{End, Ended, Runs, Stop},
    },
};

/// What attempts share.
pub struct Workshop {
    /// The runs.
    pub runs: Arc<Runs>,
    records: Arc<Records>,
    archive: Arc<Archive>,
    /// Backups of the whole store.
    pub backups: Arc<Backups>,
    /// What sends to other machines.
    pub network: Network,
    /// What is counted.
    pub metrics: Arc<JobMetrics>,
}

impl Workshop {
    /// Over an application's services.
    pub fn new(
        runs: Arc<Runs>,
        records: Arc<Records>,
        archive: Arc<Archive>,
        backups: Arc<Backups>,
        metrics: Arc<JobMetrics>,
    ) -> Result<Self> {
        let network = Network::new(runs.settings().allow_private_addresses)?;
        Ok(Self {
            runs,
            records,
            archive,
            backups,
            network,
            metrics,
        })
    }
}

/// Makes an attempt. What it cost in milliseconds; `None` where there was nothing to
/// do.
pub async fn attempt(workshop: &Workshop, id: &RunId) -> Result<Option<f64>> {
    let Some(claimed) = workshop.runs.claim(id).await? else {
        return Ok(None);
    };
    let began = Instant::now();
    let (job, live) = (claimed.job.clone(), claimed.live.clone());
    workshop.metrics.started(&claimed.run);
    let context = Context::new(
        workshop.runs.clone(),
        workshop.records.clone(),
        workshop.archive.clone(),
        claimed,
    );
    let cpu = AtomicU64::new(0);
    let work = Timed {
        work: Box::pin(AssertUnwindSafe(kinds::run(&context, workshop)).catch_unwind()),
        cpu: &cpu,
    };
    let timeout = Duration::from_millis(job.timeout_ms.unsigned_abs());
    let (ended, result) = tokio::select! {
        biased;
        why = live.stopping() => (Ended::Stopped(why), None),
        () = tokio::time::sleep(timeout) => (Ended::Stopped(Stop::Timeout), None),
        done = work => match done {
            Ok(Ok(result)) => (Ended::Succeeded, result),
            Ok(Err(failure)) => (failed(failure), None),
            Err(panic) => (failed(Failure::new(panicked(&*panic))), None),
        },
    };
    let cpu_us = cpu.load(Relaxed);
    let end = End {
        ended,
        spent: context.spent(cpu_us),
        result,
    };
    let took = began.elapsed();
    workshop.metrics.stopped(&context.claimed().run);
    if let Some(run) = workshop.runs.finish(context.claimed(), &end).await? {
        workshop.metrics.ended(&run, took);
        tracing::info!(
            run = %run.id,
            state = run.state.name(),
            attempt = run.attempt,
            ms = took.as_millis() as u64,
            error = run.error.as_deref().filter(|_| !matches!(end.ended, Ended::Succeeded)),
            "attempt"
        );
    }
    let slot_ms = took.as_secs_f64() * 1_000.0;
    Ok(Some(slot_ms.max(cpu_us as f64 / 1_000.0)))
}

fn failed(failure: Failure) -> Ended {
    if failure.lost {
        return Ended::Stopped(Stop::Interrupt(failure.error));
    }
    if failure.skip {
        return Ended::Skipped(failure.error);
    }
    Ended::Failed {
        error: failure.error,
        permanent: failure.permanent,
        after_ms: failure.after_ms,
    }
}

/// What a panic said.
fn panicked(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("panicked: {}", text.unwrap_or("without saying why"))
}

/// A future that counts the time of the processor it takes.
struct Timed<'a, T> {
    work: Pin<Box<dyn Future<Output = T> + Send + 'a>>,
    cpu: &'a AtomicU64,
}

impl<T> Future for Timed<'_, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<T> {
        let before = thread_cpu_us();
        let polled = self.work.as_mut().poll(task);
        let took = thread_cpu_us().saturating_sub(before);
        self.cpu.fetch_add(took, Relaxed);
        polled
    }
}

/// The time of the processor that this thread took, in microseconds.
fn thread_cpu_us() -> u64 {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(0, |time| {
        time.tv_sec() as u64 * 1_000_000 + time.tv_nsec() as u64 / 1_000
    })
}
