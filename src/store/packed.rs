//! Archived records, compressed one by one.
//!
//! ```text
//! version byte, version, created_at, updated_at - created_at, incarnation,
//! length of the JSON, how it is packed (and with which dictionary), the packed JSON
//! ```
//!
//! Numbers are of variable length (LEB128), signed ones by zigzag. The JSON is a
//! Zstandard frame without magic number, checksum, content size and dictionary id,
//! all of which stand in the header or are known: of a small record they would be a
//! tenth.

use std::sync::{Mutex, PoisonError};

use sha2::{Digest as _, Sha256};
use zstd::{
    bulk::{Compressor, Decompressor},
    zstd_safe::{CParameter, DParameter, FrameFormat},
};

use super::{
    codec::{self, PACKED_VERSION},
    engine::{Result, StoreError, VALUE_BYTES_MAX, Value},
};
use crate::{base::Instant, domain::RecordMeta};

/// The level of compression: beyond it little is gained, and much time lost.
const LEVEL: i32 = 12;
/// Prepared contexts that a dictionary keeps for the next use.
const KEPT: usize = 2;

/// How a record's JSON is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Packing {
    /// As it is: it would not become smaller.
    Plain,
    /// Without a dictionary.
    Alone,
    /// With a dictionary made from the entity's schema.
    Shared(u32),
    /// With a dictionary trained on the tenant's own records.
    Own(u32),
}

/// A packed record, read but not unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed<'a> {
    /// Its version and times.
    pub meta: RecordMeta,
    /// The length of its JSON.
    pub json_bytes: usize,
    /// How it is packed.
    pub packing: Packing,
    packed: &'a [u8],
}

/// A dictionary, ready to be used. Its id is the beginning of the SHA-256 of its bytes,
/// so what is compressed with it can only be read with it.
pub struct Dictionary {
    id: u32,
    bytes: Vec<u8>,
    compressors: Mutex<Vec<Compressor<'static>>>,
    decompressors: Mutex<Vec<Decompressor<'static>>>,
}

impl Dictionary {
    /// A dictionary of these bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        let digest = Sha256::digest(&bytes);
        let id = digest.iter().take(4);
        Self {
            id: id.fold(0, |id, byte| id << 8 | u32::from(*byte)),
            bytes,
            compressors: Mutex::default(),
            decompressors: Mutex::default(),
        }
    }

    /// Trains one of at most `bytes_max` bytes on samples; `None` where they are too few
    /// or too much alike.
    pub fn train(samples: &[impl AsRef<[u8]>], bytes_max: usize) -> Option<Self> {
        let trained = zstd::dict::from_samples(samples, bytes_max).ok()?;
        (!trained.is_empty()).then(|| Self::new(trained))
    }

    /// Its id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn compress(&self, json: &[u8]) -> Result<Vec<u8>> {
        let kept = take(&self.compressors);
        let mut compressor = match kept {
            Some(kept) => kept,
            None => compressor(&self.bytes)?,
        };
        let packed = compressor.compress(json).map_err(damaged)?;
        keep(&self.compressors, compressor);
        Ok(packed)
    }

    fn decompress(&self, packed: &[u8], json_bytes: usize) -> Result<Vec<u8>> {
        let kept = take(&self.decompressors);
        let mut decompressor = match kept {
            Some(kept) => kept,
            None => decompressor(&self.bytes)?,
        };
        let json = decompressor
            .decompress(packed, json_bytes)
            .map_err(damaged)?;
        keep(&self.decompressors, decompressor);
        Ok(json)
    }
}

fn take<T>(kept: &Mutex<Vec<T>>) -> Option<T> {
    kept.lock().unwrap_or_else(PoisonError::into_inner).pop()
}

fn keep<T>(kept: &Mutex<Vec<T>>, one: T) {
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.len() < KEPT {
        kept.push(one);
    }
}

fn damaged(error: std::io::Error) -> StoreError {
    StoreError::Corrupt(format!("a packed record: {error}"))
}

fn compressor(dictionary: &[u8]) -> Result<Compressor<'static>> {
    let mut compressor = Compressor::with_dictionary(LEVEL, dictionary).map_err(damaged)?;
    for parameter in [
        CParameter::Format(FrameFormat::Magicless),
        CParameter::ContentSizeFlag(false),
        CParameter::ChecksumFlag(false),
        CParameter::DictIdFlag(false),
    ] {
        compressor.set_parameter(parameter).map_err(damaged)?;
    }
    Ok(compressor)
}

fn decompressor(dictionary: &[u8]) -> Result<Decompressor<'static>> {
    let mut decompressor = Decompressor::with_dictionary(dictionary).map_err(damaged)?;
    let magicless = DParameter::Format(FrameFormat::Magicless);
    decompressor.set_parameter(magicless).map_err(damaged)?;
    Ok(decompressor)
}

