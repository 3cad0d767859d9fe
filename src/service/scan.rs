//! Short lists read whole: of a kind that has a limit, or that an operator makes
//! by hand.

use super::{Core, Result};
use crate::store::{Batch, Key, Order, Scan, Tree, Value};

/// Every row under a prefix, page by page.
pub(super) async fn every(core: &Core, prefix: impl Into<Key>) -> Result<Vec<(Key, Value)>> {
    let mut scan = Scan::prefix(Tree::Hot, prefix);
    let mut rows = Vec::new();
    loop {
        let page = core.engine.scan(&scan).await?;
        rows.extend(page.rows);
        match page.next {
            Some(next) => scan.after = Some(next),
            None => return Ok(rows),
        }
    }
}

/// Forgets all but the last `kept` rows under a prefix. Called after each row that is
/// added, so that few are ever too many.
pub(super) async fn keep_latest(core: &Core, prefix: Key, kept: usize) -> Result<()> {
    let mut scan = Scan::prefix(Tree::Hot, prefix);
    (scan.order, scan.limit, scan.values) = (Order::Descending, kept + 64, false);
    let mut batch = Batch::default();
    for (key, _) in core.engine.scan(&scan).await?.rows.into_iter().skip(kept) {
        batch.delete(Tree::Hot, key);
    }
    if !batch.writes.is_empty() {
        core.engine.commit(batch).await?;
    }
    Ok(())
}
