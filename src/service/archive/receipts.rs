//! Receipts: what a purge erased, kept when the records are gone. They change in the
//! commits that erase.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use super::Archive;
use crate::{
    base::Instant,
    domain::{EntityName, RecordId},
    service::{Caller, Result, Scope, TenantAccess, scan},
    store::{
        Batch, Order, Scan, StoreError, Tree,
        codec::{self, Stored},
    },
};

/// Receipts of a tenant that are kept, the latest ones: one for each entity and day
/// for ten years, of one entity.
const KEPT: usize = 3_650;

/// What one run erased of one entity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Receipt {
    /// The run.
    pub run: String,
    /// The entity.
    pub entity: String,
    /// The entity whose records these went along with, by its rule; null where they
    /// went by their own.
    pub along_with: Option<String>,
    /// How long after its time a record was to go, as in `7y`.
    pub purge_after: String,
    /// When the run began to erase, RFC 3339.
    pub began_at: String,
    /// When the last of them was erased, RFC 3339.
    pub ended_at: String,
    /// How many records.
    pub records: u64,
    /// Bytes of their keys and stored values.
    pub bytes: u64,
    /// The earliest time of theirs, or of the records that they went along with, RFC 3339.
    pub oldest: String,
    /// The latest.
    pub newest: String,
    /// SHA-256 over the one before and the ids, each ended by a line feed, in the order
    /// in which they were erased; from 64 zeros on.
    pub digest: String,
}

impl Stored for Receipt {
    const KIND: &'static str = "receipt";
    const VERSION: u8 = 2;

    fn migrate(version: u8, body: &[u8]) -> Result<Self, StoreError> {
        match version {
            1 => codec::read::<ReceiptV1>(Self::KIND, body).map(Self::from),
            _ => Err(codec::unknown_version(Self::KIND, version)),
        }
    }
}

/// A receipt before records that went along had their own.
#[derive(Deserialize)]
struct ReceiptV1 {
    run: String,
    entity: String,
    purge_after: String,
    began_at: String,
    ended_at: String,
    records: u64,
    bytes: u64,
    oldest: String,
    newest: String,
    digest: String,
}

impl From<ReceiptV1> for Receipt {
    fn from(old: ReceiptV1) -> Self {
        Self {
            run: old.run,
            entity: old.entity,
            along_with: None,
            purge_after: old.purge_after,
            began_at: old.began_at,
            ended_at: old.ended_at,
            records: old.records,
            bytes: old.bytes,
            oldest: old.oldest,
            newest: old.newest,
            digest: old.digest,
        }
    }
}

impl Receipt {
    /// A receipt over nothing yet.
    pub fn new(
        run: String,
        entity: &EntityName,
        along_with: Option<&EntityName>,
        purge_after: String,
        now: Instant,
    ) -> Self {
        let now = now.to_rfc3339();
        Self {
            run,
            entity: entity.to_string(),
            along_with: along_with.map(EntityName::to_string),
            purge_after,
            began_at: now.clone(),
            ended_at: now,
            records: 0,
            bytes: 0,
            oldest: String::new(),
            newest: String::new(),
            digest: "0".repeat(64),
        }
    }

    /// Adds records that are erased, with their times.
    pub fn add(&mut self, erased: &[(&RecordId, Instant)], bytes: u64, now: Instant) {
        let mut digest = Sha256::new();
        digest.update(&self.digest);
        for (id, at) in erased {
            digest.update(format!("{id}\n"));
            let at = at.to_rfc3339();
            if self.oldest.is_empty() || at < self.oldest {
                self.oldest.clone_from(&at);
            }
            if at > self.newest {
                self.newest = at;
            }
        }
        let digest = digest.finalize();
        self.digest = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        self.records += erased.len() as u64;
        self.bytes += bytes;
        self.ended_at = now.to_rfc3339();
    }
}

impl Archive {
    /// Adds to `batch` that a receipt is kept.
    pub fn keep_receipt(
        &self,
        batch: &mut Batch,
        access: &TenantAccess,
        entity: &EntityName,
        began_at: Instant,
        receipt: &Receipt,
    ) -> Result<()> {
        let key = access.keys.receipt(began_at, entity);
        batch.put(Tree::Hot, key, codec::encode(receipt)?);
        Ok(())
    }

    /// Forgets receipts beyond those that are kept.
    pub async fn trim_receipts(&self, access: &TenantAccess) -> Result<()> {
        scan::keep_latest(&self.core, access.keys.receipts(), KEPT).await
    }

    /// A tenant's receipts, the latest first.
    pub async fn receipts(
        &self,
        caller: &Caller,
        access: &TenantAccess,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Receipt>, Option<String>)> {
        caller.require_scope(access.tenant(), Scope::Read)?;
        let prefix = access.keys.receipts();
        let mut scan = Scan::prefix(Tree::Hot, prefix.clone());
        scan.order = Order::Descending;
        scan.limit = limit;
        scan.after = after.map(|after| [&prefix, after.as_bytes()].concat().into());
        let page = self.core.engine.scan(&scan).await?;
        let receipts = page.rows.iter().map(|(_, row)| codec::decode(row));
        let receipts = receipts.collect::<Result<Vec<Receipt>, StoreError>>()?;
        let next = page.next.map(|key| {
            let rest = &key[prefix.len()..];
            String::from_utf8_lossy(rest).into_owned()
        });
        Ok((receipts, next))
    }
}
