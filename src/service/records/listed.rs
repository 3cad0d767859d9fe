//! The record that a row of a list leads to: the row itself, or what an index row
//! names.

use bytes::BytesMut;

use super::{RecordRef, candidates::Candidate, document::parse_stored, list::List, read, rows};
use crate::{
    base::time_of_record_id,
    domain::{RecordId, query::Access},
    service::{Core, Error, Result},
    store::{Key, Tree, Value, codec, keys},
};

impl List<'_> {
    /// The stored records that index rows lead to, with their keys.
    pub async fn fetch(
        &self,
        core: &Core,
        chunk: &mut [Candidate],
    ) -> Result<Vec<Option<(Key, Value)>>> {
        // One buffer for all of the keys; an id is a part of its row.
        let rows = chunk.iter().map(|row| row.key.len().max(row.value.len()));
        let mut buffer =
            BytesMut::with_capacity(rows.sum::<usize>() + chunk.len() * self.records.len());
        let mut key_of = |row| {
            buffer.extend_from_slice(&self.records);
            buffer.extend_from_slice(self.row_id(row));
            buffer.split().freeze()
        };
        let mut fetched = vec![None; chunk.len()];
        for tier in self.tiers {
            let (mut places, mut wanted) = (Vec::new(), Vec::new());
            for (place, row) in chunk.iter().enumerate().filter(|(_, c)| c.tier == *tier) {
                places.push(place);
                wanted.push(key_of(row));
            }
            if wanted.is_empty() {
                continue;
            }
            let found = core.engine.get_many(*tier, &wanted).await?;
            for ((place, key), value) in places.into_iter().zip(wanted).zip(found) {
                fetched[place] = value.map(|value| (key, value));
            }
        }
        if self.tiers.len() > 1 {
            for (row, fetched) in chunk.iter_mut().zip(&mut fetched) {
                if fetched.is_none() {
                    // It may have moved since its row was read.
                    let key = Key::from([&self.records[..], self.row_id(row)].concat());
                    if let Some((tier, value)) = read::stored(core, &key).await? {
                        row.tier = tier;
                        *fetched = Some((key, value));
                    }
                }
            }
        }
        Ok(fetched)
    }

    /// A row that is the record itself.
    pub fn own_row<'a>(&self, row: &'a Candidate) -> Result<Option<RecordRef<'a>>> {
        let record = self.record(&row.key, &row.value, row.tier)?;
        let by_time = matches!(self.plan.access, Access::CreatedAt { .. });
        let timely = time_of_record_id(record.id) == Some(record.meta.created_at);
        Ok((!by_time || timely).then_some(record))
    }

    /// A record that an index row led to. Unless nothing changed between the two
    /// reads, it has to have that row still.
    pub fn indexed<'a>(
        &self,
        row: &Candidate,
        key: &'a Key,
        value: &'a Value,
        settled: bool,
    ) -> Result<Option<RecordRef<'a>>> {
        let record = self.record(key, value, row.tier)?;
        if settled {
            return Ok(Some(record));
        }
        let Access::Index { index, .. } = &self.plan.access else {
            return Ok(Some(record));
        };
        let id = RecordId::parse(record.id).map_err(Error::internal)?;
        let data = parse_stored(record.json)?;
        let rows = rows::of_index(
            &self.access.keys,
            self.entity,
            index,
            row.tier,
            &id,
            &record.meta,
            &data,
        );
        Ok(rows
            .is_ok_and(|rows| rows.contains_key(&row.key))
            .then_some(record))
    }

    fn record<'a>(&self, key: &'a Key, value: &'a Value, tier: Tree) -> Result<RecordRef<'a>> {
        let (meta, json) = codec::split_record(value)?;
        let id = key.get(self.records.len()..).unwrap_or_default();
        let id = std::str::from_utf8(id).ok();
        let id = id
            .filter(|id| RecordId::accepts(id))
            .ok_or_else(|| Error::internal(format!("a record's key: {key:?}")))?;
        Ok(RecordRef {
            id,
            meta,
            tier,
            json,
        })
    }

    /// The id of the record that an index row leads to: it stands at the end of the
    /// row's key or, where the index is unique, is its value. Whether it is one is
    /// seen when the record is there.
    fn row_id<'a>(&self, row: &'a Candidate) -> &'a [u8] {
        let unique = matches!(&self.plan.access, Access::Index { index, .. } if index.unique);
        match unique {
            true => &row.value,
            false => keys::last_bytes(&row.key).unwrap_or_default(),
        }
    }
}
