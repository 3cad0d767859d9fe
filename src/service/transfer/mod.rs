//! Records in bulk: import and export, streamed both ways.

mod columns;
mod decode;
mod export;
mod flight;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod import;
mod row;
mod rows;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use import::{ImportReport, Importer, RowError};

use super::{
    Caller, Code, Core, Error, Result, Scope, apps::Apps, records::Records, tenants::Tenants,
};

/// The service.
pub struct Transfer {
    core: Core,
    apps: Arc<Apps>,
    records: Arc<Records>,
    tenants: Arc<Tenants>,
}

/// What rows are written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One JSON object a line.
    #[default]
    Ndjson,
    /// Comma-separated, with a header.
    Csv,
}

/// Where rows go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// All to one tenant.
    Tenant(String),
    /// Each to the tenant that it names in a field.
    Field {
        /// The field.
        field: String,
        /// The tenant of rows that name none.
        default: Option<String>,
        /// Whether missing tenants are made.
        create: bool,
    },
}

/// What an import is asked to do.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// Where rows go.
    pub into: Target,
    /// The entity of rows that do not name their own.
    pub entity: String,
    /// What rows are written as.
    pub format: Format,
    /// `Content-Encoding`.
    pub encoding: Option<String>,
    /// The field with the record's id.
    pub id_field: Option<String>,
    /// The number of the line on which the first row begins (of CSV: the first
    /// after the header).
    pub first_line: Option<u64>,
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

    /// Begins an import, after the caller, the tenant and the entity were checked.
    pub async fn import(&self, caller: &Caller, options: ImportOptions) -> Result<Importer> {
        let access = match &options.into {
            Target::Tenant(tenant) => {
                Some(self.tenants.access(caller, tenant, Scope::Write).await?)
            }
            Target::Field { .. } => {
                caller.require_operator()?;
                None
            }
        };
        let state = self.apps.refresh().await?;
        let entity = state.entity(&options.entity)?.clone();
        Importer::new(self, caller.clone(), access, entity, options)
    }
}

/// An import stops here: the store takes nothing, or something is broken.
fn stops(error: &Error) -> bool {
    matches!(error.code, Code::Unavailable | Code::Internal)
}
