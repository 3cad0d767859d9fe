//! What values a field has, as far as the schema tells: that decides how an index
//! orders it.

use serde_json::Value;

use super::resolve_reference;
use crate::domain::entity::{Field, SystemField};
use crate::domain::similar;
use crate::domain::value::Kind;

/// References and branches are followed so far; a schema may refer to itself.
const HOPS_MAX: usize = 32;

/// The field at a dotted path, or why no index can hold it. The entity's own
/// timestamps go by the names that the wire gives them.
pub fn field_of(schema: &Value, path: &str) -> Result<Field, String> {
    if let Some(system) = SystemField::named(path) {
        return Ok(Field {
            path: path.to_owned(),
            kind: Kind::Instant,
            multi: false,
            system: Some(system),
        });
    }
    let mut here = schema;
    let mut walked: Vec<&str> = Vec::new();
    for segment in path.split('.') {
        match property(schema, here, segment, HOPS_MAX) {
            Found::Schema(next) => here = next,
            Found::Untyped => return Ok(scalar(path, Kind::Text, false)),
            Found::Nothing(names) => {
                let hint = similar::hint(segment, names.iter().map(String::as_str));
                let place = if walked.is_empty() {
                    "the schema".to_owned()
                } else {
                    walked.join(".")
                };
                return Err(format!("{place} has no property \"{segment}\"{hint}"));
            }
            Found::NoObject(what) => {
                return Err(format!(
                    "{} is {what}, which has no fields",
                    walked.join(".")
                ));
            }
        }
        walked.push(segment);
    }
    match shape(schema, here, HOPS_MAX) {
        Shape::One(kind) => Ok(scalar(path, kind, false)),
        Shape::List(kind) => Ok(scalar(path, kind, true)),
        Shape::Untyped => Ok(scalar(path, Kind::Text, false)),
        Shape::Object => Err(format!(
            "{path} is an object: an index takes single values; name one of its fields, as in {path}.name"
        )),
        Shape::ObjectList => Err(format!(
            "{path} is a list of objects or of lists: an index takes single values and lists of \
             single values; make its items records of their own"
        )),
    }
}

fn scalar(path: &str, kind: Kind, multi: bool) -> Field {
    Field {
        path: path.to_owned(),
        kind,
        multi,
        system: None,
    }
}

enum Found<'a> {
    Schema(&'a Value),
    /// The schema allows it and says nothing about it.
    Untyped,
    /// The schema forbids it; the names that it knows.
    Nothing(Vec<String>),
    NoObject(&'static str),
}

fn property<'a>(root: &'a Value, schema: &'a Value, name: &str, hops: usize) -> Found<'a> {
    if hops == 0 {
        return Found::Untyped;
    }
    if let Some(found) = schema.get("properties").and_then(|named| named.get(name)) {
        return Found::Schema(found);
    }
    for inner in also_applied(root, schema) {
        match property(root, inner, name, hops - 1) {
            Found::Untyped => {}
            found => return found,
        }
    }
    match types(schema).as_slice() {
        [] | ["object"] => {}
        ["array"] => return Found::NoObject("a list"),
        several if !several.contains(&"object") => return Found::NoObject("a single value"),
        _ => {}
    }
    let closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
    if closed && schema.get("patternProperties").is_none() {
        let named = schema.get("properties").and_then(Value::as_object);
        return Found::Nothing(named.into_iter().flat_map(|n| n.keys().cloned()).collect());
    }
    Found::Untyped
}

/// The schemas that apply to the same value besides `schema`.
fn also_applied<'a>(root: &'a Value, schema: &'a Value) -> Vec<&'a Value> {
    let reference = schema.get("$ref").and_then(Value::as_str);
    let all = schema.get("allOf").and_then(Value::as_array);
    reference
        .and_then(|reference| resolve_reference(root, reference))
        .into_iter()
        .chain(all.into_iter().flatten())
        .collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    One(Kind),
    List(Kind),
    Object,
    ObjectList,
    Untyped,
}

/// The schema's types without `null`.
fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several
            .iter()
            .filter_map(Value::as_str)
            .filter(|name| *name != "null")
            .collect(),
        _ => Vec::new(),
    }
}

fn shape(root: &Value, schema: &Value, hops: usize) -> Shape {
    if hops == 0 {
        return Shape::Untyped;
    }
    match types(schema).as_slice() {
        ["string"] => Shape::One(if is_time(schema) {
            Kind::Instant
        } else {
            text_or_time(root, schema)
        }),
        ["integer" | "number"] | ["integer", "number"] | ["number", "integer"] => {
            Shape::One(Kind::Number)
        }
        ["boolean"] => Shape::One(Kind::Bool),
        ["object"] => Shape::Object,
        ["array"] => match schema
            .get("items")
            .map(|items| shape(root, items, hops - 1))
        {
            Some(Shape::One(kind)) => Shape::List(kind),
            None | Some(Shape::Untyped) => Shape::List(Kind::Text),
            Some(_) => Shape::ObjectList,
        },
        [] => untyped(root, schema, hops),
        _ => Shape::Untyped,
    }
}

fn is_time(schema: &Value) -> bool {
    matches!(
        schema.get("format").and_then(Value::as_str),
        Some("date-time" | "date")
    )
}

/// A string whose format stands in what it refers to.
fn text_or_time(root: &Value, schema: &Value) -> Kind {
    if also_applied(root, schema).into_iter().any(is_time) {
        Kind::Instant
    } else {
        Kind::Text
    }
}

