//! Records: read, written and listed within one tenant.
//!
//! `write.rs` drives one write until it is committed or refused, `stage.rs` turns
//! operations into one batch, `rows.rs` knows the index rows of a record,
//! `list.rs` answers a query from one range of rows that `candidates.rs` reads and
//! whose records `listed.rs` finds.

mod candidates;
mod conditions;
mod cursor_secret;
mod document;
mod idempotency;
mod list;
mod listed;
mod page;
mod read;
mod render;
pub mod rows;
mod stage;
mod targets;
mod uniques;
mod values;
mod write;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use bytes::Bytes;
pub(in crate::service) use idempotency::expiry_of;
#[cfg(test)]
pub(in crate::service) use idempotency::stored_until;
pub(in crate::service) use read::stored;
pub use render::{Record, RecordRef};
use tokio::sync::OnceCell;

use super::{Core, apps::Apps};
use crate::{
    base::Instant,
    domain::{EntityName, RecordId, RecordMeta, cursor::Secret, record::EtagMatch},
    store::Tree,
};

/// The service.
pub struct Records {
    core: Core,
    apps: Arc<Apps>,
    /// Signs cursors; read from the store, or made there, when first needed.
    cursor_secret: OnceCell<Secret>,
    /// Writes that lost a race wait here for their turn, by what they raced for.
    turns: Vec<tokio::sync::Mutex<()>>,
    /// Records that moved or were purged since the start.
    pub moved: Moved,
}

/// Records that moved between the tiers, or were purged, since the start.
#[derive(Debug, Default)]
pub struct Moved {
    /// Into the archive.
    pub archived: AtomicU64,
    /// Back from it.
    pub restored: AtomicU64,
    /// Erased when their time was over.
    pub purged: AtomicU64,
}

impl Moved {
    fn count(&self, outcomes: &[Outcome]) {
        for outcome in outcomes {
            let counter = match outcome.kind {
                OutcomeKind::Archived => &self.archived,
                OutcomeKind::Restored => &self.restored,
                OutcomeKind::Purged => &self.purged,
                _ => continue,
            };
            counter.fetch_add(1, Relaxed);
        }
    }
}

impl Records {
    /// The service over a store.
    pub fn new(core: Core, apps: Arc<Apps>) -> Self {
        Self {
            core,
            apps,
            cursor_secret: OnceCell::new(),
            turns: (0..write::TURNS)
                .map(|_| tokio::sync::Mutex::default())
                .collect(),
            moved: Moved::default(),
        }
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

impl Operation {
    /// An operation without data or conditions.
    pub fn of(entity: &str, action: Action) -> Self {
        Self {
            entity: entity.into(),
            action,
            body: Bytes::new(),
            if_match: None,
            if_none_match: None,
        }
    }
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
        restored: Option<RecordMeta>,
        /// The tier it had there.
        tier: Tree,
    },
    /// Moves a record into the archive; nothing where it is there already.
    Archive {
        /// The record's id.
        id: String,
        /// What has to hold of it; else nothing is done.
        only: Only,
    },
    /// Moves a record back; nothing where it is hot already.
    Restore {
        /// The record's id.
        id: String,
        /// What has to hold of it; else nothing is done.
        only: Only,
    },
    /// Removes a record that is in the archive; nothing where it is not.
    Purge {
        /// The record's id.
        id: String,
        /// By its entity's rule its time has to be before this.
        before: Option<Instant>,
        /// The record that it goes along with (entity and id) has to be in the archive.
        along: Option<(EntityName, RecordId)>,
    },
}

/// What has to hold of a record for it to be moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Only {
    /// Nothing; that it is not there is an error.
    Anyhow,
    /// That it is there.
    IfThere,
    /// Its rule's condition, and its time is before this. A record whose time as a
    /// restored one is over and which is not due otherwise counts as restored no more.
    Due(Instant),
    /// It is at this version.
    Version(u64),
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
    /// The record is in the archive now.
    Archived,
    /// The record is hot again.
    Restored,
    /// The record's time in the archive was over; it is gone.
    Purged,
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
