//! From parsed TOML to entities and jobs.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};
use toml::de::DeTable;

use super::archive::{WantedChild, find_children, read_archive};
use super::indexes::read_indexes;
use super::jobs::read_jobs;
use super::problems::{Place, Problems};
use super::table::Table;
use super::{ENTITIES_MAX, builtin};
use crate::domain::entity::{ARRAY_ITEMS_DEFAULT, ARRAY_ITEMS_MAX, Entity, RECORD_BYTES_DEFAULT};
use crate::domain::job::Job;
use crate::domain::names::{EntityName, JobName};
use crate::domain::record::RECORD_BYTES_MAX;
use crate::domain::schema::{Compiled, compile, field_of};

type Entities = BTreeMap<EntityName, Arc<Entity>>;
type Jobs = BTreeMap<JobName, Arc<Job>>;

/// Reads the text, adding to `problems` whatever is wrong with it. What is given
/// back is whole only where nothing was added.
pub(super) fn read(source: &str, problems: &mut Problems) -> (Entities, Jobs) {
    let (document, errors) = DeTable::parse_recoverable(source);
    for error in &errors {
        problems.damaged = true;
        let place = Place {
            path: Vec::new(),
            span: error.span().unwrap_or_default(),
        };
        problems.add(&place, error.message());
    }
    let root = Table {
        members: document.get_ref(),
        place: Place {
            path: Vec::new(),
            span: 0..0,
        },
    };
    root.check_keys(&["entity", "job"], &["plan"], problems);
    let mut entities = read_entities(&root, problems);
    entities.extend(builtin::entities().map(|entity| (entity.name.clone(), entity)));
    let jobs = read_jobs(&root, &entities, problems);
    (entities, jobs)
}

fn read_entities(root: &Table<'_, '_>, problems: &mut Problems) -> Entities {
    let mut entities = BTreeMap::new();
    let Some(entry) = root.get("entity") else {
        return Entities::new();
    };
    let Some(declared) = entry.table("tables, as in [entity.ticket]", problems) else {
        return Entities::new();
    };
    if declared.members.len() > ENTITIES_MAX {
        let message = format!(
            "{} entities; at most {ENTITIES_MAX}",
            declared.members.len()
        );
        problems.add(&declared.place, message);
    }
    let mut children = Vec::new();
    for (name, key, entry) in declared.entries() {
        let parsed = EntityName::parse(name).map_err(|error| problems.add(&key, error.to_string()));
        let table = entry.table("a table, as in [entity.ticket]", problems);
        let entity = table.and_then(|table| read_entity(parsed.as_ref().ok(), &table, problems));
        if let (Ok(name), Some((entity, wanted))) = (parsed, entity) {
            if builtin::is_built_in(&name) {
                let message = format!("{name} is taken: jobs of the kind report make its records");
                problems.add(&key, message);
                continue;
            }
            children.push((name.clone(), wanted));
            entities.insert(name, entity);
        }
    }
    for (name, wanted) in children {
        let found = find_children(&name, wanted, &entities, problems);
        if let Some(rule) = entities.get_mut(&name).and_then(|e| e.archive.as_mut()) {
            rule.with = found;
        }
    }
    let shared = entities.into_iter();
    shared.map(|(name, e)| (name, Arc::new(e))).collect()
}

pub(super) fn read_entity(
    name: Option<&EntityName>,
    table: &Table<'_, '_>,
    problems: &mut Problems,
) -> Option<(Entity, Vec<WantedChild>)> {
    table.check_keys(
        &[
            "title",
            "max_record_bytes",
            "max_array_items",
            "schema",
            "index",
            "archive",
        ],
        &[],
        problems,
    );
    let before = problems.len();
    let max_record_bytes = table.size("max_record_bytes", RECORD_BYTES_MAX, problems);
    let max_array_items = table.size("max_array_items", ARRAY_ITEMS_MAX, problems);
    let title = table.string("title", problems);
    let Some(Compiled { schema, validator }) = read_schema(table, problems) else {
        // Without its schema nothing can be said about the kinds of its fields;
        // names and keys are checked all the same.
        read_indexes(table, None, problems);
        return None;
    };
    if let Some((title, place)) = &title {
        check_title(&schema, title, place, problems);
    }
    let indexes = read_indexes(table, Some(&schema), problems);
    let archive = read_archive(table, &schema, &indexes, problems);
    let (archive, children) = archive.unzip();
    let name = name.filter(|_| problems.len() == before)?;
    let entity = Entity {
        name: name.clone(),
        title: title.map(|(title, _)| title.to_owned()),
        max_record_bytes: max_record_bytes.unwrap_or(RECORD_BYTES_DEFAULT),
        max_array_items: max_array_items.unwrap_or(ARRAY_ITEMS_DEFAULT),
        schema,
        indexes,
        archive,
        validator: Arc::new(validator),
    };
    Some((entity, children.unwrap_or_default()))
}

fn check_title(schema: &Value, title: &str, place: &Place, problems: &mut Problems) {
    match field_of(schema, title) {
        Ok(field) if field.multi => {
            problems.add(place, "is a list: expected a field with a single value");
        }
        Ok(_) => {}
        Err(message) => problems.add(place, message),
    }
}

fn read_schema(table: &Table<'_, '_>, problems: &mut Problems) -> Option<Compiled> {
    let before = problems.len();
    let entry = table.get("schema");
    let members = match &entry {
        None => Map::new(),
        Some(entry) => match entry.to_json(problems) {
            Value::Object(members) => members,
            _ => {
                entry.wrong_type("a table, as in [entity.ticket.schema]", problems);
                return None;
            }
        },
    };
    if problems.len() > before {
        return None;
    }
    compile(members)
        .map_err(|found| {
            for problem in found {
                let place = match &entry {
                    Some(entry) => entry.locate(&problem.path),
                    None => table.place.clone(),
                };
                problems.add(&place, problem.message);
            }
        })
        .ok()
}
