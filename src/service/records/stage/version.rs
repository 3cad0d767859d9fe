//! A record as it is, or as it will be: its bytes, and the index rows that it has.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{
    base::time_of_record_id,
    domain::{Entity, RecordId, RecordMeta},
    service::{
        Core, Result, TenantAccess,
        apps::AppState,
        dictionaries::Needs,
        records::{
            document::parse_stored,
            read::stored,
            rows::{self, Row},
            targets::Target,
        },
    },
    store::{Condition, Key, Tree, Value, codec, keys::Counted},
};

/// The rows of each maintained index, in the entity's order of indexes.
pub(super) type Rows = Vec<BTreeMap<Key, Row>>;

/// A record as it was, or as it will be.
pub(super) struct Version {
    pub tier: Tree,
    pub meta: RecordMeta,
    /// The client's JSON.
    pub json: Bytes,
    /// What is stored.
    pub value: Value,
    /// What storing it needs.
    pub needs: Option<Needs>,
    pub rows: Rows,
}

/// What versions are read and made with.
pub(super) struct Versions<'a> {
    pub core: &'a Core,
    pub access: &'a TenantAccess,
    pub state: &'a AppState,
}

impl Versions<'_> {
    /// The record as it is, in whichever tier.
    pub async fn read(&self, entity: &Entity, id: &RecordId, key: &Key) -> Result<Option<Version>> {
        let Some((tier, value)) = stored(self.core, key).await? else {
            return Ok(None);
        };
        let keys = &self.access.keys;
        let plain = self.core.unpack(keys, &entity.name, value.clone()).await?;
        let (meta, json) = codec::decode_record(&plain)?;
        let rows = match self.state.maintained(entity).next() {
            Some(_) => self.rows(entity, tier, id, &meta, &parse_stored(&json)?)?,
            None => Rows::new(),
        };
        Ok(Some(Version {
            tier,
            meta,
            json,
            value,
            needs: None,
            rows,
        }))
    }

    /// The record as it will be.
    pub async fn make(
        &self,
        entity: &Entity,
        target: &Target,
        tier: Tree,
        meta: RecordMeta,
        (json, data): (Bytes, &serde_json::Value),
    ) -> Result<Version> {
        let rows = self.rows(entity, tier, &target.id, &meta, data)?;
        let (value, needs) = match tier {
            Tree::Hot => (codec::encode_record(&meta, &json)?, None),
            Tree::Archive => {
                let keys = &self.access.keys;
                let packed = self.core.pack(keys, entity, &meta, &json).await?;
                (packed.value, packed.needs)
            }
        };
        Ok(Version {
            tier,
            meta,
            json,
            value,
            needs,
            rows,
        })
    }

    fn rows(
        &self,
        entity: &Entity,
        tier: Tree,
        id: &RecordId,
        meta: &RecordMeta,
        data: &serde_json::Value,
    ) -> Result<Rows> {
        self.state
            .maintained(entity)
            .map(|m| rows::of_index(&self.access.keys, entity, m.index, tier, id, meta, data))
            .collect()
    }
}

impl Version {
    /// What tells that the record is still as it was read.
    pub fn as_read(&self) -> Result<Condition> {
        Ok(Condition::Prefix(codec::record_header(&self.value)?))
    }

    /// What it adds to the counters of its entity and tier.
    pub fn counted(&self, target: &Target, key: &Key) -> Vec<(Counted, i64)> {
        let size = |bytes: usize| i64::try_from(bytes).unwrap_or(i64::MAX);
        let given = time_of_record_id(target.id.as_str()) != Some(self.meta.created_at);
        let mut counted = vec![
            (Counted::Records, 1),
            (Counted::Bytes, size(key.len() + self.value.len())),
            (Counted::Given, i64::from(given)),
        ];
        if self.tier == Tree::Archive {
            counted.push((Counted::Packed, size(self.value.len())));
            counted.push((Counted::Json, size(self.json.len())));
        }
        counted
    }
}
