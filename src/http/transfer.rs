//! Records in bulk over HTTP: the body of an import is read as it comes, an
//! export is written as it is read.

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use futures_util::TryStreamExt as _;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{Answer, Services, authenticate::ReqCaller, body, openapi::Refused, routes};
use crate::service::{
    Caller, Code, Error, Result,
    transfer::{Format, ImportOptions, ImportReport, Target},
};

/// The routes of this file.
pub fn configure(cfg: &mut web::ServiceConfig) {
    cfg.service(
        routes::resource("/v1/tenants/{tenant}/import").route(web::post().to(import_tenant)),
    )
    .service(routes::resource("/v1/import").route(web::post().to(import_many)))
    .service(
        routes::resource("/v1/tenants/{tenant}/export")
            .route(web::get().to(export))
            .route(web::head().to(export)),
    );
}

/// How to read an import into one tenant.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ImportQuery {
    /// The entity of the rows.
    entity: String,
    /// `ndjson` or `csv`; told by `Content-Type` where it is left out.
    format: Option<Format>,
    /// The field that holds the record's id; without it every row makes a record.
    id_field: Option<String>,
    /// The number of the first row's line, for the report.
    first_line: Option<u64>,
}

/// How to read an import into many tenants.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ImportManyQuery {
    /// The entity of the rows.
    entity: String,
    /// `ndjson` or `csv`; told by `Content-Type` where it is left out.
    format: Option<Format>,
    /// The field that holds the record's id; without it every row makes a record.
    id_field: Option<String>,
    /// The number of the first row's line, for the report.
    first_line: Option<u64>,
    /// The field that names the tenant.
    tenant_field: String,
    /// The tenant of rows that name none.
    tenant_default: Option<String>,
    /// Make tenants that do not exist.
    #[serde(default)]
    create_tenants: bool,
}

/// Which records to export.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ExportQuery {
    /// Only records of this entity.
    entity: Option<String>,
}

/// Imports rows into one tenant: NDJSON, or CSV with a header; plain, gzip or
/// zstd. Rows that are refused are listed, the others imported.
#[utoipa::path(
    post,
    path = "/v1/tenants/{tenant}/import",
    tag = "transfer",
    params(("tenant" = String, Path, description = "The tenant."), ImportQuery),
    request_body(
        content((String = "application/x-ndjson"), (String = "text/csv")),
        description = "The rows, of any number."
    ),
    responses(
        (status = 200, description = "What became of the rows", body = ImportReport),
        Refused
    )
)]
pub async fn import_tenant(
    app: Services,
    ReqCaller(caller): ReqCaller,
    path: web::Path<String>,
    query: web::Query<ImportQuery>,
    request: HttpRequest,
    payload: web::Payload,
) -> Answer {
    let query = query.into_inner();
    let options = ImportOptions {
        into: Target::Tenant(path.into_inner()),
        entity: query.entity,
        format: format(query.format, &request)?,
        encoding: encoding(&request)?,
        id_field: query.id_field,
        first_line: query.first_line,
    };
    import(&app, &caller, options, payload).await
}

/// Imports rows into the tenants that they name in a field. For operators.
#[utoipa::path(
    post,
    path = "/v1/import",
    tag = "transfer",
    params(ImportManyQuery),
    request_body(
        content((String = "application/x-ndjson"), (String = "text/csv")),
        description = "The rows, of any number."
    ),
    responses(
        (status = 200, description = "What became of the rows", body = ImportReport),
        Refused
    )
)]
pub async fn import_many(
    app: Services,
    ReqCaller(caller): ReqCaller,
    query: web::Query<ImportManyQuery>,
    request: HttpRequest,
    payload: web::Payload,
) -> Answer {
    let query = query.into_inner();
    let options = ImportOptions {
        into: Target::Field {
            field: query.tenant_field,
            default: query.tenant_default,
            create: query.create_tenants,
        },
        entity: query.entity,
        format: format(query.format, &request)?,
        encoding: encoding(&request)?,
        id_field: query.id_field,
        first_line: query.first_line,
    };
    import(&app, &caller, options, payload).await
}

/// A tenant's records as lines of NDJSON that an import takes back.
#[utoipa::path(
    get,
    path = "/v1/tenants/{tenant}/export",
    tag = "transfer",
    params(("tenant" = String, Path, description = "The tenant."), ExportQuery),
    responses(
        (
            status = 200,
            description = "The records, one a line; the answer breaks off where the store fails",
            content_type = "application/x-ndjson",
            body = String
        ),
        Refused
    )
)]
pub async fn export(
    app: Services,
    ReqCaller(caller): ReqCaller,
    path: web::Path<String>,
    query: web::Query<ExportQuery>,
) -> Answer {
    let tenant = path.into_inner();
    let lines = app
        .transfer
        .export(&caller, &tenant, query.entity.as_deref())
        .await?;
    let lines = lines.map_err(move |error| {
        // The status is sent by now; all that is left is to break the answer off.
        tracing::error!(
            tenant,
            cause = error.cause.as_deref(),
            "an export broke off"
        );
        error
    });
    Ok(HttpResponse::Ok()
        .content_type("application/x-ndjson")
        .streaming(Box::pin(lines)))
}

async fn import(
    app: &Services,
    caller: &Caller,
    options: ImportOptions,
    mut payload: web::Payload,
) -> Answer {
    let mut importer = app.transfer.import(caller, options).await?;
    loop {
        let pushed = match body::next(app, &mut payload).await {
            Ok(None) => break,
            Ok(Some(piece)) => importer.push(&piece).await,
            Err(problem) => Err(problem.0),
        };
        if let Err(error) = pushed {
            return Err(importer.stop(error).await.into());
        }
    }
    let report = importer.finish().await?;
    Ok(HttpResponse::Ok().json(report))
}

fn format(named: Option<Format>, request: &HttpRequest) -> Result<Format> {
    if let Some(format) = named {
        return Ok(format);
    }
    let header = request.headers().get(header::CONTENT_TYPE);
    let text = header.and_then(|value| value.to_str().ok()).unwrap_or("");
    let kind = text.split(';').next().unwrap_or("").trim();
    match kind.to_ascii_lowercase().as_str() {
        "text/csv" => Ok(Format::Csv),
        ""
        | "application/x-ndjson"
        | "application/ndjson"
        | "application/jsonl"
        | "application/json"
        | "application/octet-stream" => Ok(Format::Ndjson),
        other => Err(Error::new(
            Code::UnsupportedMediaType,
            format!(
                "An import is not taken as {other:?}; send application/x-ndjson or text/csv, or say format=ndjson or format=csv."
            ),
        )),
    }
}

fn encoding(request: &HttpRequest) -> Result<Option<String>> {
    let Some(value) = request.headers().get(header::CONTENT_ENCODING) else {
        return Ok(None);
    };
    let text = value.to_str().map_err(|_| {
        Error::new(
            Code::BadRequest,
            "The header Content-Encoding cannot be read.",
        )
    })?;
    Ok(Some(text.to_owned()))
}
