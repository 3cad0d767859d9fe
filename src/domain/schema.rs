//! An entity's JSON Schema (2020-12): checked beyond what the meta-schema asks,
//! so that a slip is found when the app file is applied, and compiled once.

mod check;
mod shape;

pub use shape::field_of;

use jsonschema::{Draft, PatternOptions, ValidationError, Validator};
use serde_json::{Map, Value};

/// A mistake in a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaProblem {
    /// Where in the schema: keys and positions, outermost first.
    pub path: Vec<String>,
    /// What is wrong, and what was expected.
    pub message: String,
}

/// A schema and what checks records against it.
#[derive(Debug)]
pub struct Compiled {
    /// The schema, `type = "object"` added where no type was given.
    pub schema: Value,
    /// The compiled form.
    pub validator: Validator,
}

/// Checks and compiles a schema for records.
pub fn compile(members: Map<String, Value>) -> Result<Compiled, Vec<SchemaProblem>> {
    let mut schema = Value::Object(members);
    let mut problems = check::check(&schema);
    match schema.get("type") {
        None => schema["type"] = Value::from("object"),
        Some(Value::String(name)) if name == "object" => {}
        Some(_) if problems.iter().any(|problem| problem.path == ["type"]) => {}
        Some(_) => problems.push(SchemaProblem {
            path: vec!["type".to_owned()],
            message: "a record is an object: expected \"object\", or no type at all".to_owned(),
        }),
    }
    check::check_against_meta_schema(&schema, &mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }
    match build(&schema) {
        Ok(validator) => Ok(Compiled { schema, validator }),
        Err(error) => Err(vec![SchemaProblem {
            path: check::segments(error.instance_path()),
            message: check::message_of(&error),
        }]),
    }
}

/// Records are checked while requests wait: an engine that can backtrack would let
/// one pattern and one record hold a worker for hours. And no schema may make the
/// server fetch anything.
fn build(schema: &Value) -> Result<Validator, ValidationError<'static>> {
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .should_validate_formats(true)
        .offline()
        .with_pattern_options(PatternOptions::regex())
        .build(schema)
}

/// The subschema that a local `$ref` names.
fn resolve_reference<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    let fragment = reference.strip_prefix('#')?;
    if !fragment.is_empty() && !fragment.starts_with('/') {
        return None;
    }
    root.pointer(fragment)
}
