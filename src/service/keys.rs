//! API keys: a tenant's secrets for programs.

use super::Core;

/// The service.
pub struct Keys {
    #[allow(dead_code)]
    core: Core,
}

impl Keys {
    /// The service over a store.
    pub fn new(core: Core) -> Self {
        Self { core }
    }
}
