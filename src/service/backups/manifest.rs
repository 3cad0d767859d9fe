//! What is known of a backup, kept as JSON beside its file: also of one that failed, which
//! has no file.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    base::Instant,
    domain::retention::Soundness,
    store::backup::{Created, Facts},
};

/// Why a backup was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = BackupKind)]
pub enum Kind {
    /// Somebody asked for it.
    Manual,
    /// A job made it.
    Scheduled,
}

impl Kind {
    /// As the file has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Scheduled => "scheduled",
        }
    }
}

/// What became of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It is being made.
    Running,
    /// It is there.
    Complete,
    /// It was not made; `error` says why.
    Failed,
}

/// What came of verifying a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Result {
    /// It was restored, and nothing is wrong with it.
    Whole,
    /// The file is damaged, or the store in it is not in order.
    Bad,
    /// It could not be tried; that says nothing of the backup.
    Untried,
}

/// When and how a backup was verified last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Verification {
    /// When it ended, RFC 3339.
    #[schema(format = DateTime)]
    pub at: String,
    /// What came of it.
    pub result: Result,
    /// What is wrong, or why it could not be tried.
    #[schema(required = true)]
    pub error: Option<String>,
    /// Keys of the restored store.
    pub keys: u64,
    /// Records of the restored store.
    pub records: u64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// A backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Manifest {
    /// Its id, by which the routes and the command line name it.
    pub id: String,
    /// Why it was made.
    pub kind: Kind,
    /// What became of it.
    pub state: State,
    /// Why it failed.
    #[schema(required = true)]
    pub error: Option<String>,
    /// The engine of the store.
    pub engine: String,
    /// The version that made it.
    pub version: String,
    /// Whether it is encrypted.
    pub encrypted: bool,
    /// When it began, RFC 3339.
    #[schema(format = DateTime)]
    pub started_at: String,
    /// The moment that it is of, RFC 3339: everything acknowledged before is in it, nothing
    /// that was begun after. Null where only its file is known.
    #[schema(required = true, format = DateTime)]
    pub moment: Option<String>,
    /// The change sequence at that moment.
    #[schema(required = true)]
    pub sequence: Option<u64>,
    /// How long it took, in milliseconds.
    #[schema(required = true)]
    pub took_ms: Option<u64>,
    /// The length of its file; 0 where it has none.
    pub bytes: u64,
    /// Keys that were read.
    #[schema(required = true)]
    pub keys: Option<u64>,
    /// Changes that were made while they were read, which are in it too.
    #[schema(required = true)]
    pub changes: Option<u64>,
    /// Bytes of keys and values before they were compressed.
    #[schema(required = true)]
    pub logical_bytes: Option<u64>,
    /// When and how it was verified last.
    #[schema(required = true)]
    pub verification: Option<Verification>,
}

impl Manifest {
    /// What a file says of itself.
    pub fn of_file(facts: &Facts, bytes: u64) -> Self {
        let kind = match facts.kind == Kind::Scheduled.name() {
            true => Kind::Scheduled,
            false => Kind::Manual,
        };
        Self {
            id: facts.id.clone(),
            kind,
            state: State::Complete,
            error: None,
            engine: facts.engine.clone(),
            version: facts.version.clone(),
            encrypted: facts.encrypted,
            started_at: Instant(facts.started_ms).to_rfc3339(),
            moment: None,
            sequence: None,
            took_ms: None,
            bytes,
            keys: None,
            changes: None,
            logical_bytes: None,
            verification: None,
        }
    }

    /// The same when it is complete.
    pub fn completed(facts: &Facts, created: &Created, took_ms: u64) -> Self {
        let trailer = &created.trailer;
        Self {
            moment: Some(Instant(trailer.moment_ms).to_rfc3339()),
            sequence: Some(trailer.sequence),
            took_ms: Some(took_ms),
            keys: Some(trailer.keys),
            changes: Some(trailer.changes),
            logical_bytes: Some(trailer.logical_bytes),
            ..Self::of_file(facts, created.bytes)
        }
    }

    /// When it began.
    pub fn started(&self) -> Instant {
        Instant::parse_rfc3339(&self.started_at).unwrap_or(Instant(0))
    }

    /// The moment that it is of, as far as that is known.
    pub fn moment(&self) -> Instant {
        let moment = self.moment.as_deref().and_then(Instant::parse_rfc3339);
        moment.unwrap_or_else(|| self.started())
    }

    /// What is known of its soundness.
    pub fn soundness(&self) -> Soundness {
        match self.verification.as_ref().map(|found| found.result) {
            Some(Result::Whole) => Soundness::Whole,
            Some(Result::Bad) => Soundness::Bad,
            Some(Result::Untried) | None => Soundness::Unknown,
        }
    }
}
