//! `kind = "webhook"`: which records are posted, and to where.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Entities, ParamProblem, entity, report::moment, typed};
use crate::domain::{
    entity::Entity,
    job::{
        Setting,
        period::{self, Period},
    },
    names::EntityName,
    query::{ListRequest, RESERVED_PARAMETERS, plan},
};

/// The longest URL, in bytes.
pub const URL_BYTES_MAX: usize = 2_048;
/// Records in one request, where `batch` does not say.
pub const BATCH_DEFAULT: usize = 100;
/// The most records in one request.
pub const BATCH_MAX: usize = 500;

/// Where something is posted to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The same URL for every tenant.
    Url(String),
    /// The URL in a tenant's setting.
    From(Setting),
}

/// The parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Params {
    /// Where to.
    pub target: Target,
    /// Whose records.
    pub entity: EntityName,
    /// The conditions on them, as parameters of a list.
    pub filters: Vec<(String, String)>,
    /// The span, by a date-time field, where not all are meant.
    pub span: Option<(String, Period)>,
    /// Records in one request.
    pub batch: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenTarget {
    url: Option<String>,
    url_from: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    url: Option<String>,
    url_from: Option<String>,
    entity: String,
    #[serde(default)]
    r#where: Map<String, Value>,
    by: Option<String>,
    period: Option<period::Given>,
    batch: Option<usize>,
}

impl Target {
    pub(super) fn parse(with: Map<String, Value>) -> Result<Self, Vec<ParamProblem>> {
        let GivenTarget { url, url_from } = typed(with)?;
        Self::of(url, url_from).map_err(|problem| vec![problem])
    }

    fn of(url: Option<String>, url_from: Option<String>) -> Result<Self, ParamProblem> {
        match (url, url_from) {
            (Some(url), None) if is_url(&url) => Ok(Self::Url(url)),
            (Some(_), None) => Err(ParamProblem::new(
                &["url"],
                "expected an address as in \"https://example.com/hook\", without user and fragment",
            )),
            (None, Some(setting)) => match Setting::parse(&setting) {
                Some(setting @ Setting::Meta(_)) => Ok(Self::From(setting)),
                _ => Err(ParamProblem::new(
                    &["url_from"],
                    "expected an entry of the tenants' meta, as in \"meta.webhook_url\"",
                )),
            },
            _ => Err(ParamProblem::new(&[], "expected one of url and url_from")),
        }
    }
}

/// Whether the text is an HTTP address that a request can be sent to. Whether it may
/// be sent is decided when it is.
pub fn is_url(text: &str) -> bool {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let clean = text.len() <= URL_BYTES_MAX
        && text.bytes().all(|b| b.is_ascii_graphic())
        && !text.contains('#');
    rest.is_some_and(|rest| {
        let host = rest.split(['/', '?']).next().unwrap_or_default();
        clean && !host.is_empty() && !host.contains('@')
    })
}

impl Params {
    pub(super) fn parse(
        with: Map<String, Value>,
        entities: &Entities,
    ) -> Result<Self, Vec<ParamProblem>> {
        let given: Given = typed(with)?;
        let mut problems = Vec::new();
        let target = Target::of(given.url, given.url_from)
            .map_err(|problem| problems.push(problem))
            .ok();
        let batch = given.batch.unwrap_or(BATCH_DEFAULT);
        if !(1..=BATCH_MAX).contains(&batch) {
            let message = format!("expected 1 to {BATCH_MAX} records a request");
            problems.push(ParamProblem::new(&["batch"], message));
        }
        let entity = entity(&given.entity, entities)
            .map_err(|problem| problems.push(problem))
            .ok();
        let mut filters = Vec::new();
        for (field, value) in given.r#where {
            let reserved = RESERVED_PARAMETERS.contains(&field.as_str());
            match text_of(&value).filter(|_| !reserved) {
                Some(text) => filters.push((field, text)),
                None => problems.push(ParamProblem::new(
                    &["where", &field],
                    "expected a field with a string, a number or true or false",
                )),
            }
        }
        let period = given
            .period
            .map_or(Ok(Period::Yesterday), period::Given::read);
        let period = period.map_err(|problem| problems.push(problem)).ok();
        let span = given.by.zip(period);
        if let Some(entity) = entity {
            if let Some((by, _)) = &span {
                moment(entity, by, &mut problems);
            }
            if problems.is_empty() {
                check_served(entity, &filters, span.as_ref(), &mut problems);
            }
        }
        match (target, entity) {
            (Some(target), Some(entity)) if problems.is_empty() => Ok(Self {
                target,
                entity: entity.name.clone(),
                filters,
                span,
                batch,
            }),
            _ => Err(problems),
        }
    }
}

/// A value as a list's parameter has it.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

/// The records have to be one range of an index, as those of any list.
fn check_served(
    entity: &Entity,
    filters: &[(String, String)],
    span: Option<&(String, Period)>,
    problems: &mut Vec<ParamProblem>,
) {
    let mut pairs = filters.to_vec();
    if let Some((by, _)) = span {
        pairs.push((format!("{by}[gte]"), "2026-01-01".into()));
        pairs.push((format!("{by}[lt]"), "2026-01-02".into()));
    }
    let request = ListRequest::from_pairs(pairs, BATCH_MAX, BATCH_MAX);
    let wrong = match request {
        Err(problem) => Some(problem.detail),
        Ok(request) => plan(entity, &|_| true, &request)
            .err()
            .map(|error| error.to_string()),
    };
    problems.extend(wrong.map(|message| ParamProblem::new(&["where"], message)));
}
