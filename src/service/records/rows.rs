//! The index rows of a record, with the counters they move.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::{
    domain::{Entity, Index, RecordId, RecordMeta},
    service::{Code, Error, Result},
    store::{KEY_BYTES_MAX, Key, Tree, Value, keys::TenantKeys},
};

/// One row of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Empty, or the id where the index is unique.
    pub value: Value,
    /// The counter of the values of all fields but the last, where the index counts.
    pub counter: Option<Key>,
}

/// The rows that `index` has for a record, by key; none where it is left out.
pub fn of_index(
    keys: &TenantKeys,
    entity: &Entity,
    index: &Index,
    tier: Tree,
    id: &RecordId,
    meta: &RecordMeta,
    data: &Json,
) -> Result<BTreeMap<Key, Row>> {
    let rows = entity.index_rows(index, meta, data).map_err(|problem| {
        Error::new(
            Code::InvalidRecord,
            format!(
                "The index {} cannot hold the field {}: {}",
                problem.index, problem.field, problem.message
            ),
        )
        .with("index", &problem.index)
        .with("field", &problem.field)
    })?;
    let (in_key, value) = match index.unique {
        true => (None, Value::copy_from_slice(id.as_str().as_bytes())),
        false => (Some(id), Value::new()),
    };
    let mut made = BTreeMap::new();
    for values in rows {
        let key = keys
            .index_row(&entity.name, &index.name, &values, in_key)
            .ok_or_else(|| too_long(index))?;
        let leading = &values[..values.len().saturating_sub(1)];
        let counter = match index.count {
            true => Some(
                keys.count_index(&entity.name, &index.name, tier, leading)
                    .ok_or_else(|| too_long(index))?,
            ),
            false => None,
        };
        made.insert(
            key,
            Row {
                value: value.clone(),
                counter,
            },
        );
    }
    Ok(made)
}

fn too_long(index: &Index) -> Error {
    let fields: Vec<_> = index.fields.iter().map(|f| f.path.as_str()).collect();
    Error::new(
        Code::InvalidRecord,
        format!(
            "The fields {} together make a key of the index {} longer than {KEY_BYTES_MAX} bytes; shorten one of them.",
            fields.join(", "),
            index.name
        ),
    )
    .with("index", index.name.as_str())
}
