//! How everything stored is turned into bytes and back.
//!
//! The only file that knows bincode (2.0, unmaintained since RUSTSEC-2025-0141,
//! kept because it is small and pinned): replacing it touches nothing else.
//! Every value starts with a version byte. A type that changes raises its
//! [`Stored::VERSION`] and reads its older forms in [`Stored::migrate`], so that
//! a store written by an older release stays readable.

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use super::engine::{Result, StoreError, Value};
use crate::{base::Instant, domain::RecordMeta};

/// A type with a versioned stored form.
pub trait Stored: Serialize + DeserializeOwned {
    /// What it is, for messages about damage.
    const KIND: &'static str;
    /// The version written today; starts at 1.
    const VERSION: u8;

    /// Reads the body of an older version; the newest step of the chain calls
    /// the next older one. The default knows none.
    fn migrate(version: u8, _body: &[u8]) -> Result<Self> {
        Err(unknown_version(Self::KIND, version))
    }
}

/// The problem of a version that this release does not know.
pub fn unknown_version(kind: &str, version: u8) -> StoreError {
    StoreError::Corrupt(format!("a {kind} of the unknown version {version}"))
}

/// What a stored form may claim to hold, so that damaged lengths ask for no memory.
const BYTES_MAX: usize = 4 << 20;

/// Big-endian and of fixed width, so that a header's length is a constant.
fn layout() -> impl bincode::config::Config {
    bincode::config::standard()
        .with_big_endian()
        .with_fixed_int_encoding()
        .with_limit::<BYTES_MAX>()
}

/// The stored form of `value`.
pub fn encode<T: Stored>(value: &T) -> Result<Value> {
    let mut bytes = vec![T::VERSION];
    bincode::serde::encode_into_std_write(value, &mut bytes, layout())
        .map_err(|error| StoreError::Corrupt(format!("a {} cannot be stored: {error}", T::KIND)))?;
    Ok(bytes.into())
}

/// Reads a stored form, also one of an older version.
pub fn decode<T: Stored>(bytes: &[u8]) -> Result<T> {
    match bytes.split_first() {
        Some((&version, body)) if version == T::VERSION => read(T::KIND, body),
        Some((&version, body)) => T::migrate(version, body),
        None => Err(StoreError::Corrupt(format!("an empty {}", T::KIND))),
    }
}

/// Reads the body of one version; for [`Stored::migrate`].
pub fn read<T: DeserializeOwned>(kind: &str, body: &[u8]) -> Result<T> {
    match bincode::serde::decode_from_slice(body, layout()) {
        Ok((value, used)) if used == body.len() => Ok(value),
        Ok(_) => Err(StoreError::Corrupt(format!(
            "a {kind} with bytes behind its end"
        ))),
        Err(error) => Err(StoreError::Corrupt(format!("a {kind}: {error}"))),
    }
}

/// The version byte of a record.
const RECORD_VERSION: u8 = 1;
/// The version byte of a compressed record, which [`super::packed`] reads.
pub(super) const PACKED_VERSION: u8 = 2;
/// The version byte of a record that was restored: it has one number more.
const RESTORED_VERSION: u8 = 3;
/// The version byte and four numbers of 8 bytes.
const RECORD_HEADER_BYTES: usize = 1 + 4 * 8;
/// The same with the end of its time as a restored one.
const RESTORED_HEADER_BYTES: usize = RECORD_HEADER_BYTES + 8;

/// What stands before a record's JSON.
#[derive(Serialize, serde::Deserialize)]
struct RecordHeader {
    version: u64,
    created_at: i64,
    updated_at: i64,
    incarnation: u64,
}

/// A record as stored: the header, then the client's JSON as it is.
pub fn encode_record(meta: &RecordMeta, json: &[u8]) -> Result<Value> {
    let header = RecordHeader {
        version: meta.version,
        created_at: meta.created_at.0,
        updated_at: meta.updated_at.0,
        incarnation: meta.incarnation,
    };
    let mut bytes = Vec::with_capacity(RESTORED_HEADER_BYTES + json.len());
    bytes.push(match meta.restored_until {
        None => RECORD_VERSION,
        Some(_) => RESTORED_VERSION,
    });
    bincode::serde::encode_into_std_write(&header, &mut bytes, layout())
        .map_err(|error| StoreError::Corrupt(format!("a record cannot be stored: {error}")))?;
    debug_assert_eq!(bytes.len(), RECORD_HEADER_BYTES);
    if let Some(until) = meta.restored_until {
        bytes.extend_from_slice(&until.0.to_be_bytes());
    }
    bytes.extend_from_slice(json);
    Ok(bytes.into())
}

/// A stored record's header and JSON; the JSON is a slice of `value`, not a copy.
pub fn decode_record(value: &Value) -> Result<(RecordMeta, Bytes)> {
    let (meta, json) = split_record(value)?;
    Ok((meta, value.slice(value.len() - json.len()..)))
}

/// A stored record's header and JSON, borrowed.
pub fn split_record(value: &[u8]) -> Result<(RecordMeta, &[u8])> {
    let end = header_bytes(value)?;
    let header: RecordHeader = read("record header", &value[1..RECORD_HEADER_BYTES])?;
    let until = value[RECORD_HEADER_BYTES..end].first_chunk();
    let meta = RecordMeta {
        version: header.version,
        created_at: Instant(header.created_at),
        updated_at: Instant(header.updated_at),
        incarnation: header.incarnation,
        restored_until: until.map(|bytes| Instant(i64::from_be_bytes(*bytes))),
    };
    Ok((meta, &value[end..]))
}

/// The bytes that change with every write of a record: what a write expects to
/// find as it was when it read it. All of a packed record, which is small and of which
/// nothing stays over a change.
pub fn record_header(value: &Value) -> Result<Bytes> {
    if value.first() == Some(&PACKED_VERSION) {
        return Ok(value.clone());
    }
    Ok(value.slice(..header_bytes(value)?))
}

/// How long the header is, where the version is ours and some JSON follows it.
fn header_bytes(value: &[u8]) -> Result<usize> {
    let bytes = match value.first() {
        Some(&RECORD_VERSION) => RECORD_HEADER_BYTES,
        Some(&RESTORED_VERSION) => RESTORED_HEADER_BYTES,
        Some(&version) => return Err(unknown_version("record", version)),
        None => return Err(StoreError::Corrupt("an empty record".into())),
    };
    match value.len() > bytes {
        true => Ok(bytes),
        false => Err(StoreError::Corrupt("a record cut short".into())),
    }
}

/// A counter's stored form.
pub fn encode_counter(value: i64) -> Value {
    Bytes::copy_from_slice(&value.to_le_bytes())
}

/// A counter's value: an i64, little endian.
pub fn decode_counter(value: Option<&Value>) -> Result<i64> {
    value.map_or(Ok(0), |bytes| {
        <[u8; 8]>::try_from(&bytes[..])
            .map(i64::from_le_bytes)
            .map_err(|_| StoreError::Corrupt(format!("a counter of {} bytes", bytes.len())))
    })
}
