//! Records: read, written and listed within one tenant.

mod render;
pub mod rows;

use bytes::Bytes;
pub use render::Record;

use super::{Core, Error, Result, TenantAccess, apps::Apps};
use crate::domain::{EntityName, RecordId, query::ListRequest, record::EtagMatch};

/// The service.
pub struct Records {
    core: Core,
    apps: std::sync::Arc<Apps>,
}

impl Records {
    /// The service over a store.
    pub fn new(core: Core, apps: std::sync::Arc<Apps>) -> Self {
        Self { core, apps }
    }

    /// A record, wherever it lives.
    pub async fn get(&self, access: &TenantAccess, entity: &str, id: &str) -> Result<Record> {
        let _ = (access, entity, id);
        Err(Error::internal("not written yet"))
    }

    /// Carries out operations, all or none, and remembers the answer under an
    /// `Idempotency-Key`. The flag tells that the answer is a remembered one.
    pub async fn write(
        &self,
        access: &TenantAccess,
        operations: &[Operation],
        idempotency: Option<Idempotency>,
        reply: &(dyn Fn(&[Outcome]) -> Reply + Send + Sync),
    ) -> Result<(Reply, bool)> {
        let _ = (access, operations, idempotency, reply);
        Err(Error::internal("not written yet"))
    }

    /// Carries out operations, all or none, without an `Idempotency-Key`. The
    /// error of one that fails has the member `operation`, its number from 0.
    pub async fn apply(
        &self,
        access: &TenantAccess,
        operations: &[Operation],
    ) -> Result<Vec<Outcome>> {
        let _ = (access, operations);
        Err(Error::internal("not written yet"))
    }

    /// A page of records as the whole JSON body of the answer.
    pub async fn list(
        &self,
        access: &TenantAccess,
        entity: &str,
        request: &ListRequest,
    ) -> Result<Bytes> {
        let _ = (access, entity, request);
        Err(Error::internal("not written yet"))
    }
}

/// What to do with one record.
#[derive(Debug, Clone)]
pub struct Operation {
    /// The record's entity, as the client named it.
    pub entity: String,
    /// What to do.
    pub action: Action,
    /// The record's data, or the merge patch; empty for a deletion.
    pub body: Bytes,
    /// `If-Match`, or `if_match` of a batch.
    pub if_match: Option<EtagMatch>,
    /// `If-None-Match`.
    pub if_none_match: Option<EtagMatch>,
}

/// The kinds of operations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Makes a record; under an id made here where none is given.
    Create {
        /// The id the client chose.
        id: Option<String>,
    },
    /// Makes or replaces a record.
    Put {
        /// The record's id.
        id: String,
    },
    /// Merges a patch (RFC 7396) into a record.
    Patch {
        /// The record's id.
        id: String,
    },
    /// Removes a record.
    Delete {
        /// The record's id.
        id: String,
    },
    /// Makes or replaces a record unless it has this data already.
    Import {
        /// The record's id; made here where none is given.
        id: Option<String>,
        /// Version and times of an export, for a record that is not there yet.
        restored: Option<crate::domain::RecordMeta>,
    },
}

/// What became of one operation.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What was done.
    pub kind: OutcomeKind,
    /// The record's entity.
    pub entity: EntityName,
    /// The record's id.
    pub id: RecordId,
    /// The record as it is now; `None` where it was deleted.
    pub record: Option<Record>,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutcomeKind {
    /// The record is new.
    Created,
    /// The record was there.
    Updated,
    /// The record had this data already; nothing was written.
    Unchanged,
    /// The record is gone.
    Deleted,
}

/// An answer, as it is remembered under an `Idempotency-Key`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// `ETag`.
    pub etag: Option<String>,
    /// `Location`.
    pub location: Option<String>,
    /// The body, JSON or empty.
    pub body: Vec<u8>,
}

/// A request with an `Idempotency-Key`.
#[derive(Debug, Clone)]
pub struct Idempotency {
    /// The client's key.
    pub key: String,
    /// Method and path.
    pub route: String,
    /// SHA-256 of the body and of the conditions.
    pub request_hash: [u8; 32],
}
