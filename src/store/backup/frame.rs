//! The stream inside a backup: frames, each with a checksum over everything up to its
//! end, so that none can be changed, left out, doubled or moved unseen.
//!
//! ```text
//! frame      kind (1), length of the body (4), checksum (8), body
//! kind w     writes, one after the other, as in `engine/applied.rs`
//! kind e     the end: the facts of the trailer, as JSON
//! ```
//!
//! Numbers are little endian. The checksum is the first 8 bytes of a SHA-256 that runs on
//! from the file's first line.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::store::engine::{KEY_BYTES_MAX, VALUE_BYTES_MAX, applied::ENTRY_BYTES};

/// A frame of writes is closed when it has reached this.
pub const FRAME_BYTES: usize = 64 << 10;
/// No frame's body is longer: one write may come on top.
pub const FRAME_BYTES_MAX: usize = FRAME_BYTES + KEY_BYTES_MAX + VALUE_BYTES_MAX + ENTRY_BYTES;
/// Kind, length and checksum.
pub const HEAD_BYTES: usize = 1 + 4 + SUM_BYTES;
const SUM_BYTES: usize = 8;

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
