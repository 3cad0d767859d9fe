//! Short lists read whole: of a kind that has a limit, or that an operator makes
//! by hand.

use super::{Core, Result};
use crate::store::{Key, Scan, Tree, Value};

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
