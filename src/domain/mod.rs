//! Plain types and rules: what a tenant, an entity, an index, a record and a
//! query are. Pure code, no I/O, nothing asynchronous.
//!
//! The way through: [`app_file`] reads what a team declares into entities,
//! [`entity`] checks records against them and gives their index rows in the byte
//! order of [`value`], [`query`] turns a list's parameters into one range of such
//! rows, and [`cursor`] remembers where a page ended.

pub mod app_file;
pub mod archive;
pub mod cursor;
pub mod duration;
pub mod entity;
pub mod job;
mod json;
pub mod names;
pub mod number;
pub mod query;
pub mod record;
pub mod retention;
pub mod schema;
pub mod similar;
pub mod tenant;
pub mod value;

pub use app_file::{AppDiff, AppFile, AppProblem, EXAMPLE_APP};
pub use entity::{Entity, Field, Index, SystemField};
pub use names::{EntityName, IndexName, InvalidName, JobName, RecordId, TenantSlug};
pub use number::Number;
pub use record::RecordMeta;
pub use tenant::{Tenant, TenantChange};
pub use value::{IndexValue, Kind};

/// What is wrong with one part of a JSON document that a client sent.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct FieldProblem {
    /// Where, as a JSON pointer (RFC 6901); empty for the document itself.
    pub pointer: String,
    /// What is wrong, and what was expected.
    pub message: String,
}

impl FieldProblem {
    /// A problem at `pointer`.
    pub fn new(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            message: message.into(),
        }
    }
}

/// Where and what, as one phrase.
impl std::fmt::Display for FieldProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.pointer.as_str() {
            "" => f.write_str(&self.message),
            pointer => write!(f, "{pointer}: {}", self.message),
        }
    }
}
