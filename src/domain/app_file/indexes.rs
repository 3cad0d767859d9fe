//! The indexes of an entity.

use serde_json::Value;

use super::problems::{Place, Problems};
use super::table::{Entry, Table};
use crate::domain::entity::{Field, INDEX_FIELDS_MAX, INDEXES_MAX, Index, SystemField};
use crate::domain::names::IndexName;
use crate::domain::query::{RESERVED_PARAMETERS, is_field_path};
use crate::domain::schema::field_of;

const EXPECTED: &str = "tables, as in [[entity.ticket.index]]";

/// Reads the indexes of an entity's table. Without a schema only what does not
/// depend on it is checked, and the fields count as untyped.
pub(super) fn read_indexes(
    entity: &Table<'_, '_>,
    schema: Option<&Value>,
    problems: &mut Problems,
) -> Vec<Index> {
    let Some(entry) = entity.get("index") else {
        return Vec::new();
    };
    let Some(items) = entry.items(EXPECTED, problems) else {
        return Vec::new();
    };
    if items.len() > INDEXES_MAX {
        let message = format!(
            "{} indexes; an entity has at most {INDEXES_MAX}",
            items.len()
        );
        problems.add(&entry.place, message);
    }
    let mut indexes: Vec<Index> = Vec::new();
    for item in items {
        let Some(table) = item.table(EXPECTED, problems) else {
            continue;
        };
        let Some((index, name_place)) = read_index(&table, schema, problems) else {
            continue;
        };
        if indexes.iter().any(|other| other.name == index.name) {
            let message = format!(
                "a second index \"{}\": names differ within an entity",
                index.name
            );
            problems.add(&name_place, message);
        }
        indexes.push(index);
    }
    indexes
}

fn read_index(
    table: &Table<'_, '_>,
    schema: Option<&Value>,
    problems: &mut Problems,
) -> Option<(Index, Place)> {
    table.check_keys(&["name", "fields", "unique", "count"], &[], problems);
    let unique = table.boolean("unique", problems);
    let count = table.boolean("count", problems);
    let name = match table.get("name") {
        Some(_) => table.string("name", problems),
        None => {
            problems.missing(
                &table.place,
                "name is missing: expected one, as in name = \"by_status\"",
            );
            None
        }
    };
    let name = name.and_then(|(name, place)| match IndexName::parse(name) {
        Ok(name) => Some((name, place)),
        Err(error) => {
            problems.add(&place, error.to_string());
            None
        }
    });
    let fields = read_fields(table, schema, problems);
    let (name, place) = name?;
    let fields = fields?;
    // The rows of a list's items are not the number of records.
    let countable = fields.last().is_some_and(|last| !last.multi);
    if let Some((true, place)) = &count
        && !countable
    {
        problems.add(
            place,
            "the last field is a list, so that its rows are not one a record: expected false, or the list before another field",
        );
    }
    let index = Index {
        name,
        count: count.map_or(fields.len() >= 2 && countable, |(count, _)| count),
        unique: unique.is_some_and(|(unique, _)| unique),
        fields,
        when: None,
    };
    Some((index, place))
}

fn read_fields(
    table: &Table<'_, '_>,
    schema: Option<&Value>,
    problems: &mut Problems,
) -> Option<Vec<Field>> {
    const LIST: &str = "a list of field names, as in [\"status\", \"opened_at\"]";
    let Some(entry) = table.get("fields") else {
        problems.missing(&table.place, format!("fields is missing: expected {LIST}"));
        return None;
    };
    let items = entry.items(LIST, problems)?;
    if items.is_empty() || items.len() > INDEX_FIELDS_MAX {
        let message = format!(
            "expected 1 to {INDEX_FIELDS_MAX} fields, found {}",
            items.len()
        );
        problems.add(&entry.place, message);
    }
    let count = items.len();
    let mut fields: Vec<Field> = Vec::new();
    for item in items {
        let Some(field) = read_field(&item, schema, problems) else {
            continue;
        };
        if fields.iter().any(|other| other.path == field.path) {
            problems.add(&item.place, "stands twice in this index");
        } else if field.multi && fields.iter().any(|other| other.multi) {
            problems.add(
                &item.place,
                "is a second list in this index: at most one, else its rows would multiply",
            );
        }
        fields.push(field);
    }
    (fields.len() == count && count > 0).then_some(fields)
}

fn read_field(
    item: &Entry<'_, '_>,
    schema: Option<&Value>,
    problems: &mut Problems,
) -> Option<Field> {
    let Some(path) = item.value.as_str() else {
        item.wrong_type("a field name", problems);
        return None;
    };
    let checked = check_path(path).and_then(|()| match schema {
        None => field_of(&Value::Bool(true), path),
        Some(schema) if SystemField::named(path).is_some() && in_schema(schema, path) => Err(
            format!("{path} is the record's own timestamp: rename the schema's property"),
        ),
        Some(schema) => field_of(schema, path),
    });
    checked
        .map_err(|message| problems.add(&item.place, message))
        .ok()
}

fn check_path(path: &str) -> Result<(), String> {
    if path == "id" {
        return Err(
            "is the record's own id, by which every entity is listed without an index".to_owned(),
        );
    }
    if RESERVED_PARAMETERS.contains(&path) {
        return Err(format!("{path} is a parameter of lists: rename the field"));
    }
    if !is_field_path(path) {
        return Err("expected a field name, or a dotted path as in meta.tier".to_owned());
    }
    Ok(())
}

fn in_schema(schema: &Value, name: &str) -> bool {
    schema
        .get("properties")
        .is_some_and(|named| named.get(name).is_some())
}
