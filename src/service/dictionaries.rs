//! How archived records are packed: with a dictionary trained on the tenant's own
//! records where there is one, else with one made from the entity's schema, which
//! holds nobody's data.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{Core, Error, Result};
use crate::{
    domain::{Entity, EntityName, RecordMeta},
    store::{
        Condition, Key, Tree, Value,
        codec::{self, Stored},
        keys::{self, TenantKeys},
        packed::{self, Dictionary, Packing},
    },
};

/// Dictionaries that are kept ready: at most so many, of at most a quarter of a
/// megabyte each.
const READY_MAX: usize = 64;
/// The longest dictionary made from a schema.
const SHARED_BYTES_MAX: usize = 16 * 1024;

/// The dictionaries in use. Their ids come from their bytes, so nothing here grows old.
pub struct Dictionaries {
    ready: quick_cache::sync::Cache<Key, Arc<Dictionary>>,
}

impl Default for Dictionaries {
    fn default() -> Self {
        Self {
            ready: quick_cache::sync::Cache::new(READY_MAX),
        }
    }
}

/// Which dictionary a tenant's records of an entity are packed with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DictionaryNow {
    /// Its id.
    pub id: u32,
    /// How many records it was trained on.
    pub samples: u64,
    /// A digest of the entity's schema then.
    pub schema: u64,
    /// When it was trained, in milliseconds since the epoch.
    pub trained_at: i64,
    /// Its length.
    pub bytes: u64,
}

impl Stored for DictionaryNow {
    const KIND: &'static str = "current dictionary";
    const VERSION: u8 = 1;
}

/// A record, packed, and what its commit needs besides.
pub struct PackedRecord {
    /// What is stored.
    pub value: Value,
    /// A dictionary that is to be there when it is committed.
    pub needs: Option<Needs>,
}

/// What the commit of a packed record does about its dictionary.
pub enum Needs {
    /// It is the tenant's own, and still there.
    Present(Key),
    /// It is made from the schema, and not stored yet.
    Put(Key, Value),
}

impl Needs {
    /// What the commit expects.
    pub fn expectation(&self) -> Option<(Key, Condition)> {
        match self {
            Self::Present(key) => Some((key.clone(), Condition::Present)),
            Self::Put(..) => None,
        }
    }
}

impl Core {
    /// A record as hot ones are stored, whichever tree it was read from.
    pub async fn unpack(
        &self,
        keys: &TenantKeys,
        entity: &EntityName,
        value: Value,
    ) -> Result<Value> {
        if !packed::is_packed(&value) {
            return Ok(value);
        }
        let read = packed::read(&value)?;
        let key = match read.packing {
            Packing::Plain | Packing::Alone => return Ok(read.unpack(None)?),
            Packing::Shared(id) => keys::shared_dictionary(id),
            Packing::Own(id) => keys.dictionary(entity, id),
        };
        let dictionary = self.dictionary(&key).await?.ok_or_else(|| {
            Error::internal(format!("the dictionary {key:?} of a record is missing"))
        })?;
        Ok(read.unpack(Some(&dictionary))?)
    }

    /// A record as archived ones are stored.
    pub async fn pack(
        &self,
        keys: &TenantKeys,
        entity: &Entity,
        meta: &RecordMeta,
        json: &[u8],
    ) -> Result<PackedRecord> {
        if let Some(now) = self.dictionary_now(keys, &entity.name).await? {
            let key = keys.dictionary(&entity.name, now.id);
            if let Some(own) = self.dictionary(&key).await? {
                let with = Some((&*own, Packing::Own(own.id())));
                return Ok(PackedRecord {
                    value: packed::pack(meta, json, with)?,
                    needs: Some(Needs::Present(key)),
                });
            }
        }
        let made = from_schema(&entity.schema);
        if made.is_empty() {
            let value = packed::pack(meta, json, None)?;
            return Ok(PackedRecord { value, needs: None });
        }
        let shared = Dictionary::new(made);
        let key = keys::shared_dictionary(shared.id());
        let (shared, needs) = match self.dictionary(&key).await? {
            Some(stored) => (stored, None),
            None => {
                let bytes = Value::copy_from_slice(shared.bytes());
                (Arc::new(shared), Some(Needs::Put(key, bytes)))
            }
        };
        let with = Some((&*shared, Packing::Shared(shared.id())));
        let value = packed::pack(meta, json, with)?;
        Ok(PackedRecord { value, needs })
    }

    /// Which dictionary a tenant's records of an entity are packed with, where it is one
    /// of their own.
    pub async fn dictionary_now(
        &self,
        keys: &TenantKeys,
        entity: &EntityName,
    ) -> Result<Option<DictionaryNow>> {
        let row = self
            .engine
            .get(Tree::Hot, &keys.dictionary_now(entity))
            .await?;
        Ok(row.map(|row| codec::decode(&row)).transpose()?)
    }

    async fn dictionary(&self, key: &Key) -> Result<Option<Arc<Dictionary>>> {
        if let Some(ready) = self.dictionaries.ready.get(key) {
            return Ok(Some(ready));
        }
        let Some(bytes) = self.engine.get(Tree::Hot, key).await? else {
            return Ok(None);
        };
        let dictionary = Arc::new(Dictionary::new(bytes.to_vec()));
        let named = format!("#{:08x}", dictionary.id());
        if !key.ends_with(named.as_bytes()) {
            return Err(Error::internal(format!(
                "the dictionary {key:?} is damaged"
            )));
        }
        self.dictionaries
            .ready
            .insert(key.clone(), dictionary.clone());
        Ok(Some(dictionary))
    }
}

/// What records of a schema have in common: its names, and the values it states. Empty
/// where it says nothing.
fn from_schema(schema: &Json) -> Vec<u8> {
    let mut out = String::new();
    properties(schema, &mut out);
    let mut cut = out.len().min(SHARED_BYTES_MAX);
    while !out.is_char_boundary(cut) {
        cut -= 1;
    }
    out.truncate(cut);
    out.into_bytes()
}

fn properties(schema: &Json, out: &mut String) {
    let Some(named) = schema.get("properties").and_then(Json::as_object) else {
        return;
    };
    for (name, property) in named {
        let name = Json::from(name.as_str());
        let stated = property.get("enum").and_then(Json::as_array);
        let stated = stated.into_iter().flatten().chain(property.get("const"));
        for value in stated {
            out.push_str(&format!("{name}:{value},"));
        }
        out.push_str(&format!("{name}:{}", beginning(property)));
        properties(property, out);
        if let Some(items) = property.get("items") {
            properties(items, out);
        }
        out.push(',');
    }
}

/// How a value of a property begins.
fn beginning(property: &Json) -> &'static str {
    let kind = match property.get("type") {
        Some(Json::Array(kinds)) => kinds.first().and_then(Json::as_str),
        kind => kind.and_then(Json::as_str),
    };
    match (kind, property.get("format").and_then(Json::as_str)) {
        (Some("string"), Some("date-time")) => "\"2026-01-01T00:00:00.000Z\"",
        (Some("string"), _) => "\"\"",
        (Some("boolean"), _) => "false",
        (Some("integer" | "number"), _) => "0",
        (Some("array"), _) => "[",
        (Some("object"), _) => "{",
        _ => "null",
    }
}
