//! Runs jobs as long as the server does: a runtime of its own, so that what works
//! there does not hold up requests, with the heartbeat and the dispatcher.

use std::{sync::Arc, thread::JoinHandle, time::Duration};

use tokio::{runtime::Builder, sync::watch};

use super::{attempt::Workshop, dispatcher::Dispatcher, heartbeat, metrics::JobMetrics};
use crate::{
    base::priority,
    service::{
        Error, Result, apps::Apps, archive::Archive, backups::Backups, records::Records, runs::Runs,
    },
};

/// The wait after a start that failed.
const PAUSE: Duration = Duration::from_secs(5);

/// The jobs' runtime.
pub struct Engine {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Engine {
    /// Starts running jobs.
    pub fn start(
        runs: Arc<Runs>,
        records: Arc<Records>,
        archive: Arc<Archive>,
        backups: Arc<Backups>,
        apps: Arc<Apps>,
        metrics: Arc<JobMetrics>,
    ) -> Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let workshop = Workshop::new(runs, records, archive, backups, metrics)?;
        let workshop = Arc::new(workshop);
        let runs = &workshop.runs;
        let runtime = Builder::new_multi_thread()
            .worker_threads(runs.settings().cpu_slots)
            .thread_name("jobs")
            .on_thread_start(priority::step_back)
            .enable_all()
            .build()
            .map_err(|error| Error::internal(format!("no runtime for jobs: {error}")))?;
        let thread = std::thread::Builder::new()
            .name("jobs".into())
            .spawn(move || runtime.block_on(work(workshop, apps, stopped)))
            .map_err(|error| Error::internal(format!("no thread for jobs: {error}")))?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }

    /// Claims no further run, gives those under way their time, and ends.
    pub async fn stop(mut self) {
        // Without a receiver it has ended already.
        let _ = self.stop.send(true);
        let Some(thread) = self.thread.take() else {
            return;
        };
        let joined = tokio::task::spawn_blocking(move || thread.join()).await;
        if !matches!(joined, Ok(Ok(()))) {
            tracing::error!("the jobs' thread broke off");
        }
    }
}

async fn work(workshop: Arc<Workshop>, apps: Arc<Apps>, mut stopped: watch::Receiver<bool>) {
    let runs = workshop.runs.clone();
    let mut heart = loop {
        match begin(&runs, &workshop.metrics).await {
            Ok(heart) => break heart,
            Err(error) => {
                tracing::error!(%error, cause = error.cause, "jobs cannot start; trying again");
            }
        }
        tokio::select! {
            _ = stopped.changed() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    };
    Dispatcher::new(workshop, apps).run(stopped).await;
    if let Err(error) = heart.shutdown().await {
        tracing::warn!(%error, "the heartbeat did not stop");
    }
    if !runs.alone()
        && let Err(error) = runs.forget_worker(None).await
    {
        tracing::warn!(%error, "others learn only by the lease that this process has ended");
    }
}

async fn begin(
    runs: &Arc<Runs>,
    metrics: &Arc<JobMetrics>,
) -> Result<tokio_cron_scheduler::JobScheduler> {
    runs.load_pauses().await?;
    if runs.alone() {
        let rescued = runs.rescue(|_| true).await?;
        if rescued > 0 {
            tracing::info!(rescued, "runs that the last process left wait again");
        }
    }
    heartbeat::start(runs.clone(), metrics.clone())
        .await
        .map_err(|error| Error::internal(format!("no heartbeat: {error}")))
}
