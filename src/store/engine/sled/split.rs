//! Values larger than sled takes without blob files, which it never syncs, are
//! split into pieces.
//!
//! A value is stored with a tag before it: [`INLINE`], or [`SPLIT`] with a write
//! id and a length. The pieces lie in the same tree under
//! `0x00, write id, number`: no key of the contract begins with a zero byte, and
//! a new value never shares pieces with the one before, so that a reader who
//! finds a piece gone starts again from the head and never sees half of two writes.

use ::sled::{Batch, IVec};

use crate::store::engine::{Result, StoreError, Value};

const INLINE: u8 = 0;
const SPLIT: u8 = 1;
/// The first byte of every piece's key, and of no other.
pub const PIECES: u8 = 0;
/// Values above this size are split, so that no value of sled's passes 4 KB.
pub const PIECE_BYTES: usize = 4000;

/// A stored value's head.
pub enum Head {
    /// The whole value.
    Inline(Value),
    /// Where the pieces are.
    Split {
        /// Under which id.
        write_id: u64,
        /// How many bytes in all.
        bytes: usize,
    },
}

/// Reads the head of a stored value.
pub fn head(stored: &IVec) -> Result<Head> {
    match stored.split_first() {
        Some((&INLINE, value)) => Ok(Head::Inline(Value::copy_from_slice(value))),
        Some((&SPLIT, rest)) if rest.len() == 12 => {
            let mut id = [0; 8];
            id.copy_from_slice(&rest[..8]);
            let mut bytes = [0; 4];
            bytes.copy_from_slice(&rest[8..]);
            Ok(Head::Split {
                write_id: u64::from_be_bytes(id),
                bytes: u32::from_be_bytes(bytes) as usize,
            })
        }
        _ => Err(StoreError::Corrupt("a value without a known tag".into())),
    }
}

/// Whether a value of this size is stored whole.
pub fn is_inline(bytes: usize) -> bool {
    bytes <= PIECE_BYTES
}

/// The keys of a split value's pieces.
pub fn piece_keys(write_id: u64, bytes: usize) -> impl Iterator<Item = [u8; 13]> {
    (0..bytes.div_ceil(PIECE_BYTES) as u32).map(move |number| {
        let mut key = [PIECES; 13];
        key[1..9].copy_from_slice(&write_id.to_be_bytes());
        key[9..].copy_from_slice(&number.to_be_bytes());
        key
    })
}

/// The write id in a piece's key.
pub fn write_id_of(piece: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(piece.get(1..9)?.try_into().ok()?))
}

/// Adds the head under `key` and the pieces, if any, to a batch.
pub fn put(batch: &mut Batch, key: &[u8], value: &[u8], next_id: impl FnOnce() -> u64) {
    if is_inline(value.len()) {
        let mut stored = Vec::with_capacity(1 + value.len());
        stored.push(INLINE);
        stored.extend_from_slice(value);
        batch.insert(key, stored);
        return;
    }
    let write_id = next_id();
    for (piece_key, piece) in piece_keys(write_id, value.len()).zip(value.chunks(PIECE_BYTES)) {
        batch.insert(&piece_key, piece);
    }
    let mut stored = Vec::with_capacity(13);
    stored.push(SPLIT);
    stored.extend_from_slice(&write_id.to_be_bytes());
    stored.extend_from_slice(&(value.len() as u32).to_be_bytes());
    batch.insert(key, stored);
}
