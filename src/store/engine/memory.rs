//! An engine in memory: two ordered maps. For tests; it forgets all when dropped.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{PoisonError, RwLock},
};

use super::{
    Applied, Embedded, Key, Maintenance, Order, Page, PageBuilder, Result, Scan, Stats, Tree,
    TreeStats, Value,
};

/// The engine.
#[derive(Debug, Default)]
pub struct Memory {
    trees: RwLock<[BTreeMap<Key, Value>; 2]>,
}

impl Memory {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }
}

fn slot(tree: Tree) -> usize {
    match tree {
        Tree::Hot => 0,
        Tree::Archive => 1,
    }
}

impl Embedded for Memory {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Value>> {
        let trees = self.trees.read().unwrap_or_else(PoisonError::into_inner);
        Ok(trees[slot(tree)].get(key).cloned())
    }

    fn scan(&self, scan: &Scan) -> Result<Page> {
        let Some((lower, upper)) = scan.bounds() else {
            return Ok(Page::default());
        };
        let trees = self.trees.read().unwrap_or_else(PoisonError::into_inner);
        let range = trees[slot(scan.tree)].range::<[u8], (Bound<&[u8]>, Bound<&[u8]>)>((
            lower.as_ref().map(|k| &k[..]),
            upper.as_ref().map(|k| &k[..]),
        ));
        let rows: Box<dyn Iterator<Item = (&Key, &Value)>> = match scan.order {
            Order::Ascending => Box::new(range),
            Order::Descending => Box::new(range.rev()),
        };
        let mut page = PageBuilder::new(scan);
        for (key, value) in rows {
            if page.is_full() {
                return Ok(page.more());
            }
            page.push(
                key.clone(),
                if scan.values {
                    value.clone()
                } else {
                    Value::new()
                },
            );
        }
        Ok(page.last())
    }

    fn apply(&self, writes: &[Applied]) -> Result<()> {
        let mut trees = self.trees.write().unwrap_or_else(PoisonError::into_inner);
        for write in writes {
            let tree = &mut trees[slot(write.tree)];
            match &write.value {
                Some(value) => tree.insert(write.key.clone(), value.clone()),
                None => tree.remove(&write.key),
            };
        }
        Ok(())
    }
}

impl Maintenance for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn disk_bytes(&self) -> Result<u64> {
        Ok(0)
    }

    fn stats(&self) -> Result<Stats> {
        let trees = self.trees.read().unwrap_or_else(PoisonError::into_inner);
        let sizes = |tree: Tree| TreeStats {
            tree: tree.name().into(),
            keys: trees[slot(tree)].len() as u64,
            key_bytes: trees[slot(tree)].keys().map(|k| k.len() as u64).sum(),
            value_bytes: trees[slot(tree)].values().map(|v| v.len() as u64).sum(),
        };
        Ok(Stats::of("memory", Tree::ALL.map(sizes).into(), 0))
    }

    fn verify(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}
