//! `/v1/tenants/{tenant}/batch`: several operations, all or none.

use actix_web::{HttpRequest, web};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Answer, Services, answer, authenticate::ReqCaller, body, conditions, problem::Problem, routes,
};
use crate::{
    domain::record::EtagMatch,
    service::{
        Code, Error, Scope,
        records::{Action, Only, Operation, Outcome, OutcomeKind, Reply},
    },
};

/// The routes.
pub fn configure(config: &mut web::ServiceConfig) {
    config.service(routes::resource("/v1/tenants/{tenant}/batch").route(web::post().to(batch)));
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch<'a> {
    #[serde(borrow)]
    operations: Vec<&'a RawValue>,
}

/// One operation as the client writes it. Its data stays as it was written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step<'a> {
    op: Op,
    entity: String,
    id: Option<String>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    if_match: Option<String>,
    if_none_match: Option<String>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum Op {
    Create,
    Put,
    Patch,
    Delete,
    Archive,
    Restore,
}

/// Carries out up to 100 operations, all or none.
///
/// `op` is `create`, `put`, `patch`, `delete`, `archive` or `restore` (of this record
/// alone); each may have its own `if_match` and `if_none_match`. The problem of a batch that fails names the operation by
/// its number from 0.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/batch", tag = "records",
    params(
        ("tenant" = String, Path, description = "The tenant's slug"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes the request safe to repeat for 24 hours"),
    ),
    request_body(content = super::openapi::Batch),
    responses(
        (status = 200, description = "What was done, in the order of the operations", body = super::openapi::BatchDone),
        super::openapi::Refused,
    )
)]
pub async fn batch(
    app: Services,
    caller: ReqCaller,
    path: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Answer {
    let access = app.tenants.access(&caller.0, &path, Scope::Write).await?;
    body::require_type(&request, &["application/json"])?;
    let body = body::read(&app, &request, payload).await?;
    let operations = operations(&body, app.config.limits.batch_operations_max)?;
    let idempotency = conditions::idempotency(&request, &body)?;
    let (reply, replayed) = app
        .records
        .write(&access, &operations, idempotency, &reply)
        .await?;
    Ok(answer::of_reply(reply, replayed))
}

fn operations(body: &[u8], max: usize) -> Result<Vec<Operation>, Problem> {
    let batch: Batch<'_> = object(body).map_err(|detail| {
        let detail = format!("The batch is not understood: {detail}.");
        Problem(Error::new(Code::InvalidJson, detail))
    })?;
    if batch.operations.is_empty() || batch.operations.len() > max {
        return Err(Problem::bad_request(format!(
            "A batch has 1 to {max} operations; this one has {}.",
            batch.operations.len()
        )));
    }
    let steps = batch.operations.into_iter().enumerate();
    steps
        .map(|(number, step)| {
            let refuse = |code, detail| Problem(Error::new(code, detail).with("operation", number));
            let step: Step<'_> = object(step.get().as_bytes()).map_err(|detail| {
                let detail = format!("The operation is not understood: {detail}.");
                refuse(Code::InvalidJson, detail)
            })?;
            operation(step).map_err(|detail| refuse(Code::BadRequest, detail))
        })
        .collect()
}

/// An object as a value of a known shape; the shape alone would take a list for one.
fn object<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, String> {
    match json.trim_ascii_start().first() {
        Some(b'{') => serde_json::from_slice(json).map_err(|error| error.to_string()),
        _ => Err("expected a JSON object".to_owned()),
    }
}

fn operation(step: Step<'_>) -> Result<Operation, String> {
    let action = match (step.op, step.id) {
        (Op::Create, id) => Action::Create { id },
        (Op::Put, Some(id)) => Action::Put { id },
        (Op::Patch, Some(id)) => Action::Patch { id },
        (Op::Delete, Some(id)) => Action::Delete { id },
        (Op::Archive, Some(id)) => Action::Archive {
            id,
            only: Only::Anyhow,
        },
        (Op::Restore, Some(id)) => Action::Restore {
            id,
            only: Only::Anyhow,
        },
        (_, None) => return Err("This operation needs the member \"id\".".into()),
    };
    let body = match (step.op, step.data) {
        (Op::Delete | Op::Archive | Op::Restore, Some(_)) => {
            return Err("This operation has no member \"data\".".into());
        }
        (Op::Delete | Op::Archive | Op::Restore, None) => Bytes::new(),
        (_, Some(data)) => Bytes::copy_from_slice(data.get().as_bytes()),
        (_, None) => return Err("This operation needs the member \"data\".".into()),
    };
    let tags = |name: &str, text: Option<String>| match text {
        Some(text) => EtagMatch::parse(&text)
            .map(Some)
            .map_err(|expected| format!("{name}: {expected}.")),
        None => Ok(None),
    };
    Ok(Operation {
        entity: step.entity,
        action,
        body,
        if_match: tags("if_match", step.if_match)?,
        if_none_match: tags("if_none_match", step.if_none_match)?,
    })
}

fn reply(outcomes: &[Outcome]) -> Reply {
    let mut body = br#"{"items":["#.to_vec();
    for (number, outcome) in outcomes.iter().enumerate() {
        if number > 0 {
            body.push(b',');
        }
        let done = match outcome.kind {
            OutcomeKind::Created => "created",
            OutcomeKind::Updated => "updated",
            OutcomeKind::Unchanged => "unchanged",
            OutcomeKind::Deleted | OutcomeKind::Purged => "deleted",
            OutcomeKind::Archived => "archived",
            OutcomeKind::Restored => "restored",
        };
        // Entities and ids hold nothing that JSON would escape.
        let head = format!(
            "{{\"done\":\"{done}\",\"entity\":\"{}\",\"id\":\"{}\",\"record\":",
            outcome.entity, outcome.id
        );
        body.extend_from_slice(head.as_bytes());
        match &outcome.record {
            Some(record) => record.render_into(&mut body),
            None => body.extend_from_slice(b"null"),
        }
        body.push(b'}');
    }
    body.extend_from_slice(b"]}");
    Reply {
        status: 200,
        etag: None,
        location: None,
        body,
    }
}
