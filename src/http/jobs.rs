//! `/v1/jobs`: what the app file declares to run, and what people ask of it.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::{Value, json};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ArrayBuilder, ObjectBuilder, OneOfBuilder, RefOr, Schema, schema::Type},
};

use super::{
    Answer, Services, authenticate::ReqCaller, body, openapi::Refused, problem::Problem, routes,
};
use crate::{
    base::Instant,
    domain::{
        job::{RunState, run::Owner},
        names::JobName,
    },
    service::{
        Code, Error,
        runs::{Asked, Backfill, JobView, PauseView, Paused, SecretView, Whom},
    },
};

/// The routes.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .service(
            routes::resource("/v1/jobs")
                .route(web::get().to(list))
                .route(web::head().to(list)),
        )
        .service(
            routes::resource("/v1/jobs/{job}")
                .route(web::get().to(get))
                .route(web::head().to(get)),
        )
        .service(routes::resource("/v1/jobs/{job}/run").route(web::post().to(run)))
        .service(routes::resource("/v1/jobs/{job}/backfill").route(web::post().to(backfill)))
        .service(routes::resource("/v1/jobs/{job}/retry").route(web::post().to(retry)))
        .service(
            routes::resource("/v1/tenants/{tenant}/jobs/{job}/secret")
                .route(web::get().to(secret))
                .route(web::head().to(secret))
                .route(web::post().to(rotate)),
        )
        .service(
            routes::resource("/v1/pauses")
                .route(web::get().to(pauses))
                .route(web::head().to(pauses))
                .route(web::post().to(pause))
                .route(web::delete().to(resume)),
        );
}

/// For whom: `"all"`, or tenants' slugs.
#[derive(Debug, Clone)]
pub struct Tenants(Whom);

impl PartialSchema for Tenants {
    fn schema() -> RefOr<Schema> {
        let text = || ObjectBuilder::new().schema_type(Type::String);
        let all = text().enum_values(Some(["all"]));
        let slugs = ArrayBuilder::new().items(text());
        let either = OneOfBuilder::new().item(all).item(slugs);
        let said = "For whom: `\"all\"`, or tenants' slugs.";
        either.description(Some(said)).into()
    }
}

impl ToSchema for Tenants {}

impl<'de> Deserialize<'de> for Tenants {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let given = Value::deserialize(deserializer)?;
        match &given {
            Value::String(text) if text == "all" => Ok(Self(Whom::All)),
            Value::Array(items) => {
                let names = items.iter().map(|item| item.as_str().map(str::to_owned));
                let names: Option<Vec<_>> = names.collect();
                let names = names.ok_or_else(|| de::Error::custom("expected tenants' slugs"))?;
                Ok(Self(Whom::Tenants(names)))
            }
            _ => Err(de::Error::custom(
                "expected \"all\" or a list of tenants' slugs",
            )),
        }
    }
}

/// A call for runs.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RunCall {
    /// `"all"`, or a list of tenants' slugs.
    tenants: Tenants,
}

/// A call for the runs of a range of dates.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BackfillCall {
    /// `"all"`, or a list of tenants' slugs.
    tenants: Tenants,
    /// The first moment, RFC 3339 or a date (midnight UTC).
    from: String,
    /// The first moment behind the range.
    to: String,
}

/// A call for further attempts.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetryCall {
    /// Of the runs in this state: `dead` unless said.
    state: Option<RunState>,
}

/// How many runs wait again.
#[derive(Serialize, ToSchema)]
pub struct Retried {
    /// So many.
    queued: usize,
}

/// What to pause: a job, a tenant's jobs, a tenant's job, or everything.
#[derive(Debug, Default, Deserialize, ToSchema, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub struct PauseCall {
    /// The job; all where it is not given.
    job: Option<String>,
    /// The tenant; all where it is not given.
    tenant: Option<String>,
    /// Says that everything is meant, where neither is given.
    everything: bool,
    /// Why.
    reason: Option<String>,
}

impl PauseCall {
    fn paused(&self) -> Result<Paused, Problem> {
        if self.everything != (self.job.is_none() && self.tenant.is_none()) {
            return Err(Problem::bad_request(
                "Name a job, a tenant or both; or say everything=true, and neither.",
            ));
        }
        let job = self.job.as_deref().map(JobName::parse).transpose();
        let job = job.map_err(|error| Problem::bad_request(format!("job: {error}.")))?;
        let owner = self.tenant.as_deref().map(|name| {
            Owner::parse(name)
                .ok_or_else(|| Problem::bad_request(format!("{name:?} is no tenant.")))
        });
        Ok(Paused::of(job, owner.transpose()?))
    }
}

/// All jobs.
#[derive(Serialize, ToSchema)]
pub struct JobList {
    /// By name.
    items: Vec<JobView>,
    /// Always null: all are in `items`.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// All pauses.
#[derive(Serialize, ToSchema)]
pub struct PauseList {
    /// What is paused.
    items: Vec<PauseView>,
    /// Always null: all are in `items`.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// Lists the jobs that the app file declares.
#[utoipa::path(
    get, path = "/v1/jobs", tag = "jobs",
    responses((status = 200, description = "All of them", body = JobList), Refused)
)]
pub async fn list(app: Services, caller: ReqCaller) -> Answer {
    let items = app.runs.jobs(&caller.0).await?;
    Ok(HttpResponse::Ok().json(json!({"items": items, "next_cursor": null})))
}

