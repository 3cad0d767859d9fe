//! `/v1/backups`: made, listed, verified, brought back in part. What takes long goes on
//! after the answer; asking for the backup says how far it is.

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Answer, Services, authenticate::ReqCaller, body, openapi::Refused, routes};
use crate::service::backups::{BackupView, Kind};

/// The routes.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .service(
            routes::resource("/v1/backups")
                .route(web::get().to(list))
                .route(web::head().to(list))
                .route(web::post().to(create)),
        )
        .service(
            routes::resource("/v1/backups/{id}")
                .route(web::get().to(get))
                .route(web::head().to(get))
                .route(web::delete().to(delete)),
        )
        .service(routes::resource("/v1/backups/{id}/verify").route(web::post().to(verify)))
        .service(routes::resource("/v1/backups/{id}/restore").route(web::post().to(restore)));
}

/// Backups.
#[derive(Serialize, ToSchema)]
pub struct BackupList {
    /// The newest first.
    items: Vec<BackupView>,
    /// The folder that they are in, on the server's machine.
    folder: String,
    /// Always null: all are in `items`.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// How to make a backup.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NewBackup {
    /// Whether it is verified when it is made.
    verify: bool,
}

/// How to verify a backup.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VerifyCall {
    /// The text of an identity file of age, for an encrypted one; the one that is configured
    /// unless said. It is not kept.
    identity: Option<String>,
}

/// Whom to bring back.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreCall {
    /// The tenant's slug in the backup.
    tenant: String,
    /// The slug that it is to have; the same unless said. No tenant may have it.
    #[serde(default, rename = "as")]
    name: Option<String>,
    /// The text of an identity file of age, for an encrypted one; the one that is configured
    /// unless said. It is not kept.
    #[serde(default)]
    identity: Option<String>,
}

/// Lists the backups, with what keeps them and what is being done.
#[utoipa::path(
    get, path = "/v1/backups", tag = "backups",
    responses((status = 200, description = "All of them", body = BackupList), Refused)
)]
pub async fn list(app: Services, caller: ReqCaller) -> Answer {
    let (backups, folder) = (app.backups.clone(), app.backups.folder().0.clone());
    // Reads a folder, which may be on a slow disk.
    let items = blocking(move || backups.list(&caller.0)).await?;
    Ok(HttpResponse::Ok().json(BackupList {
        items,
        folder: folder.display().to_string(),
        next_cursor: None,
    }))
}

/// Makes a backup of the whole store as of one moment, beside everything else. The answer
/// comes when it has begun.
#[utoipa::path(
    post, path = "/v1/backups", tag = "backups", request_body = NewBackup,
    responses((status = 202, description = "It is being made; `Location` says how far it is", body = BackupView), Refused)
)]
pub async fn create(
    app: Services,
    caller: ReqCaller,
    request: HttpRequest,
    payload: web::Payload,
) -> Answer {
    let call: NewBackup = body::json_or_default(&app, &request, payload).await?;
    let (backups, caller) = (app.backups.clone(), caller.0);
    let shown = blocking(move || {
        let operation = backups.create(&caller, Kind::Manual, call.verify)?;
        backups.get(&caller, &operation.id)
    });
    accepted(shown.await?)
}

/// A backup, with what is being done with it.
#[utoipa::path(
    get, path = "/v1/backups/{id}", tag = "backups",
    params(("id" = String, Path, description = "The backup's id")),
    responses((status = 200, description = "The backup", body = BackupView), Refused)
)]
pub async fn get(app: Services, caller: ReqCaller, id: web::Path<String>) -> Answer {
    let backups = app.backups.clone();
    let shown = blocking(move || backups.get(&caller.0, &id)).await?;
    Ok(HttpResponse::Ok().json(shown))
}

/// Removes a backup for good, or what is known of one that failed.
#[utoipa::path(
    delete, path = "/v1/backups/{id}", tag = "backups",
    params(("id" = String, Path, description = "The backup's id")),
    responses((status = 204, description = "It is gone"), Refused)
)]
pub async fn delete(app: Services, caller: ReqCaller, id: web::Path<String>) -> Answer {
    let backups = app.backups.clone();
    blocking(move || backups.delete(&caller.0, &id)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Restores a backup into a scratch store and checks that. The answer comes when it has
/// begun.
#[utoipa::path(
    post, path = "/v1/backups/{id}/verify", tag = "backups", request_body = VerifyCall,
    params(("id" = String, Path, description = "The backup's id")),
    responses((status = 202, description = "It is being verified; `Location` says how far that is", body = BackupView), Refused)
)]
pub async fn verify(
    app: Services,
    caller: ReqCaller,
    id: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Answer {
    let call: VerifyCall = body::json_or_default(&app, &request, payload).await?;
    let (backups, caller) = (app.backups.clone(), caller.0);
    let shown = blocking(move || {
        backups.verify(&caller, &id, call.identity.as_deref())?;
        backups.get(&caller, &id)
    });
    accepted(shown.await?)
}

/// Brings one tenant back, beside those that are there: its records, holds and settings;
/// not its API keys and runs. The answer comes when it has begun.
#[utoipa::path(
    post, path = "/v1/backups/{id}/restore", tag = "backups", request_body = RestoreCall,
    params(("id" = String, Path, description = "The backup's id")),
    responses((status = 202, description = "It is being brought back; `Location` says how far that is", body = BackupView), Refused)
)]
pub async fn restore(
    app: Services,
    caller: ReqCaller,
    id: web::Path<String>,
    request: HttpRequest,
    payload: web::Payload,
) -> Answer {
    let call: RestoreCall = body::json(&app, &request, payload).await?;
    let (backups, caller) = (app.backups.clone(), caller.0);
    let shown = blocking(move || {
        let whom = (&*call.tenant, call.name.as_deref());
        backups.bring_back(&caller, &id, whom, call.identity.as_deref())?;
        backups.get(&caller, &id)
    });
    accepted(shown.await?)
}

fn accepted(shown: BackupView) -> Answer {
    let location = format!("/v1/backups/{}", shown.manifest.id);
    Ok(HttpResponse::Accepted()
        .insert_header((header::LOCATION, location))
        .json(shown))
}

/// Does what reads and writes files on a thread where that holds up nobody.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> crate::service::Result<T> + Send + 'static,
) -> Result<T, super::problem::Problem> {
    let done = web::block(work).await;
    Ok(done.map_err(crate::service::Error::internal)??)
}
