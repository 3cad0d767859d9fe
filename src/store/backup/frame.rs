//! The stream inside a backup: frames, each with a checksum over everything up to its
//! end, so that none can be changed, left out, doubled or moved unseen.
//!
//! ```text
//! frame      kind (1), length of the body (4), checksum (8), body
//! kind w     writes: tree (1), length of the key (2), of the value (4; all ones: the key
//!            is removed), key, value; one after the other
//! kind e     the end: the facts of the trailer, as JSON
//! ```
//!
//! Numbers are little endian. The checksum is the first 8 bytes of a SHA-256 that runs on
//! from the file's first line.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::store::engine::{Applied, KEY_BYTES_MAX, Key, Tree, VALUE_BYTES_MAX, Value};

/// A frame of writes is closed when it has reached this.
pub const FRAME_BYTES: usize = 1 << 20;
/// No frame's body is longer: one write may come on top.
pub const FRAME_BYTES_MAX: usize = FRAME_BYTES + KEY_BYTES_MAX + VALUE_BYTES_MAX + ENTRY_BYTES;
/// Kind, length and checksum.
pub const HEAD_BYTES: usize = 1 + 4 + SUM_BYTES;
const SUM_BYTES: usize = 8;
const ENTRY_BYTES: usize = 1 + 2 + 4;
/// The length of a value that is none.
const REMOVED: u32 = u32::MAX;

/// What the last frame says of the whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trailer {
    /// The moment that the backup is of, in milliseconds since the Unix epoch: it has
    /// everything that was acknowledged before, and nothing that was begun after.
    pub moment_ms: i64,
    /// The change sequence at that moment.
    pub sequence: u64,
    /// Keys that were read.
    pub keys: u64,
    /// Changes that were made while they were read.
    pub changes: u64,
    /// Bytes of the keys and values of both.
    pub logical_bytes: u64,
}

/// A frame's kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Writes.
    Writes,
    /// The end.
    End,
}

impl Kind {
    fn byte(self) -> u8 {
        match self {
            Self::Writes => b'w',
            Self::End => b'e',
        }
    }
}

/// The checksum that runs through a backup.
#[derive(Clone, Default)]
pub struct Running(Sha256);

impl Running {
    /// Takes in what stands before the frames.
    pub fn preamble(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Takes in a frame and gives what stands before its body.
    pub fn seal(&mut self, kind: Kind, body: &[u8]) -> [u8; HEAD_BYTES] {
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes();
        let mut head = [0; HEAD_BYTES];
        head[0] = kind.byte();
        head[1..5].copy_from_slice(&length);
        let sum = self.sum(head[0], length, body);
        head[5..].copy_from_slice(&sum);
        head
    }

    fn sum(&mut self, kind: u8, length: [u8; 4], body: &[u8]) -> [u8; SUM_BYTES] {
        self.0.update([kind]);
        self.0.update(length);
        self.0.update(body);
        let mut sum = [0; SUM_BYTES];
        sum.copy_from_slice(&self.0.clone().finalize()[..SUM_BYTES]);
        sum
    }

    /// Takes in a frame that was read; its kind where the checksum is right.
    pub fn check(&mut self, head: &[u8; HEAD_BYTES], body: &[u8]) -> Result<Kind, &'static str> {
        let length = [head[1], head[2], head[3], head[4]];
        if self.sum(head[0], length, body) != head[5..] {
            return Err("its checksum is wrong");
        }
        match head[0] {
            b'w' => Ok(Kind::Writes),
            b'e' => Ok(Kind::End),
            _ => Err("its kind is unknown"),
        }
    }
}

/// The length of the body that follows a head.
pub fn body_bytes(head: &[u8; HEAD_BYTES]) -> Result<usize, &'static str> {
    let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
    match length <= FRAME_BYTES_MAX {
        true => Ok(length),
        false => Err("it claims to be longer than a frame can be"),
    }
}

/// Appends a write to a frame's body.
pub fn push(body: &mut Vec<u8>, tree: Tree, key: &[u8], value: Option<&[u8]>) {
    body.push(match tree {
        Tree::Hot => 0,
        Tree::Archive => 1,
    });
    // Both were taken by a commit, which knows no longer ones.
    let key_bytes = u16::try_from(key.len()).unwrap_or(u16::MAX);
    let value_bytes = value.map_or(REMOVED, |v| u32::try_from(v.len()).unwrap_or(REMOVED));
    body.extend_from_slice(&key_bytes.to_le_bytes());
    body.extend_from_slice(&value_bytes.to_le_bytes());
    body.extend_from_slice(key);
    body.extend_from_slice(value.unwrap_or_default());
}

/// The writes in a frame's body.
pub fn writes(body: Bytes) -> Result<Vec<Applied>, &'static str> {
    let (mut rest, mut all) = (body, Vec::new());
    while !rest.is_empty() {
        all.push(next(&mut rest).ok_or("a write in it is cut short or too long")?);
    }
    Ok(all)
}

fn next(rest: &mut Bytes) -> Option<Applied> {
    if rest.len() < ENTRY_BYTES {
        return None;
    }
    let head = rest.split_to(ENTRY_BYTES);
    let tree = match head[0] {
        0 => Tree::Hot,
        1 => Tree::Archive,
        _ => return None,
    };
    let key_bytes = usize::from(u16::from_le_bytes([head[1], head[2]]));
    let value_bytes = match u32::from_le_bytes([head[3], head[4], head[5], head[6]]) {
        REMOVED => None,
        bytes => Some(bytes as usize),
    };
    let long = key_bytes > KEY_BYTES_MAX || value_bytes.is_some_and(|v| v > VALUE_BYTES_MAX);
    if key_bytes == 0 || long || rest.len() < key_bytes + value_bytes.unwrap_or(0) {
        return None;
    }
    let key: Key = rest.split_to(key_bytes);
    let value: Option<Value> = value_bytes.map(|bytes| rest.split_to(bytes));
    Some(Applied {
        tree,
        key,
        value,
        replaced_bytes: None,
    })
}
