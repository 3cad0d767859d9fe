//! Which rows answer a list.

use super::range::KeyRange;
use super::request::{Direction, ListRequest};
use crate::base::Instant;
use crate::domain::entity::{Entity, Index};
use crate::domain::names::IndexName;
use crate::domain::value::IndexValue;

/// How a list is answered.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The rows to read.
    pub access: Access,
    /// From which end.
    pub direction: Direction,
    /// The counter to read, where a count was asked for.
    pub count: CountPlan,
}

/// One range of rows.
#[derive(Debug, Clone)]
pub enum Access {
    /// The records themselves, under `tenant#entity#`, by id.
    Id {
        /// The ids.
        range: KeyRange,
    },
    /// The records themselves, by the time in their ids; right only for an entity
    /// all of whose ids were made here. The range is over ids, too.
    CreatedAt {
        /// The first millisecond, inclusive.
        lower: Option<Instant>,
        /// The last millisecond, inclusive.
        upper: Option<Instant>,
        /// The ids made in that time.
        range: KeyRange,
    },
    /// Rows of an index, under `tenant#entity@index#`.
    Index {
        /// The index.
        index: Index,
        /// The values of its leading fields that the list fixes.
        equals: Vec<IndexValue>,
        /// The rows, `equals` included.
        range: KeyRange,
    },
}

impl Access {
    /// The rows, relative to `tenant#entity#` or `tenant#entity@index#`.
    pub fn range(&self) -> &KeyRange {
        match self {
            Access::Id { range }
            | Access::CreatedAt { range, .. }
            | Access::Index { range, .. } => range,
        }
    }

    /// What serves the list, for `explain`: `id`, `created_at` or the index's name.
    pub fn name(&self) -> &str {
        match self {
            Access::Id { .. } => "id",
            Access::CreatedAt { .. } => "created_at",
            Access::Index { index, .. } => index.name.as_str(),
        }
    }
}

/// The counter that holds a list's count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CountPlan {
    /// No count was asked for.
    None,
    /// The entity's number of records.
    Entity,
    /// An index's number of rows under the values of all its fields but the last.
    IndexPrefix {
        /// The index.
        index: IndexName,
        /// The values.
        values: Vec<IndexValue>,
    },
}

/// Why a list is not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// No index serves it.
    #[error("{detail}")]
    NeedsIndex {
        /// Why, and what to do.
        detail: String,
        /// The lines for `app.toml` that would serve it, or the nearest to it.
        suggestion: String,
    },
    /// The index that serves it is still being built.
    #[error("the index {index} is still being built; GET /v1/app shows how far it is")]
    NotReady {
        /// The index.
        index: IndexName,
    },
    /// A value that the field cannot have.
    #[error("{field}: {detail}")]
    BadValue {
        /// The field.
        field: String,
        /// What was expected.
        detail: String,
    },
    /// There is no counter for it.
    #[error("{detail}")]
    CountNeedsCounter {
        /// What can be counted instead.
        detail: String,
    },
    /// A range or an order on a field that holds a list of strings.
    #[error("{field}: {detail}")]
    MultiRange {
        /// The field.
        field: String,
        /// Why not, and what can be asked.
        detail: String,
    },
}

/// Finds the rows that answer `request`. `ready` tells which indexes are complete.
pub fn plan(
    entity: &Entity,
    ready: &dyn Fn(&IndexName) -> bool,
    request: &ListRequest,
) -> Result<Plan, PlanError> {
    let _ = (entity, ready, request);
    unimplemented!()
}
