//! The kinds of jobs that are built in, with their parameters (`with`), checked when
//! the app file is applied. What they do is in `jobs/kinds/`, one file each.

pub mod archive;
pub mod report;
pub mod webhook;

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Map, Value};

use super::Scope;
use crate::domain::{entity::Entity, names::EntityName};

/// What a job does, with its parameters.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Counts and sums records into a record of the entity `report`.
    Report(report::Params),
    /// Posts records to a URL.
    Webhook(webhook::Params),
    /// Moves what is due into the archive, or what a query names.
    Archive(archive::Params),
    /// Moves what a query names back.
    Restore,
    /// Erases archived records whose time is over.
    Purge(archive::Params),
    /// Makes a backup of the whole store.
    Backup,
    /// Does what a test needs.
    #[cfg(test)]
    Testing(String),
}

/// A mistake in a kind's parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParamProblem {
    /// Where within `with`, outermost first.
    pub path: Vec<String>,
    /// What is wrong, and what was expected.
    pub message: String,
}

impl ParamProblem {
    pub(super) fn new(path: &[&str], message: impl Into<String>) -> Self {
        Self {
            path: path.iter().map(|&part| part.into()).collect(),
            message: message.into(),
        }
    }
}

/// The entities that parameters may name.
pub type Entities = BTreeMap<EntityName, Arc<Entity>>;

impl Kind {
    /// The names, as `kind` takes them.
    pub const NAMES: [&'static str; 6] =
        ["report", "webhook", "archive", "restore", "purge", "backup"];

    /// Reads the parameters of the kind with that name; `None` where there is none.
    pub fn parse(
        name: &str,
        with: Map<String, Value>,
        entities: &Entities,
    ) -> Option<Result<Self, Vec<ParamProblem>>> {
        match name {
            "report" => Some(report::Params::parse(with, entities).map(Self::Report)),
            "webhook" => Some(webhook::Params::parse(with, entities).map(Self::Webhook)),
            "archive" => Some(archive::Params::parse(with, entities).map(Self::Archive)),
            "restore" => Some(typed::<NoParams>(with).map(|NoParams {}| Self::Restore)),
            "purge" => Some(archive::Params::parse(with, entities).map(Self::Purge)),
            "backup" => Some(typed::<NoParams>(with).map(|NoParams {}| Self::Backup)),
            #[cfg(test)]
            "testing" => Some(Ok(Self::Testing(
                with["does"].as_str().unwrap_or_default().to_owned(),
            ))),
            _ => None,
        }
    }

    /// The name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Report(_) => "report",
            Self::Webhook(_) => "webhook",
            Self::Archive(_) => "archive",
            Self::Restore => "restore",
            Self::Purge(_) => "purge",
            Self::Backup => "backup",
            #[cfg(test)]
            Self::Testing(_) => "testing",
        }
    }

    /// Whether its time goes by waiting for others, so that it needs no processor.
    pub fn waits_on_network(&self) -> bool {
        match self {
            Self::Report(_) | Self::Archive(_) | Self::Restore | Self::Purge(_) => false,
            // It waits for a thread of its own, and that one for the disk.
            Self::Webhook(_) | Self::Backup => true,
            #[cfg(test)]
            Self::Testing(does) => does.starts_with("io "),
        }
    }

    /// What is wrong with running it for `scope`.
    pub fn refuses(&self, scope: &Scope) -> Option<&'static str> {
        match (self, scope) {
            #[cfg(test)]
            (Self::Testing(_), _) => None,
            (Self::Backup, Scope::Installation) => None,
            (Self::Backup, Scope::EachTenant(_)) => {
                Some("works on the whole store: expected for = \"installation\"")
            }
            (_, Scope::EachTenant(_)) => None,
            (_, Scope::Installation) => {
                Some("works on a tenant's records: expected for = \"each-tenant\"")
            }
        }
    }
}

/// A kind without parameters.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct NoParams {}

/// Reads typed parameters, all unknown keys refused.
pub(super) fn typed<T: serde::de::DeserializeOwned>(
    with: Map<String, Value>,
) -> Result<T, Vec<ParamProblem>> {
    serde_json::from_value(Value::Object(with))
        .map_err(|error| vec![ParamProblem::new(&[], error.to_string())])
}

/// The entity of that name, or what is wrong.
pub(super) fn entity<'a>(
    name: &str,
    entities: &'a Entities,
) -> Result<&'a Arc<Entity>, ParamProblem> {
    entities.get(name).ok_or_else(|| {
        let known: Vec<_> = entities.keys().map(EntityName::as_str).collect();
        let hint = crate::domain::similar::hint(name, known.iter().copied());
        ParamProblem::new(&["entity"], format!("there is no entity {name:?}{hint}"))
    })
}
