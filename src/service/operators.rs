//! Operators: the people who run the installation.

use std::sync::Arc;

use super::{Core, passwords::Passwords};

/// The service.
pub struct Operators {
    #[allow(dead_code)]
    core: Core,
    #[allow(dead_code)]
    passwords: Arc<Passwords>,
}

impl Operators {
    /// The service over a store.
    pub fn new(core: Core, passwords: Arc<Passwords>) -> Self {
        Self { core, passwords }
    }
}
