//! The distinct values of an index's first field, one after the other, each found by
//! one read: what lies between two of them is jumped over.

use super::Records;
use crate::{
    domain::{EntityName, IndexName, IndexValue},
    service::{Result, TenantAccess},
    store::{Key, Scan, Tree, engine::prefix_end},
};

impl Records {
    /// The first value of an index's first field, in either tier, that comes after
    /// `after`; of all where `None`.
    pub async fn next_value(
        &self,
        access: &TenantAccess,
        entity: &EntityName,
        index: &IndexName,
        after: Option<&IndexValue>,
    ) -> Result<Option<IndexValue>> {
        let prefix = access.keys.index(entity, index);
        let mut scan = Scan::prefix(Tree::Hot, prefix.clone());
        if let Some(after) = after {
            let mut rows = prefix.to_vec();
            after.encode_into(&mut rows);
            rows.push(b'#');
            match prefix_end(&rows) {
                Some(end) => scan.start = Key::from(end.to_vec()),
                None => return Ok(None),
            }
        }
        scan.limit = 1;
        scan.values = false;
        let mut first: Option<Key> = None;
        for tier in Tree::ALL {
            scan.tree = tier;
            let row = self.core.engine.scan(&scan).await?.rows.pop();
            let key = row.map(|(key, _)| key);
            first = first.into_iter().chain(key).min();
        }
        Ok(first.and_then(|key| Some(IndexValue::decode(&key[prefix.len()..])?.0)))
    }
}
