//! `app.toml`: what a team declares. Read with every problem told at once, each
//! with its line, its key and what was expected.

mod diff;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use diff::{AppDiff, EntityDiff, diff};

use super::entity::Entity;
use super::names::EntityName;

/// The app file that `init` applies: tickets and their comments.
pub const EXAMPLE_APP: &str = include_str!("example_app.toml");

/// How many entities an app file may declare.
pub const ENTITIES_MAX: usize = 200;

/// An app file, read and found right.
#[derive(Debug, Clone)]
pub struct AppFile {
    /// The text.
    pub source: String,
    /// What it declares.
    pub entities: BTreeMap<EntityName, Arc<Entity>>,
}

/// A mistake in an app file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct AppProblem {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// The key, its parts joined by dots; empty where the text is not even TOML.
    pub key: String,
    /// What is wrong, and what was expected.
    pub message: String,
}

impl std::fmt::Display for AppProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: ", self.line, self.column)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

impl AppFile {
    /// Reads an app file, or tells every problem in it.
    pub fn parse(source: &str) -> Result<AppFile, Vec<AppProblem>> {
        let _ = source;
        unimplemented!()
    }

    /// Reads the same shape written as JSON; the source kept is TOML.
    pub fn from_json(json: &str) -> Result<AppFile, Vec<AppProblem>> {
        let _ = json;
        unimplemented!()
    }
}
