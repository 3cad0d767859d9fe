//! `/v1/app`: the applied app file.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use super::{Answer, Services, authenticate::ReqCaller, body, problem::Problem, routes};
use crate::{
    domain::{AppFile, AppProblem},
    service::{Code, Error, apps::ApplyOptions},
};

const TOML: &[&str] = &[
    "text/toml",
    "application/toml",
    "text/plain",
    "application/json",
];

/// The routes.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .service(
            routes::resource("/v1/app")
                .route(web::get().to(show))
                .route(web::head().to(show))
                .route(web::put().to(apply)),
        )
        .service(
            routes::resource("/v1/app/versions")
                .route(web::get().to(versions))
                .route(web::head().to(versions)),
        )
        .service(
            routes::resource("/v1/app/versions/{version}")
                .route(web::get().to(version))
                .route(web::head().to(version)),
        )
        .service(routes::resource("/v1/app/rollback").route(web::post().to(rollback)));
}

/// How an app file is applied.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct ApplyQuery {
    /// Only tell what would change.
    dry_run: bool,
    /// Drop entities that the file leaves out although they have records.
    drop_data: bool,
}

/// An earlier version.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Rollback {
    /// Its number.
    version: u64,
}

/// The applied app file and the state of every index.
#[utoipa::path(
    get, path = "/v1/app", tag = "app",
    responses(
        (status = 200, description = "The applied app", body = crate::service::apps::AppView),
        super::openapi::Refused,
    )
)]
pub async fn show(app: Services, caller: ReqCaller) -> Answer {
    let view = app.apps.view(&caller.0).await?;
    Ok(HttpResponse::Ok().json(view))
}

/// Applies an app file: TOML, or JSON of the same shape.
#[utoipa::path(
    put, path = "/v1/app", tag = "app",
    params(ApplyQuery),
    request_body(content = String, content_type = "text/toml", description = "The whole app file; it replaces the applied one"),
    responses(
        (status = 200, description = "What changed, or would change", body = crate::service::apps::Applied),
        super::openapi::Refused,
    )
)]
pub async fn apply(
    app: Services,
    caller: ReqCaller,
    query: web::Query<ApplyQuery>,
    request: HttpRequest,
    payload: web::Payload,
) -> Answer {
    caller.0.require_operator()?;
    let file = read(&app, &request, payload).await?;
    let options = ApplyOptions {
        dry_run: query.dry_run,
        drop_data: query.drop_data,
    };
    let applied = app.apps.apply(&caller.0, file, options).await?;
    Ok(HttpResponse::Ok().json(applied))
}

/// The app file in a request's body.
pub(super) async fn read(
    app: &Services,
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<AppFile, Problem> {
    body::require_type(request, TOML)?;
    let bytes = body::read(app, request, payload).await?;
    // An app file may declare nothing, but one that was forgotten must not be taken for it.
    if bytes.is_empty() {
        return Err(Problem::bad_request(
            "The body is empty; send the whole app file.",
        ));
    }
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        Problem::bad_request(format!(
            "The app file is not UTF-8 after {} bytes.",
            error.valid_up_to()
        ))
    })?;
    let kind = request.headers().get("content-type");
    let is_json = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    let parsed = match is_json {
        true => AppFile::from_json(text),
        false => AppFile::parse(text),
    };
    parsed.map_err(mistakes)
}

fn mistakes(problems: Vec<AppProblem>) -> Problem {
    let first = problems.first().map(ToString::to_string);
    let error = Error::new(
        Code::InvalidApp,
        format!(
            "The app file has {} mistakes; the first: {}",
            problems.len(),
            first.unwrap_or_default()
        ),
    );
    Problem(error.with("problems", problems))
}

/// The applied versions that are kept, newest first.
#[utoipa::path(
    get, path = "/v1/app/versions", tag = "app",
    responses(
        (status = 200, description = "The versions", body = super::openapi::Versions),
        super::openapi::Refused,
    )
)]
pub async fn versions(app: Services, caller: ReqCaller) -> Answer {
    let items = app.apps.versions(&caller.0).await?;
    Ok(HttpResponse::Ok().json(json!({"items": items, "next_cursor": null})))
}

/// One of the applied versions that are kept.
#[utoipa::path(
    get, path = "/v1/app/versions/{version}", tag = "app",
    params(("version" = u64, Path, description = "Its number, from 1")),
    responses(
        (status = 200, description = "The version", body = crate::service::apps::VersionView),
        super::openapi::Refused,
    )
)]
pub async fn version(app: Services, caller: ReqCaller, number: web::Path<u64>) -> Answer {
    let version = app.apps.version(&caller.0, *number).await?;
    Ok(HttpResponse::Ok().json(version))
}

/// Applies an earlier version again, as a new one.
#[utoipa::path(
    post, path = "/v1/app/rollback", tag = "app",
    params(ApplyQuery),
    request_body = Rollback,
    responses(
        (status = 200, description = "What changed, or would change", body = crate::service::apps::Applied),
        super::openapi::Refused,
    )
)]
pub async fn rollback(
    app: Services,
    caller: ReqCaller,
    query: web::Query<ApplyQuery>,
    request: HttpRequest,
    payload: web::Payload,
) -> Answer {
    caller.0.require_operator()?;
    let wanted: Rollback = body::json(&app, &request, payload).await?;
    let file = app.apps.version_file(&caller.0, wanted.version).await?;
    let options = ApplyOptions {
        dry_run: query.dry_run,
        drop_data: query.drop_data,
    };
    let applied = app.apps.apply(&caller.0, file, options).await?;
    Ok(HttpResponse::Ok().json(applied))
}
