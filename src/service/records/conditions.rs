//! `If-Match` and `If-None-Match` (RFC 9110), and what a refusal tells.

use super::{Action, Operation, targets::Target};
use crate::{
    domain::{
        Entity, RecordMeta,
        record::{EtagMatch, etag},
    },
    service::{Code, Error, Result},
};

/// The problem of a creation under an id that is taken.
pub(super) fn exists(entity: &Entity, target: &Target, meta: &RecordMeta) -> Error {
    Error::new(
        Code::AlreadyExists,
        format!(
            "The record {:?} of the entity {} exists; use PUT to replace it.",
            target.id.as_str(),
            entity.name
        ),
    )
    .with("current_version", meta.version)
    .with("current_etag", etag(meta))
}

/// `If-Match` and `If-None-Match` (RFC 9110). A patch or a deletion of nothing is
/// not found, whatever the condition says.
pub(super) fn check_conditions(operation: &Operation, current: Option<&RecordMeta>) -> Result<()> {
    let needs_one = matches!(
        operation.action,
        Action::Patch { .. }
            | Action::Delete { .. }
            | Action::Archive { .. }
            | Action::Restore { .. }
            | Action::Purge { .. }
    );
    if current.is_none() && needs_one {
        return Ok(());
    }
    let held = |wanted: &EtagMatch| current.is_some_and(|m| wanted.matches(m));
    let failed = match (&operation.if_match, &operation.if_none_match) {
        (Some(wanted), _) if !held(wanted) => "If-Match",
        (_, Some(unwanted)) if held(unwanted) => "If-None-Match",
        _ => return Ok(()),
    };
    let error = match current {
        Some(meta) => Error::new(
            Code::PreconditionFailed,
            format!(
                "{failed} did not hold: the record is at version {}. Read it again and decide anew.",
                meta.version
            ),
        )
        .with("current_version", meta.version)
        .with("current_etag", etag(meta)),
        None => Error::new(
            Code::PreconditionFailed,
            format!("{failed} did not hold: there is no such record."),
        )
        .with("current_version", serde_json::Value::Null),
    };
    Err(error)
}