/// A schema without `type` may still tell: by what it refers to, by the values it
/// lists, by branches that agree, by its format, by keywords of one type only.
fn untyped(root: &Value, schema: &Value, hops: usize) -> Shape {
    let told = also_applied(root, schema)
        .into_iter()
        .map(|inner| shape(root, inner, hops - 1));
    if let Some(shape) = told.into_iter().find(|shape| *shape != Shape::Untyped) {
        return shape;
    }
    let listed = schema
        .get("enum")
        .and_then(Value::as_array)
        .map(Vec::as_slice);
    if let Some(shape) = listed
        .or_else(|| schema.get("const").map(std::slice::from_ref))
        .map(of_values)
    {
        return shape;
    }
    for keyword in ["anyOf", "oneOf"] {
        let branches = schema.get(keyword).and_then(Value::as_array);
        let mut shapes = branches
            .into_iter()
            .flatten()
            .filter(|branch| branch.get("type") != Some(&Value::from("null")))
            .map(|branch| shape(root, branch, hops - 1));
        if let Some(first) = shapes.next() {
            return if shapes.all(|shape| shape == first) {
                first
            } else {
                Shape::Untyped
            };
        }
    }
    if is_time(schema) {
        Shape::One(Kind::Instant)
    } else if schema.get("properties").is_some() {
        Shape::Object
    } else {
        Shape::Untyped
    }
}

fn of_values(values: &[Value]) -> Shape {
    let values = values.iter().filter(|value| !value.is_null());
    let all = |test: fn(&Value) -> bool| values.clone().all(test);
    if values.clone().next().is_none() {
        Shape::Untyped
    } else if all(Value::is_string) {
        Shape::One(Kind::Text)
    } else if all(Value::is_number) {
        Shape::One(Kind::Number)
    } else if all(Value::is_boolean) {
        Shape::One(Kind::Bool)
    } else if all(Value::is_object) {
        Shape::Object
    } else {
        Shape::Untyped
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn kind(property: Value) -> Option<(Kind, bool)> {
        let schema = json!({
            "properties": {"f": property},
            "$defs": {
                "when": {"type": "string", "format": "date-time"},
                "address": {"type": "object", "properties": {"zip": {"type": "integer"}}},
                "loop": {"$ref": "#/$defs/loop"}
            }
        });
        field_of(&schema, "f")
            .ok()
            .map(|field| (field.kind, field.multi))
    }

    #[test]
    fn kinds() {
        for (property, want) in [
            (json!({"type": "string"}), Some((Kind::Text, false))),
            (
                json!({"type": "string", "format": "date-time"}),
                Some((Kind::Instant, false)),
            ),
            (
                json!({"type": ["string", "null"], "format": "date"}),
                Some((Kind::Instant, false)),
            ),
            (
                json!({"$ref": "#/$defs/when"}),
                Some((Kind::Instant, false)),
            ),
            (
                json!({"type": "string", "$ref": "#/$defs/when"}),
                Some((Kind::Instant, false)),
            ),
            (
                json!({"anyOf": [{"$ref": "#/$defs/when"}, {"type": "null"}]}),
                Some((Kind::Instant, false)),
            ),
            (json!({"type": "integer"}), Some((Kind::Number, false))),
            (
                json!({"type": ["null", "number", "integer"]}),
                Some((Kind::Number, false)),
            ),
            (json!({"type": "boolean"}), Some((Kind::Bool, false))),
            (json!({"enum": ["a", "b", null]}), Some((Kind::Text, false))),
            (json!({"enum": [1, 2.5]}), Some((Kind::Number, false))),
            (json!({"enum": [1, "a"]}), Some((Kind::Text, false))),
            (json!({"const": true}), Some((Kind::Bool, false))),
            (json!({}), Some((Kind::Text, false))),
            (json!(true), Some((Kind::Text, false))),
            (
                json!({"type": ["string", "number"]}),
                Some((Kind::Text, false)),
            ),
            (json!({"$ref": "#/$defs/loop"}), Some((Kind::Text, false))),
            (
                json!({"type": "array", "items": {"type": "string"}}),
                Some((Kind::Text, true)),
            ),
            (
                json!({"type": "array", "items": {"enum": ["a"]}}),
                Some((Kind::Text, true)),
            ),
            (json!({"type": "array"}), Some((Kind::Text, true))),
            (json!({"type": "array", "items": {"type": "object"}}), None),
            (json!({"type": "array", "items": {"type": "array"}}), None),
            (json!({"type": "object"}), None),
            (json!({"$ref": "#/$defs/address"}), None),
        ] {
            assert_eq!(kind(property.clone()), want, "{property}");
        }
    }

    #[test]
    fn paths() {
        let schema = json!({
            "additionalProperties": false,
            "properties": {
                "meta": {"properties": {"tier": {"type": "integer"}}},
                "home": {"$ref": "#/$defs/address"},
                "name": {"type": "string"},
                "rows": {"type": "array", "items": {"type": "object"}}
            },
            "$defs": {"address": {"type": "object", "properties": {"zip": {"type": "integer"}}}}
        });
        let kind = |path| field_of(&schema, path).map(|field| field.kind);
        assert_eq!(kind("meta.tier"), Ok(Kind::Number));
        assert_eq!(kind("meta.other"), Ok(Kind::Text));
        assert_eq!(kind("home.zip"), Ok(Kind::Number));
        assert_eq!(kind("created_at"), Ok(Kind::Instant));
        assert_eq!(
            kind("nmae").unwrap_err(),
            "the schema has no property \"nmae\"; did you mean \"name\"?"
        );
        assert_eq!(
            kind("name.x").unwrap_err(),
            "name is a single value, which has no fields"
        );
        assert_eq!(
            kind("rows.x").unwrap_err(),
            "rows is a list, which has no fields"
        );
    }
}
