//! A CSV's header, and rows turned into JSON by the types of the schema.
//!
//! An empty field is left out of the record, whatever the schema says of it.
//! Lists and objects stand in their field as JSON text.

use super::rows::Fields;
use crate::{
    domain::{Entity, Kind},
    service::{Code, Error, Result},
};

/// The header.
pub(super) struct Columns(Vec<Column>);

struct Column {
    name: String,
    /// The name as JSON.
    quoted: String,
    form: Form,
}

#[derive(Clone, Copy)]
enum Form {
    Text,
    Number,
    Bool,
    Json,
}

impl Columns {
    /// Reads the header's names and looks up their types.
    pub(super) fn of(entity: &Entity, header: &Fields<'_>) -> Result<Self> {
        let mut columns: Vec<Column> = Vec::with_capacity(header.len());
        for (at, name) in header.iter().enumerate() {
            let bad = |what: &str| {
                let text = format!("Column {} of the CSV's header {what}.", at + 1);
                Error::new(Code::BadRequest, text)
            };
            let name = std::str::from_utf8(name).map_err(|_| bad("is not UTF-8"))?;
            let name = name.trim();
            if name.is_empty() {
                return Err(bad("has no name"));
            }
            if columns.iter().any(|column| column.name == name) {
                return Err(bad(&format!("has the name {name:?} a second time")));
            }
            columns.push(Column {
                name: name.to_owned(),
                quoted: quote(name),
                form: form(entity, name),
            });
        }
        Ok(Self(columns))
    }

    /// The row's JSON, or what is wrong with it.
    pub(super) fn json(&self, row: &Fields<'_>) -> Result<Vec<u8>, String> {
        if row.len() != self.0.len() {
            let (has, wants) = (row.len(), self.0.len());
            return Err(format!("has {has} fields; the header has {wants}"));
        }
        let mut json = String::from("{");
        for (column, field) in self.0.iter().zip(row.iter()) {
            let name = &column.name;
            let field = std::str::from_utf8(field)
                .map_err(|_| format!("the column {name:?} is not UTF-8"))?;
            if field.is_empty() {
                continue;
            }
            if json.len() > 1 {
                json.push(',');
            }
            json.push_str(&column.quoted);
            json.push(':');
            let expected = match (column.form, field.trim()) {
                (Form::Text, _) => {
                    json.push_str(&quote(field));
                    continue;
                }
                (Form::Bool, truth) => match truth.to_ascii_lowercase().as_str() {
                    truth @ ("true" | "false") => {
                        json.push_str(truth);
                        continue;
                    }
                    _ => "true or false",
                },
                (Form::Number, number) => match number_token(number) {
                    Some(token) => {
                        json.push_str(&token);
                        continue;
                    }
                    None => "a number",
                },
                (Form::Json, text) => {
                    match serde_json::from_str::<&serde_json::value::RawValue>(text) {
                        Ok(value) => {
                            json.push_str(value.get());
                            continue;
                        }
                        Err(_) => "JSON, as a list or an object is written",
                    }
                }
            };
            let shown: String = field.chars().take(80).collect();
            return Err(format!(
                "the column {name:?} has {shown:?}; expected {expected}"
            ));
        }
        json.push('}');
        Ok(json.into_bytes())
    }
}

/// A column's name is one property's, also where it holds a dot.
fn form(entity: &Entity, name: &str) -> Form {
    let declared = entity.schema["properties"].get(name).is_some();
    if !declared || name.contains('.') {
        return Form::Text;
    }
    match entity.field(name) {
        Ok(field) if field.system.is_some() => Form::Text,
        Ok(field) if field.multi => Form::Json,
        Ok(field) => match field.kind {
            Kind::Bool => Form::Bool,
            Kind::Number => Form::Number,
            Kind::Instant | Kind::Text => Form::Text,
        },
        // Objects and lists of objects.
        Err(_) => Form::Json,
    }
}

/// A number as it stands where JSON can hold it so, else its value.
fn number_token(text: &str) -> Option<String> {
    if serde_json::from_str::<serde_json::Number>(text).is_ok() {
        return Some(text.to_owned());
    }
    let digits = |b: u8| b.is_ascii_digit() || b"+-.eE".contains(&b);
    if !text.bytes().all(digits) {
        return None;
    }
    let sign = text.strip_prefix('+').unwrap_or(text);
    if sign.parse::<i64>().is_ok_and(|n| n.to_string() == sign) {
        return Some(sign.to_owned());
    }
    let value: f64 = text.parse().ok()?;
    Some(serde_json::Number::from_f64(value)?.to_string())
}

fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
