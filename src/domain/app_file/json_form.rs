//! The app file written as JSON: turned into the TOML that is kept, while
//! mistakes are told at their place in the JSON.

use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

use super::problems::Part;
use crate::domain::json::parse_object;

/// A JSON document that is no app file.
pub(super) struct Unreadable {
    pub line: usize,
    pub column: usize,
    /// The parts of the key, where one is to blame.
    pub path: Vec<Part>,
    pub message: String,
}

/// The document as TOML.
pub(super) fn to_toml(json: &str) -> Result<String, Unreadable> {
    let document = parse_object(json.as_bytes()).map_err(|problem| Unreadable {
        line: problem.line,
        column: problem.column,
        path: Vec::new(),
        message: problem.message,
    })?;
    let table = convert(&document, &mut Vec::new()).map_err(|(path, message)| {
        let (line, column) = super::problems::line_and_column(json, locate(json, &path));
        Unreadable {
            line,
            column,
            path,
            message: message.to_owned(),
        }
    })?;
    toml::to_string(&table).map_err(|error| Unreadable {
        line: 1,
        column: 1,
        path: Vec::new(),
        message: error.to_string(),
    })
}

fn convert(value: &Value, path: &mut Vec<Part>) -> Result<toml::Value, (Vec<Part>, &'static str)> {
    Ok(match value {
        Value::Null => {
            let message = "an app file has no null: name \"null\" among the types instead, or leave the key out";
            return Err((path.clone(), message));
        }
        Value::Bool(value) => toml::Value::Boolean(*value),
        Value::String(text) => toml::Value::String(text.clone()),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => toml::Value::Integer(integer),
            (None, Some(float)) if !number.is_u64() => toml::Value::Float(float),
            _ => {
                return Err((
                    path.clone(),
                    "expected an integer of at most 63 bits and a sign",
                ));
            }
        },
        Value::Array(items) => {
            let mut list = Vec::with_capacity(items.len());
            for (i, item) in items.iter().enumerate() {
                path.push(Part::Item(i));
                list.push(convert(item, path)?);
                path.pop();
            }
            toml::Value::Array(list)
        }
        Value::Object(members) => {
            let mut table = toml::Table::new();
            for (name, member) in members {
                path.push(Part::Name(name.clone()));
                table.insert(name.clone(), convert(member, path)?);
                path.pop();
            }
            toml::Value::Table(table)
        }
    })
}

/// The byte where the value of a key begins, or of the innermost part of it that is there.
pub(super) fn locate(json: &str, path: &[Part]) -> usize {
    let mut here: &str = json.trim();
    for part in path {
        let inner = match part {
            Part::Name(name) => serde_json::from_str::<BTreeMap<String, &RawValue>>(here)
                .ok()
                .and_then(|members| members.get(name).map(|value| value.get())),
            Part::Item(position) => serde_json::from_str::<Vec<&RawValue>>(here)
                .ok()
                .and_then(|items| items.get(*position).map(|value| value.get())),
        };
        match inner {
            Some(inner) => here = inner.trim(),
            None => break,
        }
    }
    // `here` is a part of `json`, so the distance of their beginnings is its place.
    here.as_ptr().addr() - json.as_ptr().addr()
}
