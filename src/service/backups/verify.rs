//! Whether a backup can be relied on: it is restored into a scratch store, and that store
//! is checked as `store check` checks a living one.

use std::{fmt::Write as _, path::Path, sync::Arc};

use crate::{
    base::{Clock, Random},
    config::Limits,
    service::{
        Caller, Core, Error,
        apps::Apps,
        check::{Check, CheckOptions},
    },
    store::{
        self, CommitterOptions, DiskEngine, OpenStore, StoreOptions, Tree,
        backup::{self, BackupError, BackupReader, Identities, Restored},
        committer::SEQUENCE_KEY,
    },
};

/// The engine's cache of a scratch store.
const CACHE_BYTES: u64 = 32 << 20;
/// Problems that are told one by one.
const PROBLEMS_MAX: usize = 5;

/// What a scratch store is worked on with.
#[derive(Clone)]
pub struct Ground {
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Ids and secrets.
    pub random: Arc<Random>,
    /// The installation's limits.
    pub limits: Arc<Limits>,
}

impl From<&Core> for Ground {
    fn from(core: &Core) -> Self {
        Self {
            clock: core.clock.clone(),
            random: core.random.clone(),
            limits: core.limits.clone(),
        }
    }
}

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Keys of the restored store.
    pub keys: u64,
    /// Its records.
    pub records: u64,
    /// What is wrong with it; none: it is whole.
    pub wrong: Option<String>,
}

/// Is told bytes read and bytes there are; an error stops it.
pub type Watch<'a> = &'a mut dyn FnMut((u64, u64)) -> Result<(), BackupError>;

/// Restores the backup `path` into the folder `scratch`, which is empty or missing, and
/// checks what comes out. An error means that the
/// file is unusable, or that it could not be tried; [`is_bad`] tells which.
pub async fn verify(
    ground: &Ground,
    path: &Path,
    identities: Option<&Identities>,
    scratch: &Path,
    watch: Watch<'_>,
) -> Result<Found, BackupError> {
    let mut reader = BackupReader::open(path, identities)?;
    let engine = engine_of(&reader)?;
    let restored = backup::into_folder(&mut reader, scratch, engine, &|_| true, watch)?;
    let (store, core) = open(ground, scratch)?;
    let found = checked(&store, &core, &restored).await;
    store.close();
    found
}

/// Whether an error says that the backup is of no use, rather than that it could not be
/// tried.
pub fn is_bad(error: &BackupError) -> bool {
    matches!(
        error,
        BackupError::Foreign(_) | BackupError::CutShort { .. } | BackupError::Damaged { .. }
    )
}

/// The engine that the store of a backup had, where this version has it.
pub fn engine_of(reader: &BackupReader) -> Result<DiskEngine, BackupError> {
    let name = &reader.facts().engine;
    // A store in memory has none; it is one of tests.
    Ok(DiskEngine::named(name).unwrap_or(DiskEngine::ALL[0]))
}

/// Opens a scratch store.
pub fn open(ground: &Ground, dir: &Path) -> Result<(OpenStore, Core), BackupError> {
    let options = StoreOptions {
        engine: None,
        cache_bytes: CACHE_BYTES,
        committer: CommitterOptions::default(),
    };
    let store = store::open(dir, &options)?;
    let core = Core {
        engine: store.engine.clone(),
        clock: ground.clock.clone(),
        random: ground.random.clone(),
        limits: ground.limits.clone(),
        dictionaries: Arc::default(),
    };
    Ok((store, core))
}

/// A service's failure over a scratch store, in the words of backups.
pub fn of_service(error: Error) -> BackupError {
    let cause = error.cause.map(|cause| format!(" ({cause})"));
    BackupError::Refused(format!("{}{}", error.detail, cause.unwrap_or_default()))
}

async fn checked(
    store: &OpenStore,
    core: &Core,
    restored: &Restored,
) -> Result<Found, BackupError> {
    let sequence = core.engine.get(Tree::Hot, &SEQUENCE_KEY.into()).await?;
    let sequence = store::codec::decode_counter(sequence.as_ref())?;
    let apps = Apps::load(core.clone()).await.map_err(of_service)?;
    let check = Check::new(core.clone(), Arc::new(apps), store.maintenance.clone());
    let report = check.run(&Caller::Local, CheckOptions::default());
    let report = report.await.map_err(of_service)?;
    let mut wrong = Vec::new();
    if u64::try_from(sequence) != Ok(restored.trailer.sequence) {
        wrong.push(format!(
            "its change sequence is {sequence}, and should be {}",
            restored.trailer.sequence
        ));
    }
    wrong.extend(report.problems.iter().take(PROBLEMS_MAX).map(|problem| {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = write!(text, "{}: {}", problem.key, problem.detail);
        text
    }));
    let more = report.problems_total.saturating_sub(PROBLEMS_MAX as u64);
    if more > 0 {
        wrong.push(format!("and {more} more problems"));
    }
    Ok(Found {
        keys: report.keys,
        records: report.records,
        wrong: (!wrong.is_empty())
            .then(|| format!("The store in it is not in order: {}", wrong.join("; "))),
    })
}