/// One job.
#[utoipa::path(
    get, path = "/v1/jobs/{job}", tag = "jobs",
    params(("job" = String, Path, description = "The job's name")),
    responses((status = 200, description = "The job", body = JobView), Refused)
)]
pub async fn get(app: Services, caller: ReqCaller, job: web::Path<String>) -> Answer {
    Ok(HttpResponse::Ok().json(app.runs.job(&caller.0, &job).await?))
}

/// Queues a run for each tenant named, now.
#[utoipa::path(
    post, path = "/v1/jobs/{job}/run", tag = "jobs",
    params(("job" = String, Path, description = "The job's name")),
    request_body = RunCall,
    responses((status = 202, description = "How many were queued", body = Asked), Refused)
)]
pub async fn run(
    app: Services,
    caller: ReqCaller,
    job: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Answer {
    let call: RunCall = body::json(&app, &request, payload).await?;
    let asked = app.runs.run_now(&caller.0, &job, &call.tenants.0).await?;
    Ok(HttpResponse::Accepted().json(asked))
}

/// Queues the schedule's slots of a range of dates, where they have no run yet.
#[utoipa::path(
    post, path = "/v1/jobs/{job}/backfill", tag = "jobs",
    params(("job" = String, Path, description = "The job's name")),
    request_body = BackfillCall,
    responses((status = 202, description = "How many were queued", body = Asked), Refused)
)]
pub async fn backfill(
    app: Services,
    caller: ReqCaller,
    job: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Answer {
    let call: BackfillCall = body::json(&app, &request, payload).await?;
    let range = Backfill {
        from: moment("from", &call.from)?,
        to: moment("to", &call.to)?,
    };
    let asked = app.runs.backfill(&caller.0, &job, &call.tenants.0, range);
    Ok(HttpResponse::Accepted().json(asked.await?))
}

fn moment(name: &str, text: &str) -> Result<Instant, Problem> {
    let date = || Instant::parse_rfc3339(&format!("{text}T00:00:00Z"));
    Instant::parse_rfc3339(text).or_else(date).ok_or_else(|| {
        let expected = "expected RFC 3339, as in 2026-03-01T00:00:00Z, or a date";
        Problem::bad_request(format!("{name}: {expected}."))
    })
}

/// Has all runs of a job that are dead (or in another state) wait for another attempt.
#[utoipa::path(
    post, path = "/v1/jobs/{job}/retry", tag = "jobs",
    params(("job" = String, Path, description = "The job's name")),
    request_body = RetryCall,
    responses((status = 202, description = "How many wait again", body = Retried), Refused)
)]
pub async fn retry(
    app: Services,
    caller: ReqCaller,
    job: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Answer {
    let call: RetryCall = body::json(&app, &request, payload).await?;
    let state = call.state.unwrap_or(RunState::Dead);
    let queued = app.runs.retry_all(&caller.0, &job, state).await?;
    Ok(HttpResponse::Accepted().json(Retried { queued }))
}

/// What a tenant's receiver checks a webhook's signatures with.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/jobs/{job}/secret", tag = "jobs",
    params(
        ("tenant" = String, Path, description = "The tenant's slug"),
        ("job" = String, Path, description = "The job's name"),
    ),
    responses((status = 200, description = "The secret", body = SecretView), Refused)
)]
pub async fn secret(app: Services, caller: ReqCaller, path: web::Path<(String, String)>) -> Answer {
    let (tenant, job) = path.into_inner();
    let secret = app.runs.webhook_secret(&caller.0, &job, &tenant, false);
    Ok(HttpResponse::Ok().json(secret.await?))
}

/// Makes a new secret; the one before signs too for a day.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/jobs/{job}/secret", tag = "jobs",
    params(
        ("tenant" = String, Path, description = "The tenant's slug"),
        ("job" = String, Path, description = "The job's name"),
    ),
    responses((status = 200, description = "The new secret", body = SecretView), Refused)
)]
pub async fn rotate(app: Services, caller: ReqCaller, path: web::Path<(String, String)>) -> Answer {
    let (tenant, job) = path.into_inner();
    let secret = app.runs.webhook_secret(&caller.0, &job, &tenant, true);
    Ok(HttpResponse::Ok().json(secret.await?))
}

/// Lists what is paused.
#[utoipa::path(
    get, path = "/v1/pauses", tag = "jobs",
    responses((status = 200, description = "All of it", body = PauseList), Refused)
)]
pub async fn pauses(app: Services, caller: ReqCaller) -> Answer {
    let items = app.runs.pauses(&caller.0).await?;
    Ok(HttpResponse::Ok().json(json!({"items": items, "next_cursor": null})))
}

/// Pauses a job, a tenant's jobs, a tenant's job, or everything.
#[utoipa::path(
    post, path = "/v1/pauses", tag = "jobs", request_body = PauseCall,
    responses((status = 204, description = "It is paused"), Refused)
)]
pub async fn pause(
    app: Services,
    caller: ReqCaller,
    request: HttpRequest,
    payload: web::Payload,
) -> Answer {
    let call: PauseCall = body::json(&app, &request, payload).await?;
    let reason = call.reason.as_deref().unwrap_or("no reason given");
    app.runs.pause(&caller.0, &call.paused()?, reason).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Ends a pause.
#[utoipa::path(
    delete, path = "/v1/pauses", tag = "jobs", params(PauseCall),
    responses((status = 204, description = "It is not paused"), Refused)
)]
pub async fn resume(app: Services, caller: ReqCaller, query: web::Query<PauseCall>) -> Answer {
    if query.reason.is_some() {
        let error = Error::new(Code::BadRequest, "Resuming needs no reason.");
        return Err(Problem(error));
    }
    app.runs.resume(&caller.0, &query.paused()?).await?;
    Ok(HttpResponse::NoContent().finish())
}
