//! Password hashes: argon2id in a bounded pool.

use crate::{config, service::Result};

/// Hashes and verifies passwords.
pub struct Passwords {}

impl Passwords {
    /// A pool with the configured parameters.
    pub fn new(_settings: &config::Auth) -> Result<Self> {
        Ok(Self {})
    }
}
