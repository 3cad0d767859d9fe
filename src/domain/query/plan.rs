//! Which rows answer a list.

use super::asked::Asked;
use super::range::{self, Edge, KeyRange};
use super::refuse;
use super::request::{Direction, ListRequest};
use crate::base::{Instant, id_bounds};
use crate::domain::entity::{Entity, Field, Index, SystemField};
use crate::domain::names::IndexName;
use crate::domain::value::{IndexValue, encode_values};

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
///
/// An index serves a list where its leading fields are those fixed by equality,
/// in any order, and the next one has the range or orders. Of several, one whose
/// fields are all fixed and unique comes first, then the one with the fewest fields.
pub fn plan(
    entity: &Entity,
    ready: &dyn Fn(&IndexName) -> bool,
    request: &ListRequest,
) -> Result<Plan, PlanError> {
    let asked = Asked::read(entity, request)?;
    let next = refuse::next_of(entity, &asked)?;
    // Without filters the entity's own counter tells, whatever the order.
    let by_index = request.count && !request.filters.is_empty();
    let count = if request.count {
        CountPlan::Entity
    } else {
        CountPlan::None
    };
    let finish = |access, count| Plan {
        access,
        direction: asked.direction,
        count,
    };
    if let Some(own) = own_access(&asked, &next) {
        if by_index {
            return Err(refuse::no_counter(entity, &asked));
        }
        let access = match own {
            Access::CreatedAt { .. } => declared_access(entity, ready, &asked).unwrap_or(own),
            own => own,
        };
        return Ok(finish(access, count));
    }
    let mut serving: Vec<&Index> = entity
        .indexes
        .iter()
        .filter(|index| serves(index, &asked, &next))
        .collect();
    if serving.is_empty() {
        return Err(refuse::needs_index(entity, &asked, &next));
    }
    if by_index {
        serving.retain(|index| counts(index, &asked));
        if serving.is_empty() {
            return Err(refuse::no_counter(entity, &asked));
        }
    }
    // The sort is stable: the declared order decides among equals.
    serving.sort_by_key(|index| (!pins_one(index, &asked), index.fields.len()));
    let Some(index) = serving.iter().find(|index| ready(&index.name)) else {
        return Err(PlanError::NotReady {
            index: serving[0].name.clone(),
        });
    };
    let count = if by_index {
        CountPlan::IndexPrefix {
            index: index.name.clone(),
            values: values_in_order(index, &asked),
        }
    } else {
        count
    };
    Ok(finish(index_access(index, &asked), count))
}

/// What comes behind the fields fixed by equality.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    Nothing,
    Id,
    Field(Field),
}

fn serves(index: &Index, asked: &Asked, next: &Next) -> bool {
    let fixed = asked.equals.len();
    let Some((leading, rest)) = index.fields.split_at_checked(fixed) else {
        return false;
    };
    let is_fixed = |field: &Field| {
        asked
            .equals
            .iter()
            .any(|(other, _)| other.path == field.path)
    };
    // A list among the fields that are not fixed gives a record several rows.
    leading.iter().all(is_fixed)
        && !rest.iter().any(|field| field.multi)
        && match next {
            Next::Nothing => true,
            // A unique row has no id in its key.
            Next::Id => rest.is_empty() && !index.unique,
            Next::Field(field) => rest.first().is_some_and(|first| first.path == field.path),
        }
}

fn counts(index: &Index, asked: &Asked) -> bool {
    let only_equals = asked.ranges.is_empty() && asked.ids.is_empty();
    index.count && only_equals && index.fields.len() == asked.equals.len() + 1
}

/// At most one record can be meant.
fn pins_one(index: &Index, asked: &Asked) -> bool {
    index.unique && index.fields.len() == asked.equals.len()
}

