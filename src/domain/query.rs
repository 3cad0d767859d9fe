//! A list's parameters, and the one range of rows that answers them.
//!
//! [`ListRequest::from_pairs`] reads the parameters, [`plan`] finds the declared
//! index that serves them, or says which one would. Nothing is filtered after it
//! was read: a list that no single range of rows answers is refused.

mod asked;
mod plan;
mod range;
mod refuse;
mod request;
mod suggest;

pub use plan::{Access, CountPlan, Plan, PlanError, plan};
pub use range::KeyRange;
pub(crate) use request::is_field_path;
pub use request::{
    Direction, Filter, ListRequest, Op, QueryProblem, RESERVED_PARAMETERS, TierChoice,
};
pub use suggest::created_at_suggestion;
