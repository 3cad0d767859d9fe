//! What is due: a range of rows of the rule's own index, so that no record is read
//! that is not.

use super::Archive;
use crate::{
    base::Instant,
    domain::{
        Entity, IndexValue, RecordId,
        archive::{ArchiveRule, instant_of},
    },
    service::{Error, Result, TenantAccess},
    store::{Key, Scan, Tree, keys},
};

/// A page of what is due.
#[derive(Debug, Clone, Default)]
pub struct DuePage {
    /// The records, with the times that their rows have.
    pub records: Vec<(RecordId, Instant)>,
    /// Where the next page begins.
    pub next: Option<Vec<u8>>,
}

impl Archive {
    /// The next records of a tier whose row has a time before `end`: that of the rule
    /// or, where `restored`, the end of their stay.
    pub async fn due(
        &self,
        access: &TenantAccess,
        entity: &Entity,
        tier: Tree,
        (restored, end): (bool, Instant),
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<DuePage> {
        let Some(rule) = &entity.archive else {
            return Ok(DuePage::default());
        };
        let scan = Scan {
            after: after.map(Key::copy_from_slice),
            limit,
            ..range(access, entity, rule, tier, restored, end)
        };
        let prefix = access.keys.index(&entity.name, &rule.due.name).len();
        let page = self.core.engine.scan(&scan).await?;
        let mut records = Vec::with_capacity(page.rows.len());
        for (key, _) in &page.rows {
            let read = || {
                let (_, flag) = IndexValue::decode(key.get(prefix..)?)?;
                let (at, _) = IndexValue::decode(key.get(prefix + flag + 1..)?)?;
                Some((keys::last_segment(key)?, instant_of(&at)?))
            };
            let row = read().ok_or_else(|| Error::internal(format!("a row of a rule: {key:?}")))?;
            records.push(row);
        }
        Ok(DuePage {
            records,
            next: page.next.map(|key| key.to_vec()),
        })
    }

    /// How many rows [`Archive::due`] has, up to `most`.
    pub(super) async fn count_due(
        &self,
        access: &TenantAccess,
        entity: &Entity,
        tier: Tree,
        (restored, end): (bool, Instant),
        most: u64,
    ) -> Result<u64> {
        let Some(rule) = &entity.archive else {
            return Ok(0);
        };
        let mut scan = range(access, entity, rule, tier, restored, end);
        scan.limit = 4_096;
        let mut count = 0;
        loop {
            let page = self.core.engine.scan(&scan).await?;
            count += page.rows.len() as u64;
            match page.next {
                Some(next) if count < most => scan.after = Some(next),
                _ => return Ok(count),
            }
            tokio::task::yield_now().await;
        }
    }
}

/// The rows of a tier whose time is before `end`.
fn range(
    access: &TenantAccess,
    entity: &Entity,
    rule: &ArchiveRule,
    tier: Tree,
    restored: bool,
    end: Instant,
) -> Scan {
    let mut start = access.keys.index(&entity.name, &rule.due.name).to_vec();
    IndexValue::Bool(restored).encode_into(&mut start);
    start.push(b'#');
    let mut until = start.clone();
    IndexValue::from_instant(end).encode_into(&mut until);
    let mut scan = Scan::prefix(tier, start);
    scan.end = Some(until.into());
    scan.values = false;
    scan
}
