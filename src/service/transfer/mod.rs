//! Records in bulk: import and export, streamed both ways.

use std::sync::Arc;

use super::{Core, apps::Apps, records::Records, tenants::Tenants};

/// The service.
#[allow(dead_code)]
pub struct Transfer {
    core: Core,
    apps: Arc<Apps>,
    records: Arc<Records>,
    tenants: Arc<Tenants>,
}

impl Transfer {
    /// The service over a store.
    pub fn new(core: Core, apps: Arc<Apps>, records: Arc<Records>, tenants: Arc<Tenants>) -> Self {
        Self {
            core,
            apps,
            records,
            tenants,
        }
    }
}
