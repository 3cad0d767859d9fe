//! Rows that go at a stated moment: sessions, remembered answers.
//!
//! Whoever writes such a row writes its expiry beside it, and takes the expiry
//! away when it replaces the row. Readers check the moment themselves; sweeping
//! only gives the space back.

use super::{Core, Result};
use crate::store::{Batch, Condition, Scan, StoreError, Tree, keys};

/// Removes what has expired, one page of it; whether there may be more.
pub async fn sweep(core: &Core) -> Result<bool> {
    let mut scan = Scan::prefix(Tree::Hot, keys::EXPIRIES);
    scan.end = Some(keys::expiry_bound(core.clock.now()));
    scan.values = false;
    let page = core.engine.scan(&scan).await?;
    for (row, _) in page.rows {
        let mut batch = Batch::default();
        // Gone meanwhile: the row that it stood for was replaced.
        batch.expect(Tree::Hot, row.clone(), Condition::Present);
        if let Some(expired) = keys::expiring_key(&row) {
            batch.delete(Tree::Hot, expired);
        }
        batch.delete(Tree::Hot, row);
        match core.engine.commit(batch).await {
            Ok(()) | Err(StoreError::Conflict { .. }) => {}
            Err(other) => return Err(other.into()),
        }
    }
    Ok(page.next.is_some())
}
