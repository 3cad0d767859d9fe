//! How large the store is.

use std::sync::Arc;

use super::{Caller, Error, Result};
use crate::store::{Maintenance, engine::Stats};

/// Keys and bytes of each tree, the disk used and the space amplification. Walks
/// all keys, on a thread of its own. For operators.
pub async fn of_store(caller: &Caller, maintenance: Arc<dyn Maintenance>) -> Result<Stats> {
    caller.require_operator()?;
    let stats = tokio::task::spawn_blocking(move || maintenance.stats())
        .await
        .map_err(Error::internal)??;
    Ok(stats)
}
