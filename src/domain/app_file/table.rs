//! Reading parsed TOML: tables with places, typed values, unknown keys.

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problems::{Place, Problems};
use crate::domain::similar;

/// A table and where it stands.
pub(super) struct Table<'t, 'i> {
    pub members: &'t DeTable<'i>,
    pub place: Place,
}

/// A value and where it stands.
pub(super) struct Entry<'t, 'i> {
    pub value: &'t DeValue<'i>,
    pub place: Place,
}

impl<'t, 'i> Table<'t, 'i> {
    pub(super) fn get(&self, key: &str) -> Option<Entry<'t, 'i>> {
        let value: &Spanned<DeValue<'i>> = self.members.get(key)?;
        Some(Entry {
            value: value.get_ref(),
            place: self.place.name(key, value.span()),
        })
    }

    /// Every member, each with the place of its key.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'t str, Place, Entry<'t, 'i>)> + '_ {
        self.members.iter().map(|(key, value)| {
            let name: &'t str = key.get_ref();
            let entry = Entry {
                value: value.get_ref(),
                place: self.place.name(name, value.span()),
            };
            (name, self.place.name(name, key.span()), entry)
        })
    }

    /// Tells of every key that is neither known nor announced for a later version.
    pub(super) fn check_keys(&self, known: &[&str], later: &[&str], problems: &mut Problems) {
        for (name, place, _) in self.entries() {
            if later.contains(&name) {
                problems.add(&place, format!("{name} is not supported by this version"));
            } else if !known.contains(&name) {
                let hint = similar::hint(name, known.iter().copied());
                let message = format!("unknown key; expected {}{hint}", known.join(", "));
                problems.add(&place, message);
            }
        }
    }

    pub(super) fn string(&self, key: &str, problems: &mut Problems) -> Option<(&'t str, Place)> {
        let entry = self.get(key)?;
        match entry.value.as_str() {
            Some(text) => Some((text, entry.place)),
            None => {
                entry.wrong_type("a string", problems);
                None
            }
        }
    }

    pub(super) fn boolean(&self, key: &str, problems: &mut Problems) -> Option<(bool, Place)> {
        let entry = self.get(key)?;
        match entry.value.as_bool() {
            Some(value) => Some((value, entry.place)),
            None => {
                entry.wrong_type("true or false", problems);
                None
            }
        }
    }

    /// An integer from 1 to `most`.
    pub(super) fn size(&self, key: &str, most: usize, problems: &mut Problems) -> Option<usize> {
        let entry = self.get(key)?;
        let integer = entry.value.as_integer();
        let read = integer.and_then(|i| i128::from_str_radix(i.as_str(), i.radix()).ok());
        let size = read.and_then(|size| usize::try_from(size).ok());
        match size.filter(|size| (1..=most).contains(size)) {
            None => {
                let expected = format!("an integer from 1 to {most}");
                if integer.is_some() {
                    problems.add(&entry.place, format!("expected {expected}"));
                } else {
                    entry.wrong_type(&expected, problems);
                }
                None
            }
            size => size,
        }
    }
}

impl<'t, 'i> Entry<'t, 'i> {
    pub(super) fn table(self, expected: &str, problems: &mut Problems) -> Option<Table<'t, 'i>> {
        match self.value.as_table() {
            Some(members) => Some(Table {
                members,
                place: self.place,
            }),
            None => {
                self.wrong_type(expected, problems);
                None
            }
        }
    }

    /// The items of a list.
    pub(super) fn items(
        &self,
        expected: &str,
        problems: &mut Problems,
    ) -> Option<Vec<Entry<'t, 'i>>> {
        let Some(items) = self.value.as_array() else {
            self.wrong_type(expected, problems);
            return None;
        };
        let entry = |(i, item): (usize, &'t Spanned<DeValue<'i>>)| Entry {
            value: item.get_ref(),
            place: self.place.item(i, item.span()),
        };
        Some(items.iter().enumerate().map(entry).collect())
    }

    pub(super) fn wrong_type(&self, expected: &str, problems: &mut Problems) {
        let given = match self.value {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let message = format!("expected {expected}, found {given}");
        match self.value {
            // A broken header leaves such behind; the header is told already.
            DeValue::Array(_) | DeValue::Table(_) => problems.missing(&self.place, message),
            _ => problems.add(&self.place, message),
        }
    }

    /// The value as JSON; what JSON cannot hold is a problem.
    pub(super) fn to_json(&self, problems: &mut Problems) -> Value {
        match self.value {
            DeValue::String(text) => Value::from(text.as_ref()),
            DeValue::Boolean(value) => Value::from(*value),
            DeValue::Datetime(at) => Value::from(at.to_string()),
            DeValue::Integer(integer) => {
                let text = integer.as_str();
                let text = text.strip_prefix('+').unwrap_or(text);
                let signed = i64::from_str_radix(text, integer.radix()).map(Value::from);
                let read =
                    signed.or_else(|_| u64::from_str_radix(text, integer.radix()).map(Value::from));
                read.unwrap_or_else(|_| {
                    problems.add(&self.place, "expected an integer of at most 64 bits");
                    Value::Null
                })
            }
            DeValue::Float(float) => {
                let number = float
                    .as_str()
                    .parse()
                    .ok()
                    .and_then(serde_json::Number::from_f64);
                number.map_or_else(
                    || {
                        problems.add(
                            &self.place,
                            "expected a number that JSON has: no inf, no nan",
                        );
                        Value::Null
                    },
                    Value::Number,
                )
            }
            DeValue::Array(_) => {
                let items = self.items("a list", problems).unwrap_or_default();
                items.iter().map(|item| item.to_json(problems)).collect()
            }
            DeValue::Table(members) => {
                let table = Table {
                    members,
                    place: self.place.clone(),
                };
                let members: Map<String, Value> = table
                    .entries()
                    .map(|(name, _, entry)| (name.to_owned(), entry.to_json(problems)))
                    .collect();
                Value::Object(members)
            }
        }
    }

    /// The place that a path within the value leads to, as far as it leads.
    pub(super) fn locate(&self, path: &[String]) -> Place {
        let mut place = self.place.clone();
        let mut value = self.value;
        for segment in path {
            let next = match value {
                DeValue::Table(members) => {
                    let members: &DeTable<'i> = members;
                    members
                        .get(segment.as_str())
                        .map(|next| (next, place.name(segment, next.span())))
                }
                DeValue::Array(items) => segment
                    .parse()
                    .ok()
                    .and_then(|i: usize| Some((items.get(i)?, i)))
                    .map(|(next, i)| (next, place.item(i, next.span()))),
                _ => None,
            };
            let Some((next, at)) = next else { break };
            (value, place) = (next.get_ref(), at);
        }
        place
    }
}
