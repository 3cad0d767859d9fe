//! `/v1/operators`: the people who run the installation.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::{Answer, Services, authenticate::ReqCaller, body, routes};
use crate::service::operators::OperatorView;

/// The routes.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .service(
            routes::resource("/v1/operators")
                .route(web::get().to(list))
                .route(web::head().to(list))
                .route(web::post().to(add)),
        )
        .service(
            routes::resource("/v1/operators/{email}")
                .route(web::patch().to(set_password))
                .route(web::delete().to(remove)),
        );
}

/// An operator to be added.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewOperator {
    /// The email address, with which the operator signs in.
    email: String,
    /// 8 to 1,024 bytes.
    password: String,
}

/// A new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPassword {
    /// 8 to 1,024 bytes.
    password: String,
}

/// All operators.
#[derive(Serialize, ToSchema)]
pub struct OperatorList {
    /// By email address.
    items: Vec<OperatorView>,
    /// Always null: all are in `items`.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// Lists the operators.
#[utoipa::path(
    get, path = "/v1/operators", tag = "operators",
    responses((status = 200, description = "All of them", body = OperatorList), super::openapi::Refused)
)]
pub async fn list(app: Services, caller: ReqCaller) -> Answer {
    let items = app.operators.list(&caller.0).await?;
    Ok(HttpResponse::Ok().json(json!({"items": items, "next_cursor": null})))
}

/// Adds an operator.
#[utoipa::path(
    post, path = "/v1/operators", tag = "operators", request_body = NewOperator,
    responses((status = 201, description = "The operator", body = OperatorView), super::openapi::Refused)
)]
pub async fn add(
    app: Services,
    caller: ReqCaller,
    request: HttpRequest,
    payload: web::Payload,
) -> Answer {
    let wish: NewOperator = body::json(&app, &request, payload).await?;
    let made = app
        .operators
        .add(&caller.0, &wish.email, &wish.password)
        .await?;
    Ok(HttpResponse::Created().json(made))
}

/// Gives an operator a new password; the operator's sessions end.
#[utoipa::path(
    patch, path = "/v1/operators/{email}", tag = "operators",
    params(("email" = String, Path, description = "The email address")),
    request_body = NewPassword,
    responses((status = 204, description = "It holds"), super::openapi::Refused)
)]
pub async fn set_password(
    app: Services,
    caller: ReqCaller,
    email: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Answer {
    let wish: NewPassword = body::json(&app, &request, payload).await?;
    app.operators
        .set_password(&caller.0, &email, &wish.password)
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Removes an operator; never the last one.
#[utoipa::path(
    delete, path = "/v1/operators/{email}", tag = "operators",
    params(("email" = String, Path, description = "The email address")),
    responses((status = 204, description = "The operator is gone"), super::openapi::Refused)
)]
pub async fn remove(app: Services, caller: ReqCaller, email: web::Path<String>) -> Answer {
    app.operators.remove(&caller.0, &email).await?;
    Ok(HttpResponse::NoContent().finish())
}
