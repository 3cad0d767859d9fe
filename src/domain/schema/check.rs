//! What is wrong with a schema, each mistake with its place: unknown types,
//! misspelt keywords and formats, references that leave the schema.

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind;
use jsonschema::paths::{Location, LocationSegment};
use serde_json::{Value, json};

use super::{SchemaProblem, build, resolve_reference};
use crate::domain::similar;

const TYPES: [&str; 7] = [
    "array", "boolean", "integer", "null", "number", "object", "string",
];

/// Keywords whose value is a schema.
const HOLD_SCHEMA: [&str; 12] = [
    "additionalProperties",
    "contains",
    "contentSchema",
    "else",
    "if",
    "items",
    "not",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
    "additionalItems",
];

/// Keywords whose value names schemas.
const HOLD_NAMED: [&str; 5] = [
    "$defs",
    "definitions",
    "dependentSchemas",
    "patternProperties",
    "properties",
];

/// Keywords whose value is a list of schemas.
const HOLD_LIST: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];

/// The other keywords, and annotations so common that they are no slip.
const OTHERS: [&str; 45] = [
    "$anchor",
    "$comment",
    "$dynamicAnchor",
    "$dynamicRef",
    "$id",
    "$ref",
    "$schema",
    "$vocabulary",
    "const",
    "contentEncoding",
    "contentMediaType",
    "default",
    "dependentRequired",
    "deprecated",
    "description",
    "discriminator",
    "enum",
    "example",
    "examples",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "externalDocs",
    "format",
    "id",
    "maxContains",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minContains",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "note",
    "nullable",
    "pattern",
    "readOnly",
    "required",
    "title",
    "type",
    "uniqueItems",
    "writeOnly",
    "xml",
];

const FORMATS: [&str; 19] = [
    "date",
    "date-time",
    "duration",
    "email",
    "hostname",
    "idn-email",
    "idn-hostname",
    "ipv4",
    "ipv6",
    "iri",
    "iri-reference",
    "json-pointer",
    "regex",
    "relative-json-pointer",
    "time",
    "uri",
    "uri-reference",
    "uri-template",
    "uuid",
];

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Finds what the meta-schema does not, or does not say well.
pub(super) fn check(schema: &Value) -> Vec<SchemaProblem> {
    let mut checker = Checker {
        root: schema,
        path: Vec::new(),
        problems: Vec::new(),
    };
    checker.schema(schema);
    checker.problems
}

struct Checker<'a> {
    root: &'a Value,
    path: Vec<String>,
    problems: Vec<SchemaProblem>,
}

