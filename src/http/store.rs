//! What is asked of the store itself: sizes, and whether it is whole.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Answer, Services, authenticate::ReqCaller, openapi::Refused, routes};
use crate::{
    service::{
        Scope,
        check::{CheckOptions, CheckReport},
        sizes::{self, EntitySize, IndexSize},
        stats,
    },
    store::engine::Stats,
};

/// The routes of this file.
pub fn configure(cfg: &mut web::ServiceConfig) {
    cfg.service(
        routes::resource("/v1/store/stats")
            .route(web::get().to(stats))
            .route(web::head().to(stats)),
    )
    .service(routes::resource("/v1/store/check").route(web::post().to(check)))
    .service(
        routes::resource("/v1/tenants/{tenant}/entities")
            .route(web::get().to(entities))
            .route(web::head().to(entities)),
    )
    .service(
        routes::resource("/v1/tenants/{tenant}/indexes")
            .route(web::get().to(indexes))
            .route(web::head().to(indexes)),
    );
}

/// What a tenant has of each entity.
#[derive(Serialize, ToSchema)]
pub struct EntitySizes {
    /// By entity.
    items: Vec<EntitySize>,
    /// Always null: all are in `items`.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// What each index costs a tenant.
#[derive(Serialize, ToSchema)]
pub struct IndexSizes {
    /// By entity and index.
    items: Vec<IndexSize>,
    /// Always null: all are in `items`.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// What a tenant has of each entity: records and bytes of each tier.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/entities", tag = "store",
    params(("tenant" = String, Path, description = "The tenant's slug")),
    responses((status = 200, description = "The entities", body = EntitySizes), Refused)
)]
pub async fn entities(app: Services, caller: ReqCaller, tenant: web::Path<String>) -> Answer {
    let access = app.tenants.access(&caller.0, &tenant, Scope::Read).await?;
    let items = sizes::of_entities(&app.core, &app.apps, &access).await?;
    let next_cursor = None;
    Ok(HttpResponse::Ok().json(EntitySizes { items, next_cursor }))
}

/// What each index costs a tenant, estimated from at most 1,000 rows of each tier.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/indexes", tag = "store",
    params(("tenant" = String, Path, description = "The tenant's slug")),
    responses((status = 200, description = "The indexes", body = IndexSizes), Refused)
)]
pub async fn indexes(app: Services, caller: ReqCaller, tenant: web::Path<String>) -> Answer {
    let access = app.tenants.access(&caller.0, &tenant, Scope::Read).await?;
    let items = sizes::of_indexes(&app.core, &app.apps, &access).await?;
    let next_cursor = None;
    Ok(HttpResponse::Ok().json(IndexSizes { items, next_cursor }))
}

/// How to check.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct CheckQuery {
    /// Rebuild index rows and counters where they are wrong.
    repair: bool,
    /// List records that no longer fit their schema, too.
    schema: bool,
}

/// Keys and bytes of each tree, disk used, space amplification. Walks all keys.
#[utoipa::path(
    get,
    path = "/v1/store/stats",
    tag = "store",
    responses((status = 200, description = "The store's sizes.", body = Stats), Refused)
)]
pub async fn stats(app: Services, ReqCaller(caller): ReqCaller) -> Answer {
    let stats = stats::of_store(&caller, app.store.maintenance.clone()).await?;
    Ok(HttpResponse::Ok().json(stats))
}

/// Reads everything and tells what is wrong; safe while others read and write.
#[utoipa::path(
    post,
    path = "/v1/store/check",
    tag = "store",
    params(CheckQuery),
    responses((status = 200, description = "What was read and what is wrong.", body = CheckReport), Refused)
)]
pub async fn check(
    app: Services,
    ReqCaller(caller): ReqCaller,
    query: web::Query<CheckQuery>,
) -> Answer {
    let CheckQuery { repair, schema } = query.into_inner();
    let options = CheckOptions { repair, schema };
    let report = app.check.run(&caller, options).await?;
    Ok(HttpResponse::Ok().json(report))
}
