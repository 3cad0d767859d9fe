//! The archive rule of an entity.

use std::collections::BTreeMap;

use serde_json::Value;

use super::problems::{Place, Problems};
use super::table::{Entry, Table};
use crate::domain::archive::{
    ArchiveRule, Child, DUE_INDEX, OnWrite, RESTORED_MS_DEFAULT, RULE_MS_MAX, WHEN_MAX, WITH_MAX,
    When, due_index,
};
use crate::domain::duration;
use crate::domain::entity::{Entity, Index};
use crate::domain::names::{EntityName, IndexName};
use crate::domain::schema::field_of;
use crate::domain::similar;
use crate::domain::value::{IndexValue, Kind};

/// An entity that a rule takes along, before the other entities are known.
pub(super) struct WantedChild {
    entity: String,
    field: Option<String>,
    place: Place,
}

/// Reads `[entity.X.archive]`.
pub(super) fn read_archive(
    entity: &Table<'_, '_>,
    schema: &Value,
    indexes: &[Index],
    problems: &mut Problems,
) -> Option<(ArchiveRule, Vec<WantedChild>)> {
    let entry = entity.get("archive")?;
    let table = entry.table("a table, as in [entity.ticket.archive]", problems)?;
    let known = [
        "when",
        "by",
        "after",
        "purge_after",
        "restored_for",
        "on_write",
        "with",
    ];
    table.check_keys(&known, &[], problems);
    if indexes.iter().any(|index| index.name.as_str() == DUE_INDEX) {
        let message =
            format!("the index {DUE_INDEX} is the rule's own: give the declared one another name");
        problems.add(&table.place, message);
    }
    let when = read_when(&table, schema, problems);
    let by = read_by(&table, schema, problems);
    let after_ms = duration_of(&table, "after", problems);
    if table.get("after").is_none() {
        let message = "after is missing: expected how long after `by`, as in after = \"90d\"";
        problems.missing(&table.place, message);
    }
    let purge_after_ms = duration_of(&table, "purge_after", problems);
    if let (Some(after), Some(purge), Some(entry)) =
        (after_ms, purge_after_ms, table.get("purge_after"))
        && purge < after
    {
        let least = duration::format(after);
        problems.add(
            &entry.place,
            format!("expected at least `after`, which is {least}"),
        );
    }
    let restored_ms = duration_of(&table, "restored_for", problems);
    let on_write = match table.string("on_write", problems) {
        None | Some(("refuse", _)) => OnWrite::Refuse,
        Some(("restore", _)) => OnWrite::Restore,
        Some((_, place)) => {
            problems.add(&place, "expected \"refuse\" or \"restore\"");
            OnWrite::Refuse
        }
    };
    let children = read_with(&table, problems);
    let name = IndexName::parse(DUE_INDEX).ok()?;
    let rule = ArchiveRule {
        due: due_index(name, when, by?),
        after_ms: after_ms?,
        purge_after_ms,
        restored_ms: restored_ms.unwrap_or(RESTORED_MS_DEFAULT),
        on_write,
        with: Vec::new(),
    };
    Some((rule, children))
}

/// `when = { status = "closed" }`
fn read_when(table: &Table<'_, '_>, schema: &Value, problems: &mut Problems) -> When {
    let mut when = When::new();
    let Some(given) = table
        .get("when")
        .and_then(|entry| entry.table("a table, as in { status = \"closed\" }", problems))
    else {
        return when;
    };
    if given.members.len() > WHEN_MAX {
        let message = format!("{} fields; at most {WHEN_MAX}", given.members.len());
        problems.add(&given.place, message);
    }
    for (path, place, entry) in given.entries() {
        let field = match field_of(schema, path) {
            Ok(field) if field.multi || field.system.is_some() => {
                problems.add(&place, "expected a field of the record with a single value");
                continue;
            }
            Ok(field) => field,
            Err(message) => {
                problems.add(&place, message);
                continue;
            }
        };
        let before = problems.len();
        let value = entry.to_json(problems);
        match IndexValue::from_json(field.kind, &value) {
            Some(value) => when.push((field, value)),
            None if problems.len() > before => {}
            None => {
                let message = format!("{path} holds a {}: expected one", field.kind.name());
                problems.add(&entry.place, message);
            }
        }
    }
    when
}

