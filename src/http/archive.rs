//! The archive tier over HTTP: records moved one by one or by query, what is where,
//! what the rules would do, what was erased.

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{
    Answer, Services, answer, app_file, authenticate::ReqCaller, body, openapi::Refused,
    problem::Problem, routes,
};
use crate::{
    domain::record::etag,
    service::{
        Scope,
        archive::{Ask, EntityPlan, EntityStatus, Receipt, Way},
        runs::RunView,
    },
};

/// The routes.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .service(
            routes::resource("/v1/tenants/{tenant}/records/{entity}/{id}/archive")
                .route(web::post().to(archive_record)),
        )
        .service(
            routes::resource("/v1/tenants/{tenant}/records/{entity}/{id}/restore")
                .route(web::post().to(restore_record)),
        )
        .service(
            routes::resource("/v1/tenants/{tenant}/archive")
                .route(web::get().to(status))
                .route(web::head().to(status))
                .route(web::post().to(archive_by_query)),
        )
        .service(
            routes::resource("/v1/tenants/{tenant}/restore")
                .route(web::post().to(restore_by_query)),
        )
        .service(
            routes::resource("/v1/tenants/{tenant}/archive/plan")
                .route(web::get().to(plan))
                .route(web::head().to(plan))
                .route(web::post().to(plan_of)),
        )
        .service(
            routes::resource("/v1/tenants/{tenant}/archive/receipts")
                .route(web::get().to(receipts))
                .route(web::head().to(receipts)),
        );
}

type RecordPath = web::Path<(String, String, String)>;

/// Which records to move.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveCall {
    /// The entity, which has an archive rule.
    entity: String,
    /// The filters of a list, as in its URL: `status=closed&closed_at[lt]=2026-01-01`.
    /// All records of the tier where it is empty.
    #[serde(default)]
    query: String,
}

/// What there is of each entity.
#[derive(Serialize, ToSchema)]
pub struct StatusList {
    /// By entity.
    items: Vec<EntityStatus>,
    /// Always null: all are in `items`.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// What the rules would do.
#[derive(Serialize, ToSchema)]
pub struct PlanList {
    /// By entity.
    items: Vec<EntityPlan>,
    /// Always null: all are in `items`.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// Receipts of purges.
#[derive(Serialize, ToSchema)]
pub struct ReceiptList {
    /// The latest first.
    items: Vec<Receipt>,
    /// Gives the next page.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// Which page of a list.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// How many: 50 unless said, at most 500.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

impl PageQuery {
    /// A page of a list that has parameters of its own, too.
    pub fn new(limit: Option<usize>, cursor: Option<String>) -> Self {
        Self { limit, cursor }
    }

    /// The limit, where it is one.
    pub fn limit(&self, app: &Services) -> Result<usize, Problem> {
        let limits = &app.config.limits;
        let limit = self.limit.unwrap_or(limits.page_items_default);
        match (1..=limits.page_items_max).contains(&limit) {
            true => Ok(limit),
            false => Err(Problem::bad_request(format!(
                "limit: expected 1 to {}.",
                limits.page_items_max
            ))),
        }
    }

    /// Where the page before ended.
    pub fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }
}

/// Archives a record at once, with the records that its entity's rule takes along.
///
/// It stays readable by its id and in lists with `tier=archive` or `tier=all`.
/// A record that is archived already is answered as it is.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/records/{entity}/{id}/archive", tag = "archive",
    params(
        ("tenant" = String, Path, description = "The tenant's slug"),
        ("entity" = String, Path, description = "A declared entity"),
        ("id" = String, Path, description = "The record's id"),
    ),
    responses(
        (status = 200, description = "The record", body = super::openapi::Record),
        Refused,
    )
)]
pub async fn archive_record(app: Services, caller: ReqCaller, path: RecordPath) -> Answer {
    move_record(&app, &caller, path, Way::Archive).await
}

/// Brings a record back at once, with the records that its entity's rule takes along.
///
/// It stays hot for the rule's `restored_for` (30 days unless said) before it is due
/// again. A record that is hot already is answered as it is.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/records/{entity}/{id}/restore", tag = "archive",
    params(
        ("tenant" = String, Path, description = "The tenant's slug"),
        ("entity" = String, Path, description = "A declared entity"),
        ("id" = String, Path, description = "The record's id"),
    ),
    responses(
        (status = 200, description = "The record", body = super::openapi::Record),
        Refused,
    )
)]
pub async fn restore_record(app: Services, caller: ReqCaller, path: RecordPath) -> Answer {
    move_record(&app, &caller, path, Way::Restore).await
}

async fn move_record(app: &Services, caller: &ReqCaller, path: RecordPath, way: Way) -> Answer {
    let (tenant, entity, id) = path.into_inner();
    let access = app.tenants.access(&caller.0, &tenant, Scope::Write).await?;
    let record = app.archive.move_one(&access, &entity, &id, way).await?;
    Ok(HttpResponse::Ok()
        .insert_header((header::ETAG, etag(&record.meta)))
        .content_type("application/json")
        .body(answer::rendered(&record)))
}

