//! Secrets that we make: random, shown once, kept as a hash.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use super::{Error, Result};
use crate::base::Random;

/// Random bytes of a secret.
const BYTES: usize = 32;

/// A new secret: `prefix` and 32 random bytes in base64url.
pub fn make(random: &Random, prefix: &str) -> Result<String> {
    let mut bytes = [0; BYTES];
    random.fill(&mut bytes).map_err(Error::internal)?;
    Ok(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes)))
}

/// What is stored of a secret: its SHA-256 in hex.
pub fn hash(secret: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |number: u8| char::from(DIGITS[usize::from(number & 15)]);
    let digest = Sha256::digest(secret.as_bytes());
    let digits = digest
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(*byte)]);
    digits.collect()
}
