//! `/v1/runs`: what became of jobs, and the log of a run as it is said.

use std::{convert::Infallible, sync::Arc, time::Duration};

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use bytes::Bytes;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::watch;
use utoipa::ToSchema;

use super::{
    Answer, Services, authenticate::ReqCaller, health::Lifecycle, openapi::Refused,
    problem::Problem, routes,
};
use crate::{
    domain::job::RunState,
    service::{
        Caller, Scope,
        runs::{LiveRun, LogView, RunFilter, RunView},
    },
};

/// How long a live log may be silent before it says that it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How often a live log is sent at most.
const BREATH: Duration = Duration::from_millis(100);

/// The routes.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .service(
            routes::resource("/v1/runs")
                .route(web::get().to(list))
                .route(web::head().to(list)),
        )
        .service(
            routes::resource("/v1/runs/{run}")
                .route(web::get().to(get))
                .route(web::head().to(get)),
        )
        .service(
            routes::resource("/v1/runs/{run}/log")
                .route(web::get().to(log))
                .route(web::head().to(log)),
        )
        .service(routes::resource("/v1/runs/{run}/cancel").route(web::post().to(cancel)))
        .service(routes::resource("/v1/runs/{run}/retry").route(web::post().to(retry)))
        .service(
            routes::resource("/v1/tenants/{tenant}/reports/{id}/csv")
                .route(web::get().to(csv))
                .route(web::head().to(csv)),
        );
}

/// Which runs.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub struct ListQuery {
    /// Of this job.
    job: Option<String>,
    /// Of this tenant; `~` is the installation.
    tenant: Option<String>,
    /// In this state.
    state: Option<RunState>,
    /// Runs of a page: 50 unless said, at most 500.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A page of runs.
#[derive(Serialize, ToSchema)]
pub struct RunList {
    /// Those queued last first; of one tenant, those of the latest slots.
    items: Vec<RunView>,
    /// Gives the next page; null on the last one. A page may be short and have one.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// Lists runs.
#[utoipa::path(
    get, path = "/v1/runs", tag = "jobs", params(ListQuery),
    responses((status = 200, description = "A page", body = RunList), Refused)
)]
pub async fn list(app: Services, caller: ReqCaller, query: web::Query<ListQuery>) -> Answer {
    let limits = &app.config.limits;
    let limit = query.limit.unwrap_or(limits.page_items_default);
    if !(1..=limits.page_items_max).contains(&limit) {
        let most = limits.page_items_max;
        return Err(Problem::bad_request(format!(
            "limit: expected 1 to {most}."
        )));
    }
    let query = query.into_inner();
    let filter = RunFilter {
        job: query.job,
        tenant: query.tenant,
        state: query.state,
    };
    let runs = app
        .runs
        .list(&caller.0, &filter, limit, query.cursor.as_deref());
    let (items, next_cursor) = runs.await?;
    Ok(HttpResponse::Ok().json(RunList { items, next_cursor }))
}

/// One run.
#[utoipa::path(
    get, path = "/v1/runs/{run}", tag = "jobs",
    params(("run" = String, Path, description = "The run's name")),
    responses((status = 200, description = "The run", body = RunView), Refused)
)]
pub async fn get(app: Services, caller: ReqCaller, run: web::Path<String>) -> Answer {
    Ok(HttpResponse::Ok().json(app.runs.get(&caller.0, &run).await?))
}

/// A run's log: as JSON, or live where the client accepts `text/event-stream`.
///
/// Live, each line is an event `line`, the run as it stands an event `run` now and
/// then, and the last event is `end`.
#[utoipa::path(
    get, path = "/v1/runs/{run}/log", tag = "jobs",
    params(("run" = String, Path, description = "The run's name")),
    responses((status = 200, description = "The log", content(
        (LogView = "application/json"), (String = "text/event-stream"),
    )), Refused)
)]
pub async fn log(
    app: Services,
    caller: ReqCaller,
    run: web::Path<String>,
    request: HttpRequest,
    lifecycle: web::Data<Lifecycle>,
) -> Answer {
    let log = app.runs.log(&caller.0, &run).await?;
    let accepts = request.headers().get(header::ACCEPT);
    let accepts = accepts.and_then(|value| value.to_str().ok());
    if !accepts.is_some_and(|text| text.contains("text/event-stream")) {
        return Ok(HttpResponse::Ok().json(log));
    }
    let known = request.headers().get("last-event-id");
    let known = known.and_then(|value| value.to_str().ok()?.parse().ok());
    let tail = Tail {
        live: app.runs.live_run(&caller.0, &run).await?,
        app,
        caller: caller.0,
        stopping: lifecycle.stopping(),
        run: run.into_inner(),
        sent: known.unwrap_or(0),
        over: false,
    };
    let events = stream::unfold(tail, |mut tail| async move {
        let events = tail.next().await?;
        Some((Ok::<_, Infallible>(events), tail))
    });
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        // Compression would hold lines back.
        .insert_header(header::ContentEncoding::Identity)
        .streaming(Box::pin(events)))
}

