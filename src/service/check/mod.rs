//! Whether the store is whole: everything in both trees is read, page by page.
//!
//! `walk.rs` goes through all keys and names what belongs nowhere, `system.rs`
//! reads the system's own rows. `family.rs` then takes each tenant's entities one by one:
//! every record decoded and its index rows looked up, every index row traced back
//! to its record (`index.rs`), every counter against a recount (`counters.rs`).
//!
//! A check runs beside the server's writes. What looks wrong is looked at again
//! (`verdict.rs`) between two moments in which nothing of that tenant's entity was
//! written, and only then reported, or repaired.

mod counters;
mod family;
mod held;
mod index;
mod pages;
mod report;
mod system;
#[cfg(test)]
mod tests;
mod verdict;
mod walk;

use std::sync::Arc;

pub use report::{CheckReport, Kind, Problem};

use super::{Caller, Core, Error, Result, apps::Apps, tenants};
use crate::store::{Maintenance, keys::TenantKeys};

/// How often a place that is being written to is looked at again.
const TRIES_MAX: u32 = 40;
/// The pause before it is looked at again.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(5);

/// The service.
pub struct Check {
    core: Core,
    apps: Arc<Apps>,
    maintenance: Arc<dyn Maintenance>,
}

/// What to check besides the store's own order.
#[derive(Debug, Clone, Copy, Default)]
pub struct CheckOptions {
    /// Rebuild index rows and counters from the records where they are wrong.
    pub repair: bool,
    /// List records that no longer fit their entity's schema, too.
    pub schema: bool,
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

    /// Reads everything and tells what is wrong. For operators.
    pub async fn run(&self, caller: &Caller, options: CheckOptions) -> Result<CheckReport> {
        caller.require_operator()?;
        let mut run = Run {
            core: &self.core,
            apps: &self.apps,
            options,
            report: CheckReport::default(),
        };
        run.engine(self.maintenance.clone()).await?;
        run.walk().await?;
        run.tenants_counted().await?;
        let mut after: Option<String> = None;
        while let Some(slug) = tenants::next_slug(&self.core, after.as_deref()).await? {
            run.tenant(&TenantKeys::new(&slug)).await?;
            after = Some(slug.to_string());
        }
        Ok(run.report)
    }
}

/// A check under way.
struct Run<'a> {
    core: &'a Core,
    apps: &'a Apps,
    options: CheckOptions,
    report: CheckReport,
}

impl Run<'_> {
    /// What the engine says of itself.
    async fn engine(&mut self, maintenance: Arc<dyn Maintenance>) -> Result<()> {
        let found = tokio::task::spawn_blocking(move || maintenance.verify())
            .await
            .map_err(Error::internal)??;
        for detail in found {
            self.report.add(Kind::Engine, b"", detail);
        }
        Ok(())
    }

    async fn tenant(&mut self, keys: &TenantKeys) -> Result<()> {
        let state = self.apps.refresh().await?;
        for entity in state.file.entities.values() {
            self.family(&state, keys, entity).await?;
        }
        self.holds_counted(keys).await
    }
}

/// Whether nothing was written between two looks at a generation. Where the
/// engine cannot tell, it is believed.
fn quiet(before: Option<u64>, after: Option<u64>) -> bool {
    match (before, after) {
        (Some(before), Some(after)) => before == after && before % 2 == 0,
        _ => true,
    }
}
