//! `/v1/tenants/{tenant}/holds`: legal holds.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Answer, Services, archive::PageQuery, authenticate::ReqCaller, body, openapi::Refused, routes,
};
use crate::service::{
    Scope,
    holds::{Hold, NewHold},
};

/// The routes.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .service(
            routes::resource("/v1/tenants/{tenant}/holds")
                .route(web::get().to(list))
                .route(web::head().to(list))
                .route(web::post().to(set)),
        )
        .service(
            routes::resource("/v1/tenants/{tenant}/holds/{hold}").route(web::delete().to(lift)),
        );
}

/// Holds.
#[derive(Serialize, ToSchema)]
pub struct HoldList {
    /// The latest first.
    items: Vec<Hold>,
    /// Gives the next page.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// Which holds.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct HoldQuery {
    /// Those that were lifted, instead of those in force.
    lifted: bool,
    /// How many: 50 unless said, at most 500.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Why a hold is lifted.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct LiftQuery {
    /// Why: 1 to 1,000 characters.
    reason: String,
}

/// Lists a tenant's legal holds.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/holds", tag = "archive",
    params(("tenant" = String, Path, description = "The tenant's slug"), HoldQuery),
    responses((status = 200, description = "A page", body = HoldList), Refused)
)]
pub async fn list(
    app: Services,
    caller: ReqCaller,
    tenant: web::Path<String>,
    query: web::Query<HoldQuery>,
) -> Answer {
    let access = app.tenants.access(&caller.0, &tenant, Scope::Read).await?;
    let query = query.into_inner();
    let page = PageQuery::new(query.limit, query.cursor);
    let limit = page.limit(&app)?;
    let (items, next_cursor) = app
        .holds
        .list(&caller.0, &access, query.lifted, page.cursor(), limit)
        .await?;
    Ok(HttpResponse::Ok().json(HoldList { items, next_cursor }))
}

/// Sets a legal hold on a tenant, an entity or a record.
///
/// Nothing that it covers is deleted or purged until it is lifted.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/holds", tag = "archive",
    params(("tenant" = String, Path, description = "The tenant's slug")),
    request_body = NewHold,
    responses((status = 201, description = "The hold", body = Hold), Refused)
)]
pub async fn set(
    app: Services,
    caller: ReqCaller,
    tenant: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Answer {
    let access = app.tenants.access(&caller.0, &tenant, Scope::Read).await?;
    let wish: NewHold = body::json(&app, &request, payload).await?;
    let hold = app.holds.set(&caller.0, &access, wish).await?;
    Ok(HttpResponse::Created().json(hold))
}

/// Lifts a legal hold; who did, when and why is kept.
#[utoipa::path(
    delete, path = "/v1/tenants/{tenant}/holds/{hold}", tag = "archive",
    params(
        ("tenant" = String, Path, description = "The tenant's slug"),
        ("hold" = String, Path, description = "The hold's id"),
        LiftQuery,
    ),
    responses((status = 200, description = "The hold, lifted", body = Hold), Refused)
)]
pub async fn lift(
    app: Services,
    caller: ReqCaller,
    path: web::Path<(String, String)>,
    query: web::Query<LiftQuery>,
) -> Answer {
    let (tenant, hold) = path.into_inner();
    let access = app.tenants.access(&caller.0, &tenant, Scope::Read).await?;
    let hold = app
        .holds
        .lift(&caller.0, &access, &hold, &query.reason)
        .await?;
    Ok(HttpResponse::Ok().json(hold))
}
