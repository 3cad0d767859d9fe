//! Why a service did not do what was asked: one type for the whole layer. The
//! boundary turns each code into a status; see `http/problem.rs`.

use serde::Serialize;

use crate::store::StoreError;

/// The stable code of a problem, part of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// A parameter, header or body is not understood.
    BadRequest,
    /// The body is not JSON, or not the JSON that is wanted.
    InvalidJson,
    /// No credentials, or ones that are not known.
    Unauthenticated,
    /// A sign-in with the wrong email address or password.
    WrongCredentials,
    /// The key lacks the scope.
    InsufficientScope,
    /// Only operators may do this.
    OperatorOnly,
    /// A change by cookie that does not come from our own origin.
    ForeignOrigin,
    /// Nothing is there, or nothing that the caller may see.
    NotFound,
    /// The route knows no such method.
    MethodNotAllowed,
    /// Something of that name exists.
    AlreadyExists,
    /// The record is in the archive, where nothing is changed.
    RecordArchived,
    /// A legal hold keeps what was to be deleted.
    LegalHold,
    /// A unique index has another record with these values.
    UniqueViolation,
    /// `If-Match` or `If-None-Match` did not hold.
    PreconditionFailed,
    /// More than a limit allows.
    TooLarge,
    /// The content type is not one that the route takes.
    UnsupportedMediaType,
    /// The record does not fit the entity's schema or limits.
    InvalidRecord,
    /// No index serves the list.
    QueryNeedsIndex,
    /// The index is being built.
    IndexNotReady,
    /// No counter has the count.
    CountNeedsCounter,
    /// The cursor was not made by this server for this query.
    InvalidCursor,
    /// The same `Idempotency-Key` came with another request.
    IdempotencyMismatch,
    /// The app file has mistakes.
    InvalidApp,
    /// Applying would drop records.
    WouldDropData,
    /// A previous change of the app is still being carried out.
    AppBusy,
    /// A backup is being made, verified or brought back.
    BackupBusy,
    /// A backup, its folder or its keys cannot be used.
    BackupUnusable,
    /// A named limit of the installation is reached.
    LimitReached,
    /// Too many attempts.
    TooManyRequests,
    /// The client was too slow with its request.
    RequestTimeout,
    /// Not possible for now: no writes are taken, or too many of a kind wait.
    Unavailable,
    /// A defect or damage; the log has the cause.
    Internal,
}

/// A problem with all that the caller is told.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{detail}")]
pub struct Error {
    /// The stable code.
    pub code: Code,
    /// What was wrong, where, and what to do next.
    pub detail: String,
    /// Further members of the problem, by name.
    pub members: serde_json::Map<String, serde_json::Value>,
    /// The cause, for the log and never for the caller.
    pub cause: Option<String>,
    /// Seconds after which it is worth trying again.
    pub retry_after_s: Option<u64>,
}

/// When to try again while the disk does not answer.
const STALLED_RETRY_S: u64 = 10;

/// What a service answers.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A problem with a code and what the caller is told.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            members: serde_json::Map::new(),
            cause: None,
            retry_after_s: None,
        }
    }

    /// Adds a member to the problem.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Serialize) -> Self {
        let value = serde_json::to_value(value).unwrap_or_default();
        self.members.insert(name.into(), value);
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// A defect or damage: the cause goes to the log.
    pub fn internal(cause: impl std::fmt::Display) -> Self {
        let mut error = Self::new(
            Code::Internal,
            "Something failed inside the server; its log has the cause under this request id.",
        );
        error.cause = Some(cause.to_string());
        error
    }

    /// Nothing is there, or nothing that the caller may see.
    pub fn not_found(what: impl std::fmt::Display) -> Self {
        Self::new(Code::NotFound, format!("There is no {what}."))
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::TooLarge(detail) => Self::new(Code::TooLarge, detail),
            StoreError::ReadOnly(reason) => {
                let mut error = Self::new(
                    Code::Unavailable,
                    "The store takes no writes since an earlier one failed; reads go on. Restart the server after mending the disk; /readyz has the reason.",
                );
                error.cause = Some(reason);
                error
            }
            StoreError::Stalled(reason) => {
                let mut error = Self::new(
                    Code::Unavailable,
                    "The disk does not answer: whether this write will be done is not known, so read before repeating it. Reads go on, and writes do as soon as the disk answers; /readyz tells.",
                )
                .retry_after(STALLED_RETRY_S)
                .with("outcome", "unknown");
                error.cause = Some(reason);
                error
            }
            StoreError::Io(reason) => {
                let mut error = Self::new(
                    Code::Unavailable,
                    "The disk failed when something was read for this; try again. The log has the cause under this request id.",
                );
                error.cause = Some(reason);
                error
            }
            StoreError::InDoubt(reason) => {
                let mut error = Self::new(
                    Code::Unavailable,
                    "The disk failed in the middle of this write, which may have been done or not: read before repeating it. The log has the cause under this request id; /readyz tells whether writes are taken.",
                )
                .with("outcome", "unknown");
                error.cause = Some(reason);
                error
            }
            StoreError::Busy => Self::new(
                Code::Unavailable,
                "Too many writes are waiting; try again shortly.",
            )
            .retry_after(1),
            other => Self::internal(other),
        }
    }
}
