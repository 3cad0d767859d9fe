//! Writes as they are handed to an embedded engine, and as bytes.
//!
//! ```text
//! write      tree (1), length of the key (2), of the value (4; all ones: the key is
//!            removed), key, value
//! ```
//!
//! Numbers are little endian.

use bytes::Bytes;

use super::{KEY_BYTES_MAX, Key, Tree, VALUE_BYTES_MAX, Value};

/// What stands before a key and its value.
pub const ENTRY_BYTES: usize = 1 + 2 + 4;
/// The length of a value that is none.
const REMOVED: u32 = u32::MAX;

/// One key's new state, as the committer hands it to an embedded engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The key's tree.
    pub tree: Tree,
    /// The key.
    pub key: Key,
    /// The new value; `None` removes the key.
    pub value: Option<Value>,
    /// Bytes of the value that is replaced, 0 where there is none; `None` where
    /// that is not known.
    pub replaced_bytes: Option<usize>,
}

/// Appends a write to `bytes`.
pub fn pack(bytes: &mut Vec<u8>, tree: Tree, key: &[u8], value: Option<&[u8]>) {
    bytes.push(match tree {
        Tree::Hot => 0,
        Tree::Archive => 1,
    });
    // Both were taken by a commit, which knows no longer ones.
    let key_bytes = u16::try_from(key.len()).unwrap_or(u16::MAX);
    let value_bytes = value.map_or(REMOVED, |v| u32::try_from(v.len()).unwrap_or(REMOVED));
    bytes.extend_from_slice(&key_bytes.to_le_bytes());
    bytes.extend_from_slice(&value_bytes.to_le_bytes());
    bytes.extend_from_slice(key);
    bytes.extend_from_slice(value.unwrap_or_default());
}

/// The writes that were appended to `bytes`.
pub fn unpack(bytes: Bytes) -> Result<Vec<Applied>, &'static str> {
    let (mut rest, mut all) = (bytes, Vec::new());
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