/// Archives the records that a list would give, in a run.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/archive", tag = "archive",
    params(("tenant" = String, Path, description = "The tenant's slug")),
    request_body = MoveCall,
    responses((status = 202, description = "The run that does it", body = RunView), Refused)
)]
pub async fn archive_by_query(
    app: Services,
    caller: ReqCaller,
    tenant: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Answer {
    move_by_query(&app, &caller, &tenant, (&request, payload), Way::Archive).await
}

/// Brings back the records that a list of the archive would give, in a run.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/restore", tag = "archive",
    params(("tenant" = String, Path, description = "The tenant's slug")),
    request_body = MoveCall,
    responses((status = 202, description = "The run that does it", body = RunView), Refused)
)]
pub async fn restore_by_query(
    app: Services,
    caller: ReqCaller,
    tenant: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Answer {
    move_by_query(&app, &caller, &tenant, (&request, payload), Way::Restore).await
}

async fn move_by_query(
    app: &Services,
    caller: &ReqCaller,
    tenant: &str,
    (request, payload): (&HttpRequest, web::Payload),
    way: Way,
) -> Answer {
    let access = app.tenants.access(&caller.0, tenant, Scope::Write).await?;
    let call: MoveCall = body::json(app, request, payload).await?;
    let query = web::Query::<Vec<(String, String)>>::from_query(&call.query)
        .map_err(|error| Problem::bad_request(format!("query: not understood: {error}.")))?;
    let ask = Ask {
        entity: call.entity,
        query: query.into_inner(),
    };
    app.archive.check_ask(&access, way, &ask).await?;
    let run = app.runs.run_asked(&caller.0, &access, way, &ask).await?;
    Ok(HttpResponse::Accepted().json(run))
}

/// What there is of each entity in both tiers: records, bytes, how far they are
/// compressed, the oldest record that is due.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/archive", tag = "archive",
    params(("tenant" = String, Path, description = "The tenant's slug")),
    responses((status = 200, description = "By entity", body = StatusList), Refused)
)]
pub async fn status(app: Services, caller: ReqCaller, tenant: web::Path<String>) -> Answer {
    let access = app.tenants.access(&caller.0, &tenant, Scope::Read).await?;
    let settings = app.tenants.get(&caller.0, &tenant).await?;
    let items = app.archive.status(&caller.0, &access, &settings).await?;
    Ok(HttpResponse::Ok().json(json!({"items": items, "next_cursor": null})))
}

/// What the archive rules would move and erase now, and how much smaller the hot tier
/// would be. Nothing is changed.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/archive/plan", tag = "archive",
    params(("tenant" = String, Path, description = "The tenant's slug")),
    responses((status = 200, description = "By entity", body = PlanList), Refused)
)]
pub async fn plan(app: Services, caller: ReqCaller, tenant: web::Path<String>) -> Answer {
    let access = app.tenants.access(&caller.0, &tenant, Scope::Read).await?;
    let settings = app.tenants.get(&caller.0, &tenant).await?;
    let items = app.archive.plan(&caller.0, &access, &settings).await?;
    Ok(HttpResponse::Ok().json(json!({"items": items, "next_cursor": null})))
}

/// What the archive rules of an app file would move and erase, were it applied: those
/// that are in force already are left out. Nothing is changed. Operators only.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/archive/plan", tag = "archive",
    params(("tenant" = String, Path, description = "The tenant's slug")),
    request_body(content = String, content_type = "text/toml", description = "A whole app file"),
    responses((status = 200, description = "By entity", body = PlanList), Refused)
)]
pub async fn plan_of(
    app: Services,
    caller: ReqCaller,
    tenant: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Answer {
    caller.0.require_operator()?;
    let file = app_file::read(&app, &request, payload).await?;
    let access = app.tenants.access(&caller.0, &tenant, Scope::Read).await?;
    let settings = app.tenants.get(&caller.0, &tenant).await?;
    let items = app
        .archive
        .plan_of(&caller.0, &access, &settings, &file)
        .await?;
    Ok(HttpResponse::Ok().json(json!({"items": items, "next_cursor": null})))
}

/// Lists what purges erased.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/archive/receipts", tag = "archive",
    params(("tenant" = String, Path, description = "The tenant's slug"), PageQuery),
    responses((status = 200, description = "A page", body = ReceiptList), Refused)
)]
pub async fn receipts(
    app: Services,
    caller: ReqCaller,
    tenant: web::Path<String>,
    query: web::Query<PageQuery>,
) -> Answer {
    let access = app.tenants.access(&caller.0, &tenant, Scope::Read).await?;
    let limit = query.limit(&app)?;
    let (items, next_cursor) = app
        .archive
        .receipts(&caller.0, &access, query.cursor(), limit)
        .await?;
    Ok(HttpResponse::Ok().json(ReceiptList { items, next_cursor }))
}
