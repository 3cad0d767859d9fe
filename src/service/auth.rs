//! Who asks: sessions and tokens.

use std::sync::Arc;

use super::{Caller, Core, Result, passwords::Passwords};
use crate::config;

/// The service.
pub struct Auth {
    #[allow(dead_code)]
    core: Core,
    #[allow(dead_code)]
    passwords: Arc<Passwords>,
}

impl Auth {
    /// The service over a store.
    pub fn new(core: Core, _settings: &config::Auth, passwords: Arc<Passwords>) -> Self {
        Self { core, passwords }
    }

    /// Who a bearer token (`tk_...` or `ts_...`) belongs to; an error where it is
    /// not known.
    pub async fn caller_of_token(&self, _token: &str) -> Result<Caller> {
        Err(super::unauthenticated())
    }
}
