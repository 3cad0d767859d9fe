//! `kind = "archive"` and `kind = "purge"`: whose records.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Entities, ParamProblem, entity, typed};
use crate::domain::names::EntityName;

/// The most records a second that can be asked for.
const RATE_MAX: u32 = 1_000_000;

/// The parameters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Params {
    /// The entities; all that have an archive rule where there are none.
    pub entities: Vec<EntityName>,
    /// Records moved a second, at most.
    pub per_second: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Given {
    entities: Vec<String>,
    records_per_second: Option<u32>,
}

impl Params {
    /// Reads `with`.
    pub(super) fn parse(
        with: Map<String, Value>,
        entities: &Entities,
    ) -> Result<Self, Vec<ParamProblem>> {
        let given: Given = typed(with)?;
        let mut params = Self::default();
        let mut problems = Vec::new();
        for (at, name) in given.entities.iter().enumerate() {
            let at = at.to_string();
            let problem = match entity(name, entities) {
                Ok(entity) if entity.archive.is_some() => {
                    params.entities.push(entity.name.clone());
                    continue;
                }
                Ok(_) => format!("{name} has no archive rule: add [entity.{name}.archive]"),
                Err(problem) => problem.message,
            };
            problems.push(ParamProblem::new(&["entities", &at], problem));
        }
        if given
            .records_per_second
            .is_some_and(|rate| !(1..=RATE_MAX).contains(&rate))
        {
            let message = format!("expected a whole number from 1 to {RATE_MAX}");
            problems.push(ParamProblem::new(&["records_per_second"], message));
        }
        params.per_second = given.records_per_second;
        match problems.is_empty() {
            true => Ok(params),
            false => Err(problems),
        }
    }

    /// Whether an entity is among those meant.
    pub fn means(&self, entity: &EntityName) -> bool {
        self.entities.is_empty() || self.entities.contains(entity)
    }
}