/// What a reader of a live log was sent.
struct Tail {
    app: Services,
    caller: Caller,
    run: String,
    /// A server that stops does not wait for readers.
    stopping: watch::Receiver<bool>,
    live: Option<Arc<LiveRun>>,
    /// The number of the last line.
    sent: u64,
    over: bool,
}

impl Tail {
    /// The next events; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        if self.over {
            return None;
        }
        let said = self.live.as_ref().map(|live| live.said());
        let log = self.app.runs.log(&self.caller, &self.run).await.ok()?;
        let run = self.app.runs.get(&self.caller, &self.run).await.ok()?;
        let mut events = String::new();
        for line in log.lines.iter().filter(|line| line.number > self.sent) {
            events += &format!(
                "id: {}\nevent: line\ndata: {}\n\n",
                line.number,
                json!(line)
            );
        }
        self.sent = log
            .lines
            .last()
            .map_or(self.sent, |line| line.number.max(self.sent));
        self.over = run.state.is_over();
        let name = if self.over { "end" } else { "run" };
        events += &format!("event: {name}\ndata: {}\n\n", json!(run));
        if !self.over {
            let mut stopping = self.stopping.clone();
            tokio::select! {
                () = self.wait(said) => {}
                _ = stopping.wait_for(|stopping| *stopping) => self.over = true,
            }
        }
        Some(events.into())
    }

    /// Until there may be something new to say.
    async fn wait(&mut self, said: Option<tokio::sync::watch::Receiver<u64>>) {
        match said {
            Some(mut said) => {
                // Ended: what there is to say is stored by now.
                let _ = tokio::time::timeout(KEEP_ALIVE, said.changed()).await;
                tokio::time::sleep(BREATH).await;
            }
            // It waits, or runs in another process.
            None => tokio::time::sleep(10 * BREATH).await,
        }
        self.live = self
            .app
            .runs
            .live_run(&self.caller, &self.run)
            .await
            .ok()
            .flatten();
    }
}

/// Cancels a run; one that is under way stops at its next step.
#[utoipa::path(
    post, path = "/v1/runs/{run}/cancel", tag = "jobs",
    params(("run" = String, Path, description = "The run's name")),
    responses((status = 200, description = "The run as it is now", body = RunView), Refused)
)]
pub async fn cancel(app: Services, caller: ReqCaller, run: web::Path<String>) -> Answer {
    Ok(HttpResponse::Ok().json(app.runs.cancel(&caller.0, &run).await?))
}

/// Has a run that did not succeed wait for another attempt, from its checkpoint.
#[utoipa::path(
    post, path = "/v1/runs/{run}/retry", tag = "jobs",
    params(("run" = String, Path, description = "The run's name")),
    responses((status = 202, description = "The run as it is now", body = RunView), Refused)
)]
pub async fn retry(app: Services, caller: ReqCaller, run: web::Path<String>) -> Answer {
    Ok(HttpResponse::Accepted().json(app.runs.retry(&caller.0, &run).await?))
}

/// A report's groups as CSV.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/reports/{id}/csv", tag = "jobs",
    params(
        ("tenant" = String, Path, description = "The tenant's slug"),
        ("id" = String, Path, description = "The report's id"),
    ),
    responses((status = 200, description = "The table", body = String, content_type = "text/csv"), Refused)
)]
pub async fn csv(app: Services, caller: ReqCaller, path: web::Path<(String, String)>) -> Answer {
    let (tenant, id) = path.into_inner();
    let access = app.tenants.access(&caller.0, &tenant, Scope::Read).await?;
    let report = app
        .records
        .get(&access, crate::domain::app_file::REPORT, &id)
        .await?;
    let data = serde_json::from_slice(&report.json)
        .map_err(|error| Problem(crate::service::Error::internal(error)))?;
    let name = format!("attachment; filename=\"{tenant}-{id}.csv\"");
    Ok(HttpResponse::Ok()
        .content_type("text/csv; charset=utf-8")
        .insert_header((header::CONTENT_DISPOSITION, name))
        .body(crate::service::report_csv::table(&data)))
}
