//! What a kind of job works with: its tenant's records in bounded pages, a checkpoint,
//! a log. Every call is a place where the run can be stopped.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::{
    domain::{
        job::run::{Progress, Spent},
        query::ListRequest,
    },
    service::{
        Code, Error, TenantAccess,
        archive::Archive,
        records::{Operation, Outcome, Records},
        runs::{Checkpoint, Claimed, Runs},
    },
    store::Batch,
};

/// Bytes of a read unit.
const READ_UNIT_BYTES: u64 = 4_096;
/// Bytes of a write unit.
const WRITE_UNIT_BYTES: u64 = 1_024;

/// Why a run did not do its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong.
    pub error: String,
    /// Whether a further attempt would fail too.
    pub permanent: bool,
    /// A wait that was asked for, in milliseconds.
    pub after_ms: Option<i64>,
    /// The attempt was taken over: nothing it says counts.
    pub lost: bool,
    /// There was nothing to do: the run is skipped, and failed at nothing.
    pub skip: bool,
}

impl Failure {
    /// A failure that may not happen again.
    pub fn new(error: impl Into<String>) -> Self {
        Self {
            error: error.into(),
            permanent: false,
            after_ms: None,
            lost: false,
            skip: false,
        }
    }

    /// A failure that would happen again.
    pub fn permanent(error: impl Into<String>) -> Self {
        Self {
            permanent: true,
            ..Self::new(error)
        }
    }

    /// Nothing to do, for a stated reason.
    pub fn skip(why: impl Into<String>) -> Self {
        Self {
            skip: true,
            ..Self::new(why)
        }
    }

    fn lost() -> Self {
        Self {
            lost: true,
            ..Self::new("the attempt was taken over")
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        // The caller is the team itself: it is told the cause.
        let cause = error.cause.as_deref().map(|cause| format!(" ({cause})"));
        let text = format!("{}{}", error.detail, cause.unwrap_or_default());
        match error.code {
            Code::TooLarge | Code::InvalidRecord | Code::QueryNeedsIndex | Code::BadRequest => {
                Self::permanent(text)
            }
            _ => Self::new(text),
        }
    }
}

/// Makes from what was done what is kept in the same commit: how far the run is, and
/// whatever else is to be written.
pub type Keep<'a> = &'a (dyn Fn(&[Outcome]) -> Result<(Checkpoint, Batch), Failure> + Send + Sync);

/// What a kind of job works with.
pub struct Context {
    runs: Arc<Runs>,
    records: Arc<Records>,
    archive: Arc<Archive>,
    claimed: Claimed,
    spent: [AtomicU64; 3],
}

/// A page of records.
#[derive(Deserialize)]
pub struct PageOfRecords {
    /// The records, as the API gives them.
    pub items: Vec<Box<RawValue>>,
    /// Gives the next page.
    pub next_cursor: Option<String>,
    units: Units,
}

#[derive(Deserialize)]
struct Units {
    read: u64,
}

impl Context {
    /// The context of an attempt.
    pub fn new(
        runs: Arc<Runs>,
        records: Arc<Records>,
        archive: Arc<Archive>,
        claimed: Claimed,
    ) -> Self {
        Self {
            runs,
            records,
            archive,
            claimed,
            spent: Default::default(),
        }
    }

    /// The run and its job.
    pub fn claimed(&self) -> &Claimed {
        &self.claimed
    }

    /// The service that knows runs.
    pub fn runs(&self) -> &Runs {
        &self.runs
    }

    /// The service that knows records.
    pub fn records(&self) -> &Records {
        &self.records
    }

    /// The service that knows what is due.
    pub fn archive(&self) -> &Archive {
        &self.archive
    }

    /// Access to the tenant's records.
    pub fn tenant(&self) -> Result<&TenantAccess, Failure> {
        let access = self.claimed.access.as_ref();
        access.ok_or_else(|| Failure::permanent("the installation has no records"))
    }

    /// What the attempts before left; the default where there was none.
    pub fn state<T: DeserializeOwned + Default>(&self) -> Result<T, Failure> {
        let state = &self.claimed.checkpoint.state;
        if state.is_empty() {
            return Ok(T::default());
        }
        serde_json::from_slice(state)
            .map_err(|error| Failure::permanent(format!("the checkpoint cannot be read: {error}")))
    }