fn read_by(
    table: &Table<'_, '_>,
    schema: &Value,
    problems: &mut Problems,
) -> Option<crate::domain::entity::Field> {
    const EXPECTED: &str = "a date-time field, or updated_at";
    let Some((path, place)) = table.string("by", problems) else {
        if table.get("by").is_none() {
            let message = format!("by is missing: expected {EXPECTED}, as in by = \"closed_at\"");
            problems.missing(&table.place, message);
        }
        return None;
    };
    match field_of(schema, path) {
        Ok(field) if field.kind == Kind::Instant && !field.multi => Some(field),
        Ok(_) => {
            problems.add(
                &place,
                format!("{path} is no date-time: expected {EXPECTED}"),
            );
            None
        }
        Err(message) => {
            problems.add(&place, message);
            None
        }
    }
}

fn duration_of(table: &Table<'_, '_>, key: &str, problems: &mut Problems) -> Option<i64> {
    let (text, place) = table.string(key, problems)?;
    let read = duration::parse_up_to(text, RULE_MS_MAX);
    if read.is_none() {
        let message = format!("expected {}, at most 100y", duration::EXPECTED);
        problems.add(&place, message);
    }
    read
}

/// `with = ["comment", { entity = "note", field = "about" }]`
fn read_with(table: &Table<'_, '_>, problems: &mut Problems) -> Vec<WantedChild> {
    const EXPECTED: &str = "a list of entities, as in [\"comment\"]";
    let Some(entry) = table.get("with") else {
        return Vec::new();
    };
    let items = entry.items(EXPECTED, problems).unwrap_or_default();
    if items.len() > WITH_MAX {
        let message = format!("{} entities; at most {WITH_MAX}", items.len());
        problems.add(&entry.place, message);
    }
    let read = items.into_iter().filter_map(|item| child(item, problems));
    read.collect()
}

fn child(item: Entry<'_, '_>, problems: &mut Problems) -> Option<WantedChild> {
    if let Some(name) = item.value.as_str() {
        return Some(WantedChild {
            entity: name.to_owned(),
            field: None,
            place: item.place,
        });
    }
    let place = item.place.clone();
    let table = item.table(
        "an entity, or { entity = \"comment\", field = \"ticket_id\" }",
        problems,
    )?;
    table.check_keys(&["entity", "field"], &[], problems);
    let field = table.string("field", problems);
    let Some((entity, _)) = table.string("entity", problems) else {
        if table.get("entity").is_none() {
            problems.missing(&place, "entity is missing");
        }
        return None;
    };
    Some(WantedChild {
        entity: entity.to_owned(),
        field: field.map(|(field, _)| field.to_owned()),
        place,
    })
}

/// Finds the entities that go along with `parent`, now that all are known.
pub(super) fn find_children(
    parent: &EntityName,
    wanted: Vec<WantedChild>,
    entities: &BTreeMap<EntityName, Entity>,
    problems: &mut Problems,
) -> Vec<Child> {
    let mut children: Vec<Child> = Vec::new();
    for WantedChild {
        entity: name,
        field,
        place,
    } in wanted
    {
        let found = EntityName::parse(&name).ok();
        let Some(entity) = found.and_then(|name| entities.get(&name)) else {
            let hint = similar::hint(&name, entities.keys().map(EntityName::as_str));
            problems.add(&place, format!("there is no entity {name:?}{hint}"));
            continue;
        };
        if entity.name == *parent || children.iter().any(|child| child.entity == entity.name) {
            problems.add(&place, "expected other entities, each once");
            continue;
        }
        let field = field.unwrap_or_else(|| format!("{parent}_id"));
        let leads = |index: &&Index| {
            let first = index.fields.first();
            first.is_some_and(|f| f.path == field && f.kind == Kind::Text && !f.multi)
                && !index.fields.iter().any(|f| f.multi)
        };
        // Records without one of an index's fields have no row in it.
        let serving = entity.indexes.iter().filter(leads);
        let Some(index) = serving.min_by_key(|index| index.fields.len()) else {
            problems.add(
                &place,
                format!(
                    "no index of {name} begins with {field:?}, which is to hold the id of the {parent}; add these lines, or name another field as {{ entity = \"{name}\", field = \"...\" }}:\n\n[[entity.{name}.index]]\nname = \"by_{field}\"\nfields = [\"{field}\"]"
                ),
            );
            continue;
        };
        children.push(Child {
            entity: entity.name.clone(),
            index: index.name.clone(),
            field,
        });
    }
    children
}