/// Whether a stored record is packed.
pub fn is_packed(value: &[u8]) -> bool {
    value.first() == Some(&PACKED_VERSION)
}

/// The packed form of a record. A dictionary comes with what it is.
pub fn pack(
    meta: &RecordMeta,
    json: &[u8],
    dictionary: Option<(&Dictionary, Packing)>,
) -> Result<Value> {
    let (packed, packing) = match dictionary {
        Some((dictionary, packing)) => (dictionary.compress(json)?, packing),
        None => {
            let packed = compressor(&[])?.compress(json).map_err(damaged)?;
            (packed, Packing::Alone)
        }
    };
    let (packed, packing) = match packed.len() < json.len() {
        true => (&packed[..], packing),
        false => (json, Packing::Plain),
    };
    let mut out = Vec::with_capacity(packed.len() + 40);
    out.push(PACKED_VERSION);
    write_number(meta.version, &mut out);
    write_signed(meta.created_at.0, &mut out);
    let age = meta.updated_at.0.wrapping_sub(meta.created_at.0);
    write_signed(age, &mut out);
    out.extend_from_slice(&meta.incarnation.to_be_bytes());
    write_number(json.len() as u64, &mut out);
    let (kind, id) = match packing {
        Packing::Plain => (0, None),
        Packing::Alone => (1, None),
        Packing::Shared(id) => (2, Some(id)),
        Packing::Own(id) => (3, Some(id)),
    };
    out.push(kind);
    out.extend(id.iter().flat_map(|id| id.to_be_bytes()));
    out.extend_from_slice(packed);
    Ok(out.into())
}

/// Reads the head of a packed record.
pub fn read(value: &[u8]) -> Result<Packed<'_>> {
    let mut rest = value;
    let read = || -> Option<Packed<'_>> {
        (take_byte(&mut rest)? == PACKED_VERSION).then_some(())?;
        let version = take_number(&mut rest)?;
        let created_at = take_signed(&mut rest)?;
        let age = take_signed(&mut rest)?;
        let incarnation = u64::from_be_bytes(take_chunk(&mut rest)?);
        let json_bytes = usize::try_from(take_number(&mut rest)?).ok()?;
        let packing = match take_byte(&mut rest)? {
            0 => Packing::Plain,
            1 => Packing::Alone,
            2 => Packing::Shared(u32::from_be_bytes(take_chunk(&mut rest)?)),
            3 => Packing::Own(u32::from_be_bytes(take_chunk(&mut rest)?)),
            _ => return None,
        };
        // No JSON is empty.
        let sound = !rest.is_empty() && (1..=VALUE_BYTES_MAX).contains(&json_bytes);
        sound.then_some(Packed {
            meta: RecordMeta {
                version,
                created_at: Instant(created_at),
                updated_at: Instant(created_at.wrapping_add(age)),
                incarnation,
                restored_until: None,
            },
            json_bytes,
            packing,
            packed: rest,
        })
    }();
    read.ok_or_else(|| StoreError::Corrupt("a packed record cut short or garbled".into()))
}

impl Packed<'_> {
    /// The record as a hot one is stored. The dictionary is the one that `packing`
    /// names.
    pub fn unpack(&self, dictionary: Option<&Dictionary>) -> Result<Value> {
        let json = match (self.packing, dictionary) {
            (Packing::Plain, _) => self.packed.to_vec(),
            (Packing::Alone, _) => decompressor(&[])?
                .decompress(self.packed, self.json_bytes)
                .map_err(damaged)?,
            (_, Some(dictionary)) => dictionary.decompress(self.packed, self.json_bytes)?,
            (packing, None) => {
                return Err(StoreError::Corrupt(format!(
                    "a packed record without its dictionary: {packing:?}"
                )));
            }
        };
        if json.len() != self.json_bytes {
            return Err(StoreError::Corrupt(format!(
                "a packed record of {} bytes instead of {}",
                json.len(),
                self.json_bytes
            )));
        }
        codec::encode_record(&self.meta, &json)
    }
}

fn write_number(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn write_signed(number: i64, out: &mut Vec<u8>) {
    write_number((number << 1 ^ number >> 63) as u64, out);
}

fn take_byte(rest: &mut &[u8]) -> Option<u8> {
    let (byte, after) = rest.split_first()?;
    *rest = after;
    Some(*byte)
}

fn take_chunk<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (chunk, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*chunk)
}

fn take_number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = take_byte(rest)?;
        let bits = u64::from(byte & 0x7f);
        // The tenth byte has one bit left.
        (shift < 63 || bits <= 1).then_some(())?;
        number |= bits << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn take_signed(rest: &mut &[u8]) -> Option<i64> {
    let number = take_number(rest)?;
    Some((number >> 1) as i64 ^ -((number & 1) as i64))
}
