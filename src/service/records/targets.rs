//! Which record each operation is about, settled once: an id made here stays the
//! same however often a write is tried.

use std::collections::HashSet;

use super::{Action, Operation};
use crate::{
    base::Instant,
    domain::RecordId,
    service::{Code, Core, Error, Result},
};

/// The record that an operation is about.
pub(super) struct Target {
    pub id: RecordId,
    /// The moment in an id that was made here.
    pub made: Option<Instant>,
}

/// The target of each operation; no two of them are the same record.
pub(super) fn settle(core: &Core, operations: &[Operation]) -> Result<Vec<Target>> {
    let mut seen = HashSet::with_capacity(operations.len());
    let mut targets = Vec::with_capacity(operations.len());
    for (number, operation) in operations.iter().enumerate() {
        let target = target(core, operation).map_err(|e| e.with("operation", number))?;
        if !seen.insert((operation.entity.as_str(), target.id.clone())) {
            return Err(Error::new(
                Code::BadRequest,
                format!(
                    "Two operations are about the record {} of the entity {}; a batch takes one for each record.",
                    target.id, operation.entity
                ),
            )
            .with("operation", number));
        }
        targets.push(target);
    }
    Ok(targets)
}

fn target(core: &Core, operation: &Operation) -> Result<Target> {
    match &operation.action {
        Action::Create { id: None } | Action::Import { id: None, .. } => {
            let made = core.random.id(core.clock.now());
            let (id, made) = made.map_err(Error::internal)?;
            let id = RecordId::parse(&id).map_err(Error::internal)?;
            Ok(Target {
                id,
                made: Some(made),
            })
        }
        Action::Create { id: Some(id) }
        | Action::Import { id: Some(id), .. }
        | Action::Put { id }
        | Action::Patch { id }
        | Action::Delete { id }
        | Action::Archive { id, .. }
        | Action::Restore { id, .. }
        | Action::Purge { id, .. } => {
            let id = RecordId::parse(id)
                .map_err(|error| Error::new(Code::BadRequest, error.to_string()))?;
            Ok(Target { id, made: None })
        }
    }
}
