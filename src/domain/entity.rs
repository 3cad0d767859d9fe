//! An entity: a kind of record, its schema, limits and indexes.

use std::sync::Arc;

use serde_json::Value;

use super::FieldProblem;
use super::archive::{ArchiveRule, When, due_row};
use super::names::{EntityName, IndexName};
use super::record::RecordMeta;
use super::schema::field_of;
use super::value::{IndexValue, Kind, TEXT_BYTES_MAX, encode_values};

/// `max_record_bytes` where the app file does not say.
pub const RECORD_BYTES_DEFAULT: usize = 65_536;
/// `max_array_items` where the app file does not say.
pub const ARRAY_ITEMS_DEFAULT: usize = 1_000;
/// The largest `max_array_items`.
pub const ARRAY_ITEMS_MAX: usize = 100_000;
/// How many indexes an entity may have.
pub const INDEXES_MAX: usize = 20;
/// How many fields an index may have.
pub const INDEX_FIELDS_MAX: usize = 8;
/// How many problems of one record are told.
const PROBLEMS_MAX: usize = 20;
/// A problem's message is cut at so many characters.
const MESSAGE_CHARS_MAX: usize = 300;

/// A kind of record, as the app file declares it.
#[derive(Clone)]
pub struct Entity {
    /// Its name.
    pub name: EntityName,
    /// The field that stands for a record in a list.
    pub title: Option<String>,
    /// The largest record, in bytes of its minified JSON.
    pub max_record_bytes: usize,
    /// The longest array anywhere in a record.
    pub max_array_items: usize,
    /// The JSON Schema (2020-12) that every record fits when it is written.
    pub schema: Value,
    /// The declared access patterns.
    pub indexes: Vec<Index>,
    /// When its records leave the hot tree.
    pub archive: Option<ArchiveRule>,
    pub(super) validator: Arc<jsonschema::Validator>,
}

impl std::fmt::Debug for Entity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entity")
            .field("name", &self.name)
            .field("title", &self.title)
            .field("max_record_bytes", &self.max_record_bytes)
            .field("max_array_items", &self.max_array_items)
            .field("indexes", &self.indexes)
            .field("archive", &self.archive)
            .finish_non_exhaustive()
    }
}

/// A declared access pattern: equality on the first fields, then at most one
/// range or order on the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// Its name, which stands in its rows' keys.
    pub name: IndexName,
    /// Its fields, first to last.
    pub fields: Vec<Field>,
    /// Whether a second record with the same values is refused.
    pub unique: bool,
    /// Whether rows are counted for each value of all fields but the last.
    pub count: bool,
    /// Set where it is the index of an archive rule, which holds only records that
    /// meet its condition. Lists never use it.
    pub when: Option<When>,
}

/// A field of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Where it stands in the record, its parts joined by dots.
    pub path: String,
    /// What values it has.
    pub kind: Kind,
    /// Whether it holds a list of strings, each of which makes a row of its own.
    pub multi: bool,
    /// Set where it is not of the record's data but one of our own timestamps.
    pub system: Option<SystemField>,
}

/// A timestamp that Tenantry keeps for every record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SystemField {
    /// When the record was made.
    CreatedAt,
    /// When it was last written.
    UpdatedAt,
}

impl SystemField {
    /// The timestamp of that name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "created_at" => Some(Self::CreatedAt),
            "updated_at" => Some(Self::UpdatedAt),
            _ => None,
        }
    }
}

/// A record that an index cannot take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct IndexProblem {
    /// The index.
    pub index: IndexName,
    /// The field.
    pub field: String,
    /// What is wrong.
    pub message: String,
}

impl Index {
    /// A text that changes whenever the index's rows or counters would.
    pub fn fingerprint(&self) -> String {
        let mut text = String::from("1");
        for (set, name) in [(self.unique, ";unique"), (self.count, ";count")] {
            if set {
                text.push_str(name);
            }
        }
        for (field, value) in self.when.iter().flatten() {
            text.push_str(&format!(";when:{}={value:?}", field.path));
        }
        for field in &self.fields {
            text.push(';');
            text.push_str(match field.system {
                Some(_) => "system",
                None => field.kind.name(),
            });
            text.push_str(if field.multi { "[]:" } else { ":" });
            text.push_str(&field.path);
        }
        text
    }

    /// The counter that a row belongs to: the values of all fields but the last,
    /// as they stand in its key. `None` where the index does not count.
    pub fn count_prefix(&self, row: &[IndexValue]) -> Option<Vec<u8>> {
        let (_, counted) = row.split_last().filter(|_| self.count)?;
        Some(encode_values(counted))
    }
}

impl Entity {
    /// The index of that name.
    pub fn index(&self, name: &str) -> Option<&Index> {
        self.indexes
            .iter()
            .find(|index| index.name.as_str() == name)
    }

    /// All indexes that have rows: those declared, and that of the archive rule.
    pub fn all_indexes(&self) -> impl Iterator<Item = &Index> {
        let due = self.archive.as_ref().map(|rule| &rule.due);
        self.indexes.iter().chain(due)
    }

    /// The field at a dotted path, as an index would have it, or why none can.
    pub fn field(&self, path: &str) -> Result<Field, String> {
        field_of(&self.schema, path)
    }

