//! The server's own upkeep: building and dropping indexes, erasing tenants,
//! removing what expired. Every piece is small and keeps its progress in the store,
//! so stopping in between loses nothing.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::{sync::watch, task::JoinHandle};

use crate::service::{Core, Result, apps::Apps, expiry, tenants::Tenants};

/// How often work is looked for that nobody announced.
const BEAT: Duration = Duration::from_secs(30);
/// The wait after a failure; it doubles with each further one.
const PAUSE_FIRST: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// The tasks under way.
pub struct Background {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Background {
    /// Starts the upkeep on the current runtime.
    pub fn start(core: Core, apps: Arc<Apps>, tenants: Arc<Tenants>) -> Self {
        let (stop, stopped) = watch::channel(false);
        let indexes = {
            let (step, wait) = (apps.clone(), apps);
            let step = move || {
                let apps = step.clone();
                async move { apps.work_step().await }
            };
            let wait = move || {
                let apps = wait.clone();
                async move { apps.work_waiting().await }
            };
            tokio::spawn(run("index builds", step, wait, stopped.clone()))
        };
        let erasures = {
            let (step, wait) = (tenants.clone(), tenants);
            let step = move || {
                let tenants = step.clone();
                async move { tenants.erase_step().await }
            };
            let wait = move || {
                let tenants = wait.clone();
                async move { tenants.erasure_waiting().await }
            };
            tokio::spawn(run("erasures", step, wait, stopped.clone()))
        };
        let expiries = {
            let step = move || {
                let core = core.clone();
                async move { expiry::sweep(&core).await }
            };
            let wait = std::future::pending;
            tokio::spawn(run("expiries", step, wait, stopped))
        };
        Self {
            stop,
            tasks: vec![indexes, erasures, expiries],
        }
    }

    /// Lets the pieces under way finish, and ends.
    pub async fn stop(self) {
        // Without receivers all tasks have ended already.
        let _ = self.stop.send(true);
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a background task broke off");
            }
        }
    }
}

/// Does one piece after the other while there are any, then waits for a call or
/// the beat.
async fn run<S: Future<Output = Result<bool>>, W: Future<Output = ()>>(
    what: &str,
    step: impl Fn() -> S,
    wait: impl Fn() -> W,
    mut stopped: watch::Receiver<bool>,
) {
    let mut pause = PAUSE_FIRST;
    while !*stopped.borrow() {
        let idle = match step().await {
            Ok(true) => {
                pause = PAUSE_FIRST;
                tokio::task::yield_now().await;
                continue;
            }
            Ok(false) => BEAT,
            Err(error) => {
                let cause = error.cause.as_deref().unwrap_or_default();
                tracing::warn!(what, %error, cause, "background work failed and is tried again");
                pause = (pause * 2).min(PAUSE_MAX);
                pause
            }
        };
        let called = async {
            match idle {
                BEAT => wait().await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            () = called => {}
            () = tokio::time::sleep(idle) => {}
            _ = stopped.changed() => {}
        }
    }
}
