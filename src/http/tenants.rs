//! `/v1/tenants`: the customer accounts.

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Answer, Services, authenticate::ReqCaller, body, problem::Problem, routes};
use crate::{
    domain::{Tenant, TenantChange},
    service::tenants::NewTenant,
};

/// The routes.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .service(
            routes::resource("/v1/tenants")
                .route(web::get().to(list))
                .route(web::head().to(list))
                .route(web::post().to(create)),
        )
        .service(
            routes::resource("/v1/tenants/{tenant}")
                .route(web::get().to(get))
                .route(web::head().to(get))
                .route(web::patch().to(change))
                .route(web::delete().to(delete)),
        );
}

/// Which tenants.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Tenants of a page: 50 unless said, at most 500.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A page of tenants.
#[derive(Serialize, ToSchema)]
pub struct TenantList {
    /// In the order of their slugs.
    items: Vec<Tenant>,
    /// Gives the next page; null on the last one.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// Lists tenants.
#[utoipa::path(
    get, path = "/v1/tenants", tag = "tenants", params(ListQuery),
    responses((status = 200, description = "A page", body = TenantList), super::openapi::Refused)
)]
pub async fn list(app: Services, caller: ReqCaller, query: web::Query<ListQuery>) -> Answer {
    let limits = &app.config.limits;
    let limit = query.limit.unwrap_or(limits.page_items_default);
    if !(1..=limits.page_items_max).contains(&limit) {
        return Err(Problem::bad_request(format!(
            "limit: expected 1 to {}.",
            limits.page_items_max
        )));
    }
    let after = query.cursor.as_deref();
    let (items, next_cursor) = app.tenants.list(&caller.0, after, limit).await?;
    Ok(HttpResponse::Ok().json(TenantList { items, next_cursor }))
}

/// Makes a tenant.
#[utoipa::path(
    post, path = "/v1/tenants", tag = "tenants", request_body = NewTenant,
    responses((status = 201, description = "The tenant", body = Tenant), super::openapi::Refused)
)]
pub async fn create(
    app: Services,
    caller: ReqCaller,
    request: HttpRequest,
    payload: web::Payload,
) -> Answer {
    let wish: NewTenant = body::json(&app, &request, payload).await?;
    app.apps.check_own_rules(wish.archive.as_ref()).await?;
    let tenant = app.tenants.create(&caller.0, wish).await?;
    let location = format!("/v1/tenants/{}", tenant.id);
    Ok(HttpResponse::Created()
        .insert_header((header::LOCATION, location))
        .json(tenant))
}

/// One tenant's settings.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}", tag = "tenants",
    params(("tenant" = String, Path, description = "The tenant's slug")),
    responses((status = 200, description = "The tenant", body = Tenant), super::openapi::Refused)
)]
pub async fn get(app: Services, caller: ReqCaller, tenant: web::Path<String>) -> Answer {
    Ok(HttpResponse::Ok().json(app.tenants.get(&caller.0, &tenant).await?))
}

/// Changes a tenant's settings; what is not named stays.
#[utoipa::path(
    patch, path = "/v1/tenants/{tenant}", tag = "tenants",
    params(("tenant" = String, Path, description = "The tenant's slug")),
    request_body = TenantChange,
    responses((status = 200, description = "The tenant", body = Tenant), super::openapi::Refused)
)]
pub async fn change(
    app: Services,
    caller: ReqCaller,
    tenant: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Answer {
    let change: TenantChange = body::json(&app, &request, payload).await?;
    app.apps.check_own_rules(change.archive.as_ref()).await?;
    let changed = app.tenants.change(&caller.0, &tenant, &change).await?;
    Ok(HttpResponse::Ok().json(changed))
}

/// Says that a deletion is meant.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct DeleteQuery {
    /// The tenant's slug once more.
    confirm: String,
}

/// Deletes a tenant with everything it has, for good.
///
/// It is gone when this answers; its rows are removed in the background.
#[utoipa::path(
    delete, path = "/v1/tenants/{tenant}", tag = "tenants",
    params(("tenant" = String, Path, description = "The tenant's slug"), DeleteQuery),
    responses((status = 204, description = "It is gone"), super::openapi::Refused)
)]
pub async fn delete(
    app: Services,
    caller: ReqCaller,
    tenant: web::Path<String>,
    query: web::Query<DeleteQuery>,
) -> Answer {
    if query.confirm != *tenant {
        return Err(Problem::bad_request(format!(
            "This deletes everything of the tenant for good; repeat with ?confirm={tenant}."
        )));
    }
    app.tenants.delete(&caller.0, &tenant).await?;
    Ok(HttpResponse::NoContent().finish())
}