    /// Checks a record's data, `bytes` long as minified JSON: its size, its arrays,
    /// its schema. At most 20 problems are told.
    pub fn validate(&self, data: &Value, bytes: usize) -> Result<(), Vec<FieldProblem>> {
        let mut problems = Vec::new();
        if bytes > self.max_record_bytes {
            problems.push(FieldProblem::new(
                "",
                format!(
                    "the record is {bytes} bytes; one of {} takes {} (max_record_bytes)",
                    self.name, self.max_record_bytes
                ),
            ));
        }
        self.check_arrays(data, &mut String::new(), &mut problems);
        if !self.validator.is_valid(data) {
            let errors = self.validator.iter_errors(data);
            problems.extend(errors.take(PROBLEMS_MAX).map(|error| {
                let message: String = error.masked().to_string();
                FieldProblem::new(
                    error.instance_path().as_str(),
                    message.chars().take(MESSAGE_CHARS_MAX).collect::<String>(),
                )
            }));
        }
        problems.truncate(PROBLEMS_MAX);
        if problems.is_empty() {
            Ok(())
        } else {
            Err(problems)
        }
    }

    fn check_arrays(&self, value: &Value, pointer: &mut String, problems: &mut Vec<FieldProblem>) {
        let length = pointer.len();
        match value {
            Value::Array(items) => {
                if items.len() > self.max_array_items && problems.len() < PROBLEMS_MAX {
                    problems.push(FieldProblem::new(
                        pointer.clone(),
                        format!(
                            "has {} items; an array of {} takes {} (max_array_items). What grows \
                             belongs in records of its own, with an index on this record's id",
                            items.len(),
                            self.name,
                            self.max_array_items
                        ),
                    ));
                }
                for (i, item) in items
                    .iter()
                    .enumerate()
                    .filter(|(_, item)| holds_more(item))
                {
                    pointer.push_str(&format!("/{i}"));
                    self.check_arrays(item, pointer, problems);
                    pointer.truncate(length);
                }
            }
            Value::Object(members) => {
                for (key, member) in members.iter().filter(|(_, member)| holds_more(member)) {
                    pointer.push('/');
                    pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
                    self.check_arrays(member, pointer, problems);
                    pointer.truncate(length);
                }
            }
            _ => {}
        }
    }

    /// The values of each row that `index` has for a record: none where a field is
    /// missing, several where a field holds a list.
    pub fn index_rows(
        &self,
        index: &Index,
        meta: &RecordMeta,
        data: &Value,
    ) -> Result<Vec<Vec<IndexValue>>, IndexProblem> {
        if let Some(when) = &index.when {
            let by = index.fields.last();
            let row = by.and_then(|by| due_row(when, by, meta, data));
            return Ok(row.into_iter().collect());
        }
        let mut rows: Vec<Vec<IndexValue>> = vec![Vec::with_capacity(index.fields.len())];
        for field in &index.fields {
            let values = field.values(meta, data);
            for value in &values {
                check_length(index, field, value)?;
            }
            rows = match values.as_slice() {
                [] => return Ok(Vec::new()),
                [value] => {
                    rows.iter_mut().for_each(|row| row.push(value.clone()));
                    rows
                }
                // At most one field of an index holds a list, so rows do not multiply.
                several => {
                    let extend = |row: &Vec<IndexValue>| {
                        let row = row.clone();
                        several.iter().map(move |value| {
                            let mut longer = row.clone();
                            longer.push(value.clone());
                            longer
                        })
                    };
                    rows.iter()
                        .flat_map(|row| extend(row).collect::<Vec<_>>())
                        .collect()
                }
            };
        }
        Ok(rows)
    }

    /// The rows of [`Entity::index_rows`] as they stand in keys, between
    /// `tenant#entity@index#` and the id.
    pub fn index_keys(
        &self,
        index: &Index,
        meta: &RecordMeta,
        data: &Value,
    ) -> Result<Vec<Vec<u8>>, IndexProblem> {
        let rows = self.index_rows(index, meta, data)?;
        Ok(rows.iter().map(|row| encode_values(row)).collect())
    }
}

impl Field {
    /// The distinct values of the field in a record, in their order.
    pub(super) fn values(&self, meta: &RecordMeta, data: &Value) -> Vec<IndexValue> {
        match self.system {
            Some(SystemField::CreatedAt) => return vec![IndexValue::from_instant(meta.created_at)],
            Some(SystemField::UpdatedAt) => return vec![IndexValue::from_instant(meta.updated_at)],
            None => {}
        }
        let found = self
            .path
            .split('.')
            .try_fold(data, |value, key| value.get(key));
        match found {
            Some(Value::Array(items)) if self.multi => {
                let mut values: Vec<IndexValue> = items
                    .iter()
                    .filter_map(|item| IndexValue::from_json(self.kind, item))
                    .collect();
                values.sort();
                values.dedup();
                values
            }
            Some(value) => IndexValue::from_json(self.kind, value)
                .into_iter()
                .collect(),
            None => Vec::new(),
        }
    }
}

fn check_length(index: &Index, field: &Field, value: &IndexValue) -> Result<(), IndexProblem> {
    match value {
        IndexValue::Text(text) if text.len() > TEXT_BYTES_MAX => Err(IndexProblem {
            index: index.name.clone(),
            field: field.path.clone(),
            message: format!(
                "is {} bytes long; the index {} takes strings of up to {TEXT_BYTES_MAX} bytes",
                text.len(),
                index.name
            ),
        }),
        _ => Ok(()),
    }
}

fn holds_more(value: &Value) -> bool {
    value.is_array() || value.is_object()
}
