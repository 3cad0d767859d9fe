//! Whether the store is whole.

use std::sync::Arc;

use super::{Core, apps::Apps};
use crate::store::Maintenance;

/// The service.
#[allow(dead_code)]
pub struct Check {
    core: Core,
    apps: Arc<Apps>,
    maintenance: Arc<dyn Maintenance>,
}

impl Check {
    /// The service over a store.
    pub fn new(core: Core, apps: Arc<Apps>, maintenance: Arc<dyn Maintenance>) -> Self {
        Self {
            core,
            apps,
            maintenance,
        }
    }
}
