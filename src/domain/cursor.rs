//! Where a page of a list ended, as an opaque text for the client: signed, so
//! that nobody can point it elsewhere, and bound to the query that it belongs to.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::names::{EntityName, TenantSlug};
use super::query::{Access, Direction, ListRequest, Op, Plan};

/// The first byte of a cursor; changed whenever its layout does.
const VERSION: u8 = 1;
const FINGERPRINT_BYTES: usize = 16;
const MAC_BYTES: usize = 16;
/// A cursor's text is never longer: two keys of 1 KiB and the rest, as base64.
const TEXT_BYTES_MAX: usize = 4096;

/// The key that signs cursors.
pub type Secret = [u8; 32];

/// The end of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The last key read, or whatever the list continues from.
    pub after: Vec<u8>,
    /// The query's [`fingerprint`].
    pub fingerprint: [u8; FINGERPRINT_BYTES],
}

/// Why a cursor is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CursorError {
    /// Not one of ours, or changed on its way.
    #[error(
        "the cursor is not one that this server made; take next_cursor as it is, or start without"
    )]
    Invalid,
    /// A cursor of another list.
    #[error(
        "the cursor belongs to another query; keep tenant, entity, filters, order and tier, or start without"
    )]
    OtherQuery,
}

impl Cursor {
    /// The text for the client.
    pub fn to_text(&self, secret: &Secret) -> String {
        let mut bytes = vec![VERSION];
        bytes.extend(self.fingerprint);
        bytes.extend(&self.after);
        let mac = signer(secret).chain_update(&bytes).finalize().into_bytes();
        bytes.extend(&mac[..MAC_BYTES]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a text, checking its signature in constant time.
    pub fn from_text(text: &str, secret: &Secret) -> Result<Self, CursorError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(CursorError::Invalid);
        }
        let bytes = URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| CursorError::Invalid)?;
        let (body, mac) = bytes
            .split_last_chunk::<MAC_BYTES>()
            .ok_or(CursorError::Invalid)?;
        signer(secret)
            .chain_update(body)
            .verify_truncated_left(mac)
            .map_err(|_| CursorError::Invalid)?;
        let rest = body.strip_prefix(&[VERSION]).ok_or(CursorError::Invalid)?;
        let (fingerprint, after) = rest.split_first_chunk().ok_or(CursorError::Invalid)?;
        Ok(Self {
            after: after.to_vec(),
            fingerprint: *fingerprint,
        })
    }

    /// Reads the text of a cursor that has to belong to the query of `fingerprint`,
    /// and answers where to go on.
    pub fn open(
        text: &str,
        secret: &Secret,
        fingerprint: &[u8; FINGERPRINT_BYTES],
    ) -> Result<Vec<u8>, CursorError> {
        let cursor = Self::from_text(text, secret)?;
        if cursor.fingerprint == *fingerprint {
            Ok(cursor.after)
        } else {
            Err(CursorError::OtherQuery)
        }
    }
}

fn signer(secret: &Secret) -> Hmac<Sha256> {
    // HMAC fills a shorter key up with zeros to its block; done here, no length can be wrong.
    let mut block = [0; 64];
    block[..secret.len()].copy_from_slice(secret);
    Hmac::new(&block.into())
}

/// What a cursor is bound to: tenant, entity, filters, order, tier, and the rows
/// that serve them. Not the limit: pages may change their size.
pub fn fingerprint(
    tenant: &TenantSlug,
    entity: &EntityName,
    request: &ListRequest,
    plan: &Plan,
) -> [u8; FINGERPRINT_BYTES] {
    let mut filters: Vec<(&str, Op, &str)> = request
        .filters
        .iter()
        .map(|filter| (&*filter.field, filter.op, &*filter.value))
        .collect();
    filters.sort_unstable();
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    part(tenant.as_str().as_bytes());
    part(entity.as_str().as_bytes());
    for (field, op, value) in filters {
        part(field.as_bytes());
        part(op.name().as_bytes());
        part(value.as_bytes());
    }
    part(request.tier.name().as_bytes());
    part(match plan.direction {
        Direction::Ascending => b"ascending",
        Direction::Descending => b"descending",
    });
    match &plan.access {
        Access::Id { .. } => part(b"id"),
        Access::CreatedAt { .. } => part(b"created_at"),
        Access::Index { index, .. } => {
            part(index.name.as_str().as_bytes());
            part(index.fingerprint().as_bytes());
        }
    }
    let mut short = [0; FINGERPRINT_BYTES];
    short.copy_from_slice(&hash.finalize()[..FINGERPRINT_BYTES]);
    short
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_cursor_comes_back_only_under_its_secret() {
        let cursor = Cursor {
            after: b"acme#ticket#1".to_vec(),
            fingerprint: [7; 16],
        };
        let text = cursor.to_text(&[1; 32]);
        assert_eq!(Cursor::from_text(&text, &[1; 32]).unwrap(), cursor);
        assert_eq!(
            Cursor::from_text(&text, &[2; 32]),
            Err(CursorError::Invalid)
        );
        assert_eq!(
            Cursor::open(&text, &[1; 32], &[7; 16]).unwrap(),
            cursor.after
        );
        assert_eq!(
            Cursor::open(&text, &[1; 32], &[8; 16]),
            Err(CursorError::OtherQuery)
        );
        assert_eq!(Cursor::from_text("", &[1; 32]), Err(CursorError::Invalid));
    }
}
