//! What an operator asks of the store itself.

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Answer, Services, authenticate::ReqCaller, openapi::Refused, routes};
use crate::{
    service::{
        check::{CheckOptions, CheckReport},
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
    .service(routes::resource("/v1/store/check").route(web::post().to(check)));
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
