//! Answers remembered under an `Idempotency-Key`, in the commit of the write
//! itself, for the tenant, the credential and the route that it came by.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Idempotency, Reply};
use crate::{
    base::Instant,
    service::{Code, Core, Error, Result, TenantAccess},
    store::{
        Batch, Condition, Key, StoreError, Tree, VALUE_BYTES_MAX, Value,
        codec::{self, Stored},
        keys,
    },
};

/// What is stored under an idempotency row.
#[derive(Serialize, Deserialize)]
struct Remembered {
    request_hash: [u8; 32],
    expires_at: i64,
    reply: Reply,
}

impl Stored for Remembered {
    const KIND: &'static str = "remembered answer";
    const VERSION: u8 = 1;
}

/// What the store knows of a request's key.
pub(super) enum Known {
    /// The answer that it got before.
    Answered(Reply),
    /// Nothing that still counts.
    Nothing(Place),
    /// An answer that was swept while it was read.
    Gone,
}

/// Where the answer is to be remembered.
pub(super) struct Place {
    key: Key,
    /// An answer that expired and was not swept yet, and when.
    expired: Option<(Value, Instant)>,
}

/// Looks a request's key up.
pub(super) async fn look_up(
    core: &Core,
    access: &TenantAccess,
    request: &Idempotency,
) -> Result<Known> {
    let mut hash = Sha256::new();
    for part in [&access.caller.credential(), &request.route, &request.key] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let name: String = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
    let key = access.keys.idempotency(&name);
    let Some(stored) = core.engine.get(Tree::Hot, &key).await? else {
        return Ok(Known::Nothing(Place { key, expired: None }));
    };
    let remembered: Remembered = codec::decode(&stored)?;
    if remembered.expires_at <= core.clock.now().0 {
        let expired = Some((stored, Instant(remembered.expires_at)));
        return Ok(Known::Nothing(Place { key, expired }));
    }
    if remembered.request_hash != request.request_hash {
        return Err(Error::new(
            Code::IdempotencyMismatch,
            "This Idempotency-Key was used for another request to this route; send a new key with a new request.",
        ));
    }
    if !is_on_disk(core, key, stored).await? {
        return Ok(Known::Gone);
    }
    Ok(Known::Answered(remembered.reply))
}

/// Whether a row that was read is there when all that was written before is on the disk:
/// one that is on its way there may be lost with the power, and its answer was not given
/// to anybody yet.
async fn is_on_disk(core: &Core, key: Key, row: Value) -> Result<bool> {
    let mut batch = Batch::default();
    batch.expect(Tree::Hot, key, Condition::Value(row));
    match core.engine.commit(batch).await {
        Ok(()) => Ok(true),
        Err(StoreError::Conflict { .. }) => Ok(false),
        Err(other) => Err(other.into()),
    }
}

/// The expiry row beside a remembered answer, for whoever removes the answer.
pub(in crate::service) fn expiry_of(key: &Key, row: &Value) -> Result<Key> {
    let remembered: Remembered = codec::decode(row)?;
    Ok(keys::expiry(Instant(remembered.expires_at), key))
}

/// A remembered answer as it is stored, for tests of what becomes of it.
#[cfg(test)]
pub(in crate::service) fn stored_until(expires_at: Instant) -> Result<Value> {
    let reply = Reply {
        status: 201,
        etag: None,
        location: None,
        body: Vec::new(),
    };
    Ok(codec::encode(&Remembered {
        request_hash: [0; 32],
        expires_at: expires_at.0,
        reply,
    })?)
}

impl Place {
    /// Adds to `batch` that `reply` is remembered, unless somebody else was
    /// faster; answers the expectation's position.
    pub(super) fn remember(
        &self,
        core: &Core,
        batch: &mut Batch,
        request: &Idempotency,
        reply: &Reply,
    ) -> Result<usize> {
        let hours = i64::try_from(core.limits.idempotency_hours).unwrap_or(i64::MAX / 3_600_000);
        let expires_at = Instant(
            core.clock
                .now()
                .0
                .saturating_add(hours.saturating_mul(3_600_000)),
        );
        let value = codec::encode(&Remembered {
            request_hash: request.request_hash,
            expires_at: expires_at.0,
            reply: reply.clone(),
        })?;
        if value.len() > VALUE_BYTES_MAX {
            return Err(Error::new(
                Code::TooLarge,
                format!(
                    "The answer would have {} bytes; up to {VALUE_BYTES_MAX} can be remembered under an Idempotency-Key. Send fewer operations, or none with a key.",
                    value.len()
                ),
            ));
        }
        let condition = match &self.expired {
            Some((value, at)) => {
                // The sweeper would take the new answer for the old one.
                batch.delete(Tree::Hot, keys::expiry(*at, &self.key));
                Condition::Value(value.clone())
            }
            None => Condition::Absent,
        };
        let expectation = batch.expect(Tree::Hot, self.key.clone(), condition);
        batch.put(Tree::Hot, self.key.clone(), value);
        batch.put(Tree::Hot, keys::expiry(expires_at, &self.key), Value::new());
        Ok(expectation)
    }
}