impl Checker<'_> {
    fn problem(&mut self, message: String) {
        self.problems.push(SchemaProblem {
            path: self.path.clone(),
            message,
        });
    }

    fn at(&mut self, segment: &str, look: impl FnOnce(&mut Self)) {
        self.path.push(segment.to_owned());
        look(self);
        self.path.pop();
    }

    fn schema(&mut self, schema: &Value) {
        let members = match schema {
            Value::Object(members) => members,
            Value::Bool(_) => return,
            _ => return self.problem("expected a schema, as in { type = \"string\" }".to_owned()),
        };
        for (keyword, value) in members {
            self.at(keyword, |checker| checker.keyword(keyword, value));
        }
    }

    fn keyword(&mut self, keyword: &str, value: &Value) {
        match (keyword, value) {
            ("type", _) => self.types(value),
            ("$ref" | "$dynamicRef", Value::String(reference)) => self.reference(reference),
            ("$schema", Value::String(draft)) if draft.trim_end_matches('#') != DRAFT => {
                self.problem(format!("expected \"{DRAFT}\", or no $schema at all"));
            }
            ("$id", _) => self
                .problem("a schema here has no $id; refer to its parts by #/$defs/...".to_owned()),
            ("format", Value::String(format)) if !FORMATS.contains(&&**format) => {
                // An unknown format is an annotation; one that is nearly known is a slip.
                let hint = similar::hint(format, FORMATS);
                if !hint.is_empty() {
                    self.problem(format!("\"{format}\" is no format{hint}"));
                }
            }
            ("pattern", Value::String(pattern)) => self.pattern(pattern),
            (_, value) if HOLD_SCHEMA.contains(&keyword) => self.schema(value),
            (_, Value::Object(named)) if HOLD_NAMED.contains(&keyword) => {
                for (name, schema) in named {
                    self.at(name, |checker| {
                        if keyword == "patternProperties" {
                            checker.pattern(name);
                        }
                        checker.schema(schema);
                    });
                }
            }
            (_, Value::Array(list)) if HOLD_LIST.contains(&keyword) => {
                for (i, schema) in list.iter().enumerate() {
                    self.at(&i.to_string(), |checker| checker.schema(schema));
                }
            }
            _ => self.unknown(keyword),
        }
    }

    fn unknown(&mut self, keyword: &str) {
        let known = || {
            HOLD_SCHEMA
                .into_iter()
                .chain(HOLD_NAMED)
                .chain(HOLD_LIST)
                .chain(OTHERS)
        };
        if known().any(|name| name == keyword) || keyword.starts_with("x-") {
            return;
        }
        let hint = similar::hint(keyword, known());
        if !hint.is_empty() {
            self.problem(format!("\"{keyword}\" is no keyword of JSON Schema{hint}"));
        }
    }

    fn pattern(&mut self, pattern: &str) {
        if let Err(error) = build(&json!({ "pattern": pattern })) {
            self.problem(message_of(&error));
        }
    }

    fn types(&mut self, value: &Value) {
        let names: Vec<&Value> = match value {
            Value::Array(list) => list.iter().collect(),
            one => vec![one],
        };
        for name in names {
            if name.as_str().is_some_and(|name| TYPES.contains(&name)) {
                continue;
            }
            let hint = name
                .as_str()
                .map_or_else(String::new, |name| similar::hint(name, TYPES));
            self.problem(format!(
                "{name} is no type: expected one of {}{hint}",
                TYPES.join(", ")
            ));
        }
    }

    fn reference(&mut self, reference: &str) {
        if !reference.starts_with('#') {
            self.problem(format!(
                "\"{reference}\" leads out of this schema: expected a local reference, as in \"#/$defs/name\""
            ));
        } else if reference.starts_with("#/") && resolve_reference(self.root, reference).is_none() {
            let names = self.root.get("$defs").and_then(Value::as_object);
            let names: Vec<String> = names
                .into_iter()
                .flat_map(|defs| defs.keys().map(|name| format!("#/$defs/{name}")))
                .collect();
            let hint = similar::hint(reference, names.iter().map(String::as_str));
            self.problem(format!("there is no \"{reference}\" in this schema{hint}"));
        }
    }
}

/// Adds what the meta-schema finds where nothing was found yet.
pub(super) fn check_against_meta_schema(schema: &Value, problems: &mut Vec<SchemaProblem>) {
    for error in jsonschema::draft202012::meta::validator().iter_errors(schema) {
        let path = segments(error.instance_path());
        let known = |problem: &SchemaProblem| {
            path.starts_with(&problem.path) || problem.path.starts_with(&path)
        };
        if !problems.iter().any(known) {
            let message = message_of(&error);
            problems.push(SchemaProblem { path, message });
        }
    }
}

pub(super) fn segments(location: &Location) -> Vec<String> {
    let text = |segment: LocationSegment<'_>| match segment {
        LocationSegment::Property(name) => name.to_string(),
        LocationSegment::Index(index) => index.to_string(),
    };
    location.segments().map(text).collect()
}

pub(super) fn message_of(error: &ValidationError<'_>) -> String {
    match error.kind() {
        ValidationErrorKind::Format { format } if format == "regex" => {
            "is no regular expression that can be matched in linear time: expected one without \
             look-around and backreferences"
                .to_owned()
        }
        _ => {
            let message = error.masked().to_string();
            match message.strip_prefix("value is not of type") {
                Some(types) => format!("expected the type{types}"),
                None => message,
            }
        }
    }
}
