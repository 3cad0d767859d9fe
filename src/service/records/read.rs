//! One record, read by its id.

use super::{Record, Records};
use crate::{
    domain::{Entity, RecordId},
    service::{Core, Error, Result, TenantAccess},
    store::{Key, Tree, Value, codec},
};

impl Records {
    /// A record, whichever tree it lives in.
    pub async fn get(&self, access: &TenantAccess, entity: &str, id: &str) -> Result<Record> {
        let state = self.apps.for_reading().await?;
        let entity = state.entity(entity)?;
        let id = RecordId::parse(id).map_err(|_| missing(entity, id))?;
        let key = access.keys.record(&entity.name, &id);
        let Some((tier, value)) = stored(&self.core, &key).await? else {
            return Err(missing(entity, id.as_str()));
        };
        let value = self.core.unpack(&access.keys, &entity.name, value).await?;
        let (meta, json) = codec::decode_record(&value)?;
        Ok(Record {
            id,
            meta,
            tier,
            json,
        })
    }
}

/// A record as it is stored, and in which tree. One that is restored between the first
/// two looks is in neither of them: the third finds it.
pub(in crate::service) async fn stored(core: &Core, key: &Key) -> Result<Option<(Tree, Value)>> {
    for tier in [Tree::Hot, Tree::Archive, Tree::Hot] {
        if let Some(value) = core.engine.get(tier, key).await? {
            return Ok(Some((tier, value)));
        }
    }
    Ok(None)
}

/// The problem of a record that is not there.
pub(super) fn missing(entity: &Entity, id: &str) -> Error {
    Error::not_found(format!("record {id:?} of the entity {}", entity.name))
}
