//! The composition root: builds every service once over an open store.

use std::sync::Arc;

use crate::{
    base::{Clock, Instant, Random},
    config::Config,
    jobs::metrics::JobMetrics,
    service::{
        Core, Error, Result,
        apps::Apps,
        archive::Archive,
        auth::Auth,
        backups::Backups,
        check::Check,
        holds::Holds,
        keys::{KeyCache, Keys},
        operators::Operators,
        passwords::Passwords,
        records::Records,
        runs::Runs,
        tenants::Tenants,
        transfer::Transfer,
    },
    store::OpenStore,
};

/// Everything that requests and background work use.
pub struct App {
    /// The configuration.
    pub config: Arc<Config>,
    /// When it was built: the start of the server.
    pub started_at: Instant,
    /// The store.
    pub store: OpenStore,
    /// What every service works with.
    pub core: Core,
    /// The archive tier.
    pub archive: Arc<Archive>,
    /// Legal holds.
    pub holds: Arc<Holds>,
    /// The applied app file.
    pub apps: Arc<Apps>,
    /// Who asks.
    pub auth: Arc<Auth>,
    /// Backups.
    pub backups: Arc<Backups>,
    /// Whether the store is whole.
    pub check: Arc<Check>,
    /// API keys.
    pub keys: Arc<Keys>,
    /// Operators.
    pub operators: Arc<Operators>,
    /// Records.
    pub records: Arc<Records>,
    /// Runs of jobs.
    pub runs: Arc<Runs>,
    /// What is counted of jobs.
    pub job_metrics: Arc<JobMetrics>,
    /// Tenants.
    pub tenants: Arc<Tenants>,
    /// Import and export.
    pub transfer: Arc<Transfer>,
}

impl App {
    /// Builds the services.
    pub async fn build(config: Config, store: OpenStore, clock: Arc<dyn Clock>) -> Result<Self> {
        Self::build_with(config, store, clock, Random::system()).await
    }

    /// As [`App::build`], with a source of randomness, as a simulation needs it.
    pub async fn build_with(
        config: Config,
        store: OpenStore,
        clock: Arc<dyn Clock>,
        random: Random,
    ) -> Result<Self> {
        let core = Core {
            engine: store.engine.clone(),
            clock,
            random: Arc::new(random),
            limits: Arc::new(config.limits.clone()),
            dictionaries: Arc::default(),
        };
        let apps = Arc::new(Apps::load(core.clone()).await?);
        let passwords = Arc::new(Passwords::new(&config.auth)?);
        let records = Arc::new(Records::new(core.clone(), apps.clone()));
        let key_cache = Arc::new(KeyCache::default());
        let keys = Arc::new(Keys::new(core.clone(), key_cache.clone()));
        let tenants = Arc::new(Tenants::new(core.clone(), key_cache));
        let job_metrics = JobMetrics::new().map_err(Error::internal)?;
        Ok(Self {
            started_at: core.clock.now(),
            archive: Arc::new(Archive::new(core.clone(), apps.clone(), records.clone())),
            holds: Arc::new(Holds::new(core.clone(), apps.clone())),
            runs: Arc::new(Runs::new(core.clone(), apps.clone(), &config.jobs)),
            job_metrics: Arc::new(job_metrics),
            auth: Arc::new(Auth::new(
                core.clone(),
                &config.auth,
                keys.clone(),
                passwords.clone(),
            )),
            backups: Arc::new(Backups::new(
                core.clone(),
                store.clone(),
                &config.backup,
                tenants.clone(),
                apps.clone(),
            )?),
            check: Arc::new(Check::new(
                core.clone(),
                apps.clone(),
                store.maintenance.clone(),
            )),
            keys,
            operators: Arc::new(Operators::new(core.clone(), passwords)),
            transfer: Arc::new(Transfer::new(
                core.clone(),
                apps.clone(),
                records.clone(),
                tenants.clone(),
            )),
            config: Arc::new(config),
            store,
            core,
            apps,
            records,
            tenants,
        })
    }
}
