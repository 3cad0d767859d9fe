//! The heartbeat: tokio-cron-scheduler calls once a second, and the tick looks at what
//! is due. A beat that is lost, late or doubled changes nothing.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use tokio::sync::Mutex;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

use super::{leases::Leases, metrics::JobMetrics};
use crate::service::{Result, runs::Runs};

/// Beats between two looks for runs that are too old to be kept.
const FORGET_EVERY: u64 = 60;
/// Beats between two looks for runs of this process that nobody works on.
const RESCUE_EVERY: u64 = 10;
/// Beats between two signs of life, where several processes share the store.
const SIGN_EVERY: u64 = 5;

/// What happens at a beat.
struct Beat {
    runs: Arc<Runs>,
    metrics: Arc<JobMetrics>,
    count: AtomicU64,
    leases: Mutex<Leases>,
}

/// Starts the heart.
pub async fn start(
    runs: Arc<Runs>,
    metrics: Arc<JobMetrics>,
) -> Result<JobScheduler, JobSchedulerError> {
    let beat = Arc::new(Beat {
        runs,
        metrics,
        count: AtomicU64::new(0),
        leases: Mutex::default(),
    });
    let scheduler = JobScheduler::new().await?;
    let each_second = Job::new_async("* * * * * *", move |_, _| {
        let beat = beat.clone();
        Box::pin(async move { beat.happen().await })
    })?;
    scheduler.add(each_second).await?;
    scheduler.start().await?;
    Ok(scheduler)
}

impl Beat {
    async fn happen(&self) {
        // The one before is still at it: it sees what is due by then.
        let Ok(mut leases) = self.leases.try_lock() else {
            return;
        };
        let result = self.tick(&mut leases).await;
        self.metrics.ticked(result.is_ok());
        if let Err(error) = result {
            tracing::error!(%error, cause = error.cause, "a tick failed");
        }
    }

    async fn tick(&self, leases: &mut Leases) -> Result<()> {
        let runs = &self.runs;
        let count = self.count.fetch_add(1, Relaxed);
        if !runs.alone() {
            runs.load_pauses().await?;
            if count.is_multiple_of(SIGN_EVERY) {
                leases.look(runs, count).await?;
            }
        }
        let now = runs.now();
        runs.tick(now).await?;
        if count.is_multiple_of(RESCUE_EVERY) {
            let rescued = runs.rescue(|_| false).await?;
            if rescued > 0 {
                tracing::warn!(rescued, "runs whose end could not be written wait again");
            }
        }
        if count.is_multiple_of(FORGET_EVERY) {
            while runs.forget_step(now).await? {}
        }
        Ok(())
    }
}