fn values_in_order(index: &Index, asked: &Asked) -> Vec<IndexValue> {
    let value = |field: &Field| {
        let found = asked
            .equals
            .iter()
            .find(|(other, _)| other.path == field.path);
        found.map(|(_, value)| value.clone())
    };
    index.fields.iter().map_while(value).collect()
}

fn index_access(index: &Index, asked: &Asked) -> Access {
    let equals = values_in_order(index, asked);
    let head = encode_values(&equals);
    let range = if !asked.ids.is_empty() {
        range::of_ids(&head, &asked.ids)
    } else {
        let edges = asked.ranges.first().map_or(&[][..], |(_, edges)| edges);
        range::of_values(&head, edges)
    };
    Access::Index {
        index: index.clone(),
        equals,
        range,
    }
}

/// The record's own order, where the list needs no more than that.
fn own_access(asked: &Asked, next: &Next) -> Option<Access> {
    let created = |field: &Field| field.system == Some(SystemField::CreatedAt);
    match (asked.equals.as_slice(), next) {
        ([], Next::Nothing | Next::Id) => Some(Access::Id {
            range: range::of_ids(&[], &asked.ids),
        }),
        ([], Next::Field(field)) if created(field) => {
            let edges = asked.ranges.first().map_or(&[][..], |(_, edges)| edges);
            Some(created_access(edges))
        }
        ([(field, value)], Next::Nothing) if created(field) => Some(created_access(&[
            Edge::From(value.clone()),
            Edge::UpTo(value.clone()),
        ])),
        _ => None,
    }
}

/// An index on `created_at` alone, which is right whoever made the ids.
fn declared_access(
    entity: &Entity,
    ready: &dyn Fn(&IndexName) -> bool,
    asked: &Asked,
) -> Option<Access> {
    let index = entity.indexes.iter().find(|index| {
        let alone = index.fields.len() == 1;
        let created = index
            .fields
            .iter()
            .all(|f| f.system == Some(SystemField::CreatedAt));
        alone && created && ready(&index.name)
    })?;
    Some(index_access(index, asked))
}

/// The latest moment that an id made here can carry.
const ID_MS_MAX: i64 = (1 << 48) - 1;

fn created_access(edges: &[Edge<IndexValue>]) -> Access {
    let (mut lower, mut upper) = (None::<Instant>, None::<Instant>);
    for edge in edges {
        match edge {
            Edge::From(value) => lower = lower.max(Some(Instant(ceil_ms(value)))),
            Edge::Above(value) => lower = lower.max(Some(Instant(floor_ms(value) + 1))),
            Edge::UpTo(value) => upper = least(upper, floor_ms(value)),
            Edge::Below(value) => upper = least(upper, ceil_ms(value) - 1),
            Edge::Prefix(_) => {}
        }
    }
    let (first, last) = (
        lower.map_or(0, |at| at.0),
        upper.map_or(ID_MS_MAX, |at| at.0),
    );
    let range = if first > last || first > ID_MS_MAX || last < 0 {
        KeyRange::nothing()
    } else {
        let mut edges = Vec::new();
        if first > 0 {
            edges.push(Edge::From(id_bounds(Instant(first)).0));
        }
        if last < ID_MS_MAX {
            edges.push(Edge::UpTo(id_bounds(Instant(last)).1));
        }
        range::of_ids(&[], &edges)
    };
    Access::CreatedAt {
        lower,
        upper,
        range,
    }
}

fn least(upper: Option<Instant>, ms: i64) -> Option<Instant> {
    Some(upper.map_or(Instant(ms), |at| at.min(Instant(ms))))
}

fn floor_ms(value: &IndexValue) -> i64 {
    match value {
        IndexValue::Instant { seconds, nanos } => seconds * 1000 + i64::from(nanos / 1_000_000),
        _ => 0,
    }
}

fn ceil_ms(value: &IndexValue) -> i64 {
    let whole = matches!(value, IndexValue::Instant { nanos, .. } if nanos % 1_000_000 == 0);
    floor_ms(value) + i64::from(!whole)
}
