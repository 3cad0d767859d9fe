//! What one can do, with permission checks. A service is given access to one
//! tenant ([`TenantAccess`]), or a [`Caller`] that it checks itself.

mod caller;
mod error;

pub mod apps;
pub mod archive;
pub mod auth;
pub mod backups;
pub mod check;
pub mod counts;
pub mod dictionaries;
pub mod expiry;
pub mod holds;
pub mod keys;
pub mod limiter;
pub mod operators;
pub mod passwords;
pub mod records;
pub mod report_csv;
pub mod runs;
mod scan;
mod secret;
pub mod sizes;
pub mod stats;
pub mod tenants;
#[cfg(test)]
mod testing;
#[cfg(test)]
pub(crate) mod testing_data;
pub mod transfer;

use std::sync::Arc;

pub use caller::{Caller, Scope, TenantAccess, unauthenticated};
pub use error::{Code, Error, Result};

use crate::{
    base::{Clock, Random},
    config::Limits,
    store::Engine,
};

/// What every service works with.
#[derive(Clone)]
pub struct Core {
    /// The store.
    pub engine: Arc<dyn Engine>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Ids, stamps and secrets.
    pub random: Arc<Random>,
    /// The installation's limits.
    pub limits: Arc<Limits>,
    /// What archived records are packed with.
    pub dictionaries: Arc<dictionaries::Dictionaries>,
}
