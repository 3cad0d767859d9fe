//! One life of the process, from its start to its end.

use std::{future::Future, pin::pin, sync::Arc, task::Poll};

use tenantry::{
    app::App,
    base::Random,
    config::{Config, Sources},
    domain::{AppFile, TenantSlug},
    jobs::attempt::Workshop,
    service::{Caller, Error, apps::ApplyOptions},
    store::{ByHand, CommitterOptions, OpenStore, engine::Stored},
};

use super::{Defect, Key, TENANTS, World};
use crate::{
    app_file::APP,
    requests::{self, Answer},
    tasks::Tasks,
};

/// The process.
pub struct Life {
    pub app: Arc<App>,
    /// What looks at the store while the others work: it waits for no lock of theirs.
    pub watcher: Arc<App>,
    pub by_hand: ByHand,
    /// The attempts' own world; the second one is that of another process, which takes
    /// the first for gone.
    pub workshops: [Arc<Workshop>; 2],
    pub tasks: Tasks<Key, Answer>,
    /// Whether anything failed on purpose.
    pub faulted: bool,
    /// Whether the last step was the last one of a group of writes.
    pub wrote: bool,
}

impl World {
    /// Starts the process on the disk as it is.
    pub(super) async fn start(&mut self) -> Result<(), Defect> {
        let stored: Arc<dyn Stored> = self.disk.clone();
        let opened = OpenStore::by_hand(stored, CommitterOptions::default(), self.dice.number());
        let (store, mut by_hand) = opened.map_err(|error| format!("does not open: {error}"))?;
        let mut config = Config::load(Sources::default()).unwrap();
        config.auth.argon2_memory_kib = 64;
        config.jobs.history_runs = 10_000;
        let apps = [(); 3].map(|()| {
            let (config, store) = (config.clone(), store.clone());
            let random = Random::seeded(self.dice.number());
            App::build_with(config, store, self.clock.clone(), random)
        });
        let [serving, other, watcher] = apps;
        let mut workshops = Vec::new();
        let mut first = None;
        for app in [serving, other] {
            let app = drive(&mut by_hand, app).await.map_err(told("starts"))?;
            let (runs, records) = (app.runs.clone(), app.records.clone());
            let (archive, backups) = (app.archive.clone(), app.backups.clone());
            let metrics = app.job_metrics.clone();
            let workshop = Workshop::new(runs, records, archive, backups, metrics);
            workshops.push(Arc::new(workshop.map_err(told("jobs"))?));
            first.get_or_insert(Arc::new(app));
        }
        let app = first.unwrap();
        let begun = async {
            if app.apps.current().entity("ticket").is_err() {
                apply(&app, APP).await?;
            }
            for tenant in TENANTS {
                let slug: TenantSlug = tenant.parse().unwrap();
                app.tenants.ensure(&Caller::Local, &slug, tenant).await?;
            }
            app.runs.load_pauses().await?;
            app.runs.rescue(|_| true).await
        };
        drive(&mut by_hand, begun).await.map_err(told("begins"))?;
        let watcher = async {
            let watcher = Arc::new(watcher.await?);
            // Its first list has to write, for the secret of the cursors.
            let (tenant, query) = (TENANTS[0].to_owned(), "status=open".to_owned());
            requests::list(watcher.clone(), tenant, query).await;
            Ok(watcher)
        };
        let watcher = drive(&mut by_hand, watcher).await.map_err(told("starts"))?;
        self.life = Some(Life {
            app,
            watcher,
            by_hand,
            workshops: workshops.try_into().ok().unwrap(),
            tasks: Tasks::new(),
            faulted: false,
            wrote: false,
        });
        self.trace.say(|| "start".into());
        Ok(())
    }
}

/// A future alone, with the committer's steps between its own.
pub async fn drive<T>(by_hand: &mut ByHand, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        let polled = std::future::poll_fn(|task| Poll::Ready(future.as_mut().poll(task))).await;
        if let Poll::Ready(value) = polled {
            return value;
        }
        by_hand.prepare();
        while by_hand.apply() {}
        tokio::task::yield_now().await;
    }
}

pub async fn apply(app: &App, file: &str) -> Result<(), Error> {
    let file = AppFile::parse(file).unwrap();
    let options = ApplyOptions::default();
    app.apps
        .apply(&Caller::Local, file, options)
        .await
        .map(drop)
}

fn told(what: &str) -> impl Fn(Error) -> Defect {
    move |error| format!("{what}: {error} {:?}", error.cause)
}
