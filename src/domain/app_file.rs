//! `app.toml`: what a team declares. Read with every problem told at once, each
//! with its line, its key and what was expected.

mod archive;
mod builtin;
mod diff;
mod indexes;
mod jobs;
mod json_form;
mod problems;
mod read;
mod table;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use builtin::{REPORT, is_built_in};
pub use diff::{AppDiff, EntityDiff, diff};

use super::entity::Entity;
use super::job::Job;
use super::names::{EntityName, JobName};

/// The app file that `init` applies: tickets and their comments.
pub const EXAMPLE_APP: &str = include_str!("example_app.toml");

/// How many entities an app file may declare.
pub const ENTITIES_MAX: usize = 200;

/// An app file, read and found right.
#[derive(Debug, Clone)]
pub struct AppFile {
    /// The text.
    pub source: String,
    /// The entities it declares, and the built-in ones.
    pub entities: BTreeMap<EntityName, Arc<Entity>>,
    /// The jobs it declares.
    pub jobs: BTreeMap<JobName, Arc<Job>>,
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

/// An app file is never longer, in bytes.
pub const APP_FILE_BYTES_MAX: usize = 2 << 20;

impl AppFile {
    /// What there is before any app file is applied: the built-in entities.
    pub fn empty() -> AppFile {
        let entities = builtin::entities().map(|entity| (entity.name.clone(), entity));
        AppFile {
            source: String::new(),
            entities: entities.collect(),
            jobs: BTreeMap::new(),
        }
    }

    /// Reads an app file, or tells every problem in it.
    pub fn parse(source: &str) -> Result<AppFile, Vec<AppProblem>> {
        Self::read(source, source, None)
    }

    /// Reads the same shape written as JSON. The source kept is TOML; problems are
    /// told at their place in the JSON.
    pub fn from_json(json: &str) -> Result<AppFile, Vec<AppProblem>> {
        let source = json_form::to_toml(json).map_err(|unreadable| {
            vec![AppProblem {
                line: unreadable.line,
                column: unreadable.column,
                key: problems::key(&unreadable.path),
                message: unreadable.message,
            }]
        })?;
        Self::read(&source, json, Some(&|path| json_form::locate(json, path)))
    }

    fn read(
        source: &str,
        shown: &str,
        locate: Option<problems::Locate<'_>>,
    ) -> Result<AppFile, Vec<AppProblem>> {
        if shown.len() > APP_FILE_BYTES_MAX {
            return Err(vec![AppProblem {
                line: 1,
                column: 1,
                key: String::new(),
                message: format!("{} bytes; at most {APP_FILE_BYTES_MAX}", shown.len()),
            }]);
        }
        let mut problems = problems::Problems::default();
        let (entities, jobs) = read::read(source, &mut problems);
        if problems.len() > 0 {
            return Err(problems.finish(shown, locate));
        }
        Ok(AppFile {
            source: source.to_owned(),
            entities,
            jobs,
        })
    }

    /// The entity of that name.
    pub fn entity(&self, name: &str) -> Option<&Arc<Entity>> {
        self.entities.get(name)
    }
}
