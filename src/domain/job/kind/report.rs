//! `kind = "report"`: what is counted and summed, over which index.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Entities, ParamProblem, entity, typed, webhook::Target};
use crate::domain::{
    entity::{Entity, Field, Index},
    job::period::{self, Bucket, Period},
    names::{EntityName, IndexName},
    value::Kind as FieldKind,
};

/// How many fields one report sums.
pub const MEASURES_MAX: usize = 10;

/// The parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Params {
    /// Whose records.
    pub entity: EntityName,
    /// The field with each record's moment.
    pub by: String,
    /// The field whose values make the groups.
    pub group_by: Option<Field>,
    /// Into which parts of time the groups are divided further.
    pub bucket: Option<Bucket>,
    /// The number fields that are summed.
    pub measures: Vec<String>,
    /// The span.
    pub period: Period,
    /// The index that is read.
    pub index: IndexName,
    /// Whether that index has the grouped field first and the moment next.
    pub grouped_index: bool,
    /// Where the report is posted to.
    pub send: Option<Target>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    entity: String,
    by: String,
    group_by: Option<String>,
    bucket: Option<Bucket>,
    #[serde(default)]
    measures: Vec<String>,
    period: Option<period::Given>,
    send: Option<Map<String, Value>>,
}

impl Params {
    pub(super) fn parse(
        with: Map<String, Value>,
        entities: &Entities,
    ) -> Result<Self, Vec<ParamProblem>> {
        let given: Given = typed(with)?;
        let entity = entity(&given.entity, entities).map_err(|problem| vec![problem])?;
        let mut problems = Vec::new();
        let by = moment(entity, &given.by, &mut problems);
        let group_by = given
            .group_by
            .as_deref()
            .and_then(|path| group(entity, path, &mut problems));
        check_measures(entity, &given.measures, &mut problems);
        let period = given
            .period
            .map_or(Ok(Period::Yesterday), period::Given::read);
        let period = period.unwrap_or_else(|problem| {
            problems.push(problem);
            Period::Yesterday
        });
        let send = match given.send.map(Target::parse) {
            None => None,
            Some(Ok(target)) => Some(target),
            Some(Err(found)) => {
                problems.extend(found.into_iter().map(|mut problem| {
                    problem.path.insert(0, "send".into());
                    problem
                }));
                None
            }
        };
        if !problems.is_empty() || by.is_none() {
            return Err(problems);
        }
        // Whose values can be asked for one after the other.
        let listable = |field: &&Field| matches!(field.kind, FieldKind::Text | FieldKind::Bool);
        let grouped = group_by.as_ref().filter(listable);
        let grouped = grouped.map(|field| field.path.as_str());
        let Some((index, grouped_index)) = serving(entity, &given.by, grouped) else {
            return Err(vec![ParamProblem::new(&["by"], needs(entity, &given.by))]);
        };
        Ok(Self {
            entity: entity.name.clone(),
            by: given.by,
            group_by,
            bucket: given.bucket,
            measures: given.measures,
            period,
            index: index.name.clone(),
            grouped_index,
            send,
        })
    }
}

pub(super) fn moment(
    entity: &Entity,
    path: &str,
    problems: &mut Vec<ParamProblem>,
) -> Option<Field> {
    match entity.field(path) {
        Ok(field) if field.kind == FieldKind::Instant && !field.multi => Some(field),
        Ok(_) => {
            let message =
                format!("{path} is no date-time: expected a field with each record's moment");
            problems.push(ParamProblem::new(&["by"], message));
            None
        }
        Err(message) => {
            problems.push(ParamProblem::new(&["by"], message));
            None
        }
    }
}

fn group(entity: &Entity, path: &str, problems: &mut Vec<ParamProblem>) -> Option<Field> {
    match entity.field(path) {
        Ok(field) if field.multi => {
            let message = format!("{path} is a list: expected a field with a single value");
            problems.push(ParamProblem::new(&["group_by"], message));
            None
        }
        Ok(field) => Some(field),
        Err(message) => {
            problems.push(ParamProblem::new(&["group_by"], message));
            None
        }
    }
}

fn check_measures(entity: &Entity, measures: &[String], problems: &mut Vec<ParamProblem>) {
    if measures.len() > MEASURES_MAX {
        let message = format!("{} fields; at most {MEASURES_MAX}", measures.len());
        problems.push(ParamProblem::new(&["measures"], message));
    }
    for (at, path) in measures.iter().enumerate() {
        let wrong = match entity.field(path) {
            Ok(field) if field.kind == FieldKind::Number && !field.multi => continue,
            Ok(_) => format!("{path} is no number: expected a field to be summed"),
            Err(message) => message,
        };
        problems.push(ParamProblem::new(&["measures", &at.to_string()], wrong));
    }
}

/// An index whose rows come in the order of `by`, or in that of the group and then
/// of `by`; whether it is the second. A record without one of an index's fields has
/// no row in it, so further fields make an index unfit.
fn serving<'a>(entity: &'a Entity, by: &str, group: Option<&str>) -> Option<(&'a Index, bool)> {
    let paths = |index: &Index| -> Vec<String> {
        index
            .fields
            .iter()
            .map(|field| field.path.clone())
            .collect()
    };
    let with = |wanted: &[&str]| entity.indexes.iter().find(|index| paths(index) == wanted);
    let grouped = group.and_then(|group| with(&[group, by]));
    if let Some(index) = grouped {
        return Some((index, true));
    }
    with(&[by]).map(|index| (index, false))
}

fn needs(entity: &Entity, by: &str) -> String {
    let name = &entity.name;
    let plain = by.replace('.', "_");
    format!(
        "no index of {name} serves this report; add these lines:\n\n[[entity.{name}.index]]\nname = \"by_{plain}\"\nfields = [\"{by}\"]"
    )
}
