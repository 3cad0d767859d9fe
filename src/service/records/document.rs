//! The document that an operation leaves behind: read strictly, kept as the
//! client wrote it but for its white space, and checked against the entity.

use bytes::Bytes;
use serde_json::Value as Json;

use crate::{
    domain::{
        Entity, FieldProblem,
        record::{JsonProblem, merge_patch, minify, parse_object, parse_strict},
    },
    service::{Code, Error, Result},
};

/// So many problems of a record are told in one sentence.
const DETAIL_PROBLEMS_MAX: usize = 3;

/// A record's data, as bytes to store and as a value to check and index.
pub(super) struct Document {
    pub json: Bytes,
    pub value: Json,
}

impl Document {
    /// The whole document, from a request.
    pub fn whole(entity: &Entity, body: &[u8]) -> Result<Self> {
        let value = parse_object(body).map_err(not_json)?;
        Self::checked(entity, minify(body).into(), value)
    }

    /// A stored document with a merge patch (RFC 7396) applied.
    pub fn patched(entity: &Entity, stored: &[u8], patch: &[u8]) -> Result<Self> {
        parse_object(patch).map_err(not_json)?;
        let merged = merge_patch(stored, patch).map_err(not_json)?;
        let value = parse_object(&merged).map_err(not_json)?;
        Self::checked(entity, merged.into(), value)
    }

    fn checked(entity: &Entity, json: Bytes, value: Json) -> Result<Self> {
        match entity.validate(&value, json.len()) {
            Ok(()) => Ok(Self { json, value }),
            Err(problems) => Err(unfit(entity, &problems)),
        }
    }
}

/// The detail has the first problems, for who reads only that; all are in the member.
fn unfit(entity: &Entity, problems: &[FieldProblem]) -> Error {
    let told = problems.iter().take(DETAIL_PROBLEMS_MAX);
    let mut told: Vec<String> = told.map(FieldProblem::to_string).collect();
    match problems.len().saturating_sub(told.len()) {
        0 => {}
        more => told.push(format!("and {more} more")),
    }
    let detail = format!(
        "The record does not fit the entity {}: {}.",
        entity.name,
        told.join("; ")
    );
    Error::new(Code::InvalidRecord, detail).with("problems", problems)
}

/// A stored document, to find its index rows.
pub(super) fn parse_stored(json: &[u8]) -> Result<Json> {
    parse_strict(json).map_err(|error| Error::internal(format!("a stored record: {error}")))
}

fn not_json(problem: JsonProblem) -> Error {
    let JsonProblem {
        message,
        line,
        column,
    } = problem;
    let place = match line {
        0 => String::new(),
        _ => format!(" at line {line}, column {column}"),
    };
    let error = Error::new(
        Code::InvalidJson,
        format!("The data is not a JSON object that can be stored: {message}{place}."),
    );
    match line {
        0 => error,
        _ => error.with("line", line).with("column", column),
    }
}