    /// The next page of the tenant's records.
    pub async fn page(
        &self,
        entity: &str,
        request: &ListRequest,
    ) -> Result<PageOfRecords, Failure> {
        // Reading is done where it is called; in between others get their turn, and
        // the run can be stopped.
        tokio::task::yield_now().await;
        let page = self.records.list(self.tenant()?, entity, request).await?;
        let page: PageOfRecords = serde_json::from_slice(&page)
            .map_err(|error| Failure::permanent(format!("a page cannot be read: {error}")))?;
        self.spent[0].fetch_add(page.items.len() as u64, Relaxed);
        self.spent[1].fetch_add(page.units.read, Relaxed);
        Ok(page)
    }

    /// Keeps how far the run has come: the next attempt begins there.
    pub async fn checkpoint(
        &self,
        state: &impl Serialize,
        progress: Progress,
    ) -> Result<(), Failure> {
        let checkpoint = checkpoint(state, progress)?;
        let run = &self.claimed.run;
        if !self.runs.commit_checkpoint(run, &checkpoint).await? {
            return Err(Failure::lost());
        }
        self.wrote(checkpoint.state.len());
        self.claimed.live.set_progress(progress);
        Ok(())
    }

    /// Writes records in one commit with a checkpoint.
    pub async fn write(
        &self,
        operations: &[Operation],
        state: &impl Serialize,
        progress: Progress,
    ) -> Result<(), Failure> {
        let checkpoint = checkpoint(state, progress)?;
        let keep = |_: &[Outcome]| {
            let checkpoint = checkpoint.clone();
            Ok((checkpoint, Batch::default()))
        };
        self.write_and_keep(operations, &keep).await?;
        let bytes = operations.iter().map(|operation| operation.body.len());
        self.wrote(bytes.sum::<usize>() + checkpoint.state.len());
        Ok(())
    }

    /// Changes records in one commit with a checkpoint, and whatever else, made from what
    /// was done.
    pub async fn write_and_keep(
        &self,
        operations: &[Operation],
        keep: Keep<'_>,
    ) -> Result<Vec<Outcome>, Failure> {
        tokio::task::yield_now().await;
        let run = &self.claimed.run;
        let with = |outcomes: &[Outcome]| {
            let kept = keep(outcomes).map_err(|failure| Error::internal(failure.error));
            let (checkpoint, mut batch) = kept?;
            self.runs.fence(&mut batch, run)?;
            self.runs.keep(&mut batch, &run.id, &checkpoint)?;
            Ok(batch)
        };
        let access = self.tenant()?;
        let done = self.records.apply_with(access, operations, &with).await?;
        let done = done.ok_or_else(Failure::lost)?;
        let (
            Checkpoint {
                done: so_far,
                total,
                ..
            },
            _,
        ) = keep(&done)?;
        let progress = Progress {
            done: so_far,
            total,
        };
        self.claimed.live.set_progress(progress);
        Ok(done)
    }

    /// A batch that is only committed while the attempt is the run's own.
    pub fn fence(&self) -> Result<Batch, Failure> {
        let mut batch = Batch::default();
        self.runs.fence(&mut batch, &self.claimed.run)?;
        Ok(batch)
    }

    /// Counts records that were moved or removed, so many bytes long.
    pub fn moved(&self, records: u64, bytes: usize) {
        self.spent[0].fetch_add(records, Relaxed);
        self.spent[1].fetch_add((bytes as u64).div_ceil(READ_UNIT_BYTES), Relaxed);
        self.wrote(bytes);
    }

    fn wrote(&self, bytes: usize) {
        let units = (bytes as u64).div_ceil(WRITE_UNIT_BYTES).max(1);
        self.spent[2].fetch_add(units, Relaxed);
    }

    /// Adds a line to the run's log.
    pub fn say(&self, text: &str) {
        self.claimed.live.say(self.runs.now(), text);
    }

    /// What the attempt has cost so far.
    pub fn spent(&self, cpu_us: u64) -> Spent {
        let [records, read_units, write_units] = &self.spent;
        Spent {
            records: records.load(Relaxed),
            read_units: read_units.load(Relaxed),
            write_units: write_units.load(Relaxed),
            cpu_us,
        }
    }
}

/// A kind's state, to be kept.
pub fn checkpoint(state: &impl Serialize, progress: Progress) -> Result<Checkpoint, Failure> {
    let state = serde_json::to_vec(state)
        .map_err(|error| Failure::permanent(format!("the checkpoint cannot be kept: {error}")))?;
    Ok(Checkpoint {
        state,
        done: progress.done,
        total: progress.total,
    })
}
