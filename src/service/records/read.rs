//! One record, read by its id.

use super::{Record, Records};
use crate::{
    domain::{Entity, RecordId},
    service::{Error, Result, TenantAccess},
    store::{Tree, codec},
};

impl Records {
    /// A record, whichever tree it lives in.
    pub async fn get(&self, access: &TenantAccess, entity: &str, id: &str) -> Result<Record> {
        let state = self.apps.for_reading().await?;
        let entity = state.entity(entity)?;
        let id = RecordId::parse(id).map_err(|_| missing(entity, id))?;
        let key = access.keys.record(&entity.name, &id);
        for tier in Tree::ALL {
            if let Some(value) = self.core.engine.get(tier, &key).await? {
                let keys = &access.keys;
                let value = self.core.unpack(keys, &entity.name, value).await?;
                let (meta, json) = codec::decode_record(&value)?;
                return Ok(Record {
                    id,
                    meta,
                    tier,
                    json,
                });
            }
        }
        Err(missing(entity, id.as_str()))
    }
}

/// The problem of a record that is not there.
pub(super) fn missing(entity: &Entity, id: &str) -> Error {
    Error::not_found(format!("record {id:?} of the entity {}", entity.name))
}
