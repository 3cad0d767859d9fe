//! `/v1/tenants/{tenant}/keys`: a tenant's API keys.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::{Answer, Services, authenticate::ReqCaller, body, routes};
use crate::service::{
    Scope,
    keys::{KeyView, NewKey},
};

/// The routes.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .service(
            routes::resource("/v1/tenants/{tenant}/keys")
                .route(web::get().to(list))
                .route(web::head().to(list))
                .route(web::post().to(create)),
        )
        .service(
            routes::resource("/v1/tenants/{tenant}/keys/{key}").route(web::delete().to(revoke)),
        );
}

/// A key that was made, with its secret.
#[derive(Serialize, ToSchema)]
pub struct MadeKey {
    /// The secret, shown this once.
    key: String,
    /// The key.
    #[serde(flatten)]
    view: KeyView,
}

/// All keys of a tenant.
#[derive(Serialize, ToSchema)]
pub struct KeyList {
    /// Oldest first.
    items: Vec<KeyView>,
    /// Always null: all are in `items`.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// Lists a tenant's API keys.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/keys", tag = "tenants",
    params(("tenant" = String, Path, description = "The tenant's slug")),
    responses((status = 200, description = "All of them", body = KeyList), super::openapi::Refused)
)]
pub async fn list(app: Services, caller: ReqCaller, tenant: web::Path<String>) -> Answer {
    let access = app.tenants.access(&caller.0, &tenant, Scope::Admin).await?;
    let items = app.keys.list(&access).await?;
    Ok(HttpResponse::Ok().json(json!({"items": items, "next_cursor": null})))
}

/// Makes an API key; its secret is shown this once.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/keys", tag = "tenants",
    params(("tenant" = String, Path, description = "The tenant's slug")),
    request_body = NewKey,
    responses((status = 201, description = "The key with its secret", body = MadeKey), super::openapi::Refused)
)]
pub async fn create(
    app: Services,
    caller: ReqCaller,
    tenant: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Answer {
    let access = app.tenants.access(&caller.0, &tenant, Scope::Admin).await?;
    let wish: NewKey = body::json(&app, &request, payload).await?;
    let (view, key) = app.keys.create(&access, &caller.0, wish).await?;
    Ok(HttpResponse::Created().json(MadeKey { key, view }))
}

/// Revokes an API key, at once.
#[utoipa::path(
    delete, path = "/v1/tenants/{tenant}/keys/{key}", tag = "tenants",
    params(
        ("tenant" = String, Path, description = "The tenant's slug"),
        ("key" = String, Path, description = "The key's id"),
    ),
    responses((status = 204, description = "It works no more"), super::openapi::Refused)
)]
pub async fn revoke(app: Services, caller: ReqCaller, path: web::Path<(String, String)>) -> Answer {
    let (tenant, key) = path.into_inner();
    let access = app.tenants.access(&caller.0, &tenant, Scope::Admin).await?;
    app.keys.revoke(&access, &key).await?;
    Ok(HttpResponse::NoContent().finish())
}
