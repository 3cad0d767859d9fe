//! `/v1/tenants/{tenant}/records/{entity}`: records read, written and listed.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{Method, header},
    web,
};

use super::{
    Answer, Services, answer, authenticate::ReqCaller, body, conditions, problem::Problem, routes,
};
use crate::{
    domain::{query::ListRequest, record::etag},
    service::{
        Scope,
        records::{Action, Operation},
    },
};

/// What a record's data may come as.
const JSON: &[&str] = &["application/json"];
const PATCH: &[&str] = &["application/merge-patch+json", "application/json"];

/// The routes.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .service(
            routes::resource("/v1/tenants/{tenant}/records/{entity}")
                .route(web::get().to(list))
                .route(web::head().to(list))
                .route(web::post().to(create)),
        )
        .service(
            routes::resource("/v1/tenants/{tenant}/records/{entity}/{id}")
                .route(web::get().to(get))
                .route(web::head().to(get))
                .route(web::put().to(put))
                .route(web::patch().to(patch))
                .route(web::delete().to(delete)),
        );
}

type EntityPath = web::Path<(String, String)>;
type RecordPath = web::Path<(String, String, String)>;

/// Lists records by a declared index.
///
/// `field=value`, `field[gt|gte|lt|lte]=value` and `field[prefix]=text` filter;
/// `order=field` or `-field`, `limit` (at most 500), `cursor`,
/// `tier=hot|archive|all`, `count=true` and `explain=true` are the other
/// parameters. A list that no index serves is refused with the lines for app.toml.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/records/{entity}", tag = "records",
    params(
        ("tenant" = String, Path, description = "The tenant's slug"),
        ("entity" = String, Path, description = "A declared entity"),
        ("order" = Option<String>, Query, description = "A field, with - before it for the greatest first"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "Records of a page: 50 unless said, at most 500"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
        ("tier" = Option<String>, Query, description = "hot (unless said), archive or all"),
        ("count" = Option<bool>, Query, description = "Adds the number of all matching records"),
        ("explain" = Option<bool>, Query, description = "Adds how the list was answered and what it cost"),
    ),
    responses(
        (status = 200, description = "A page", body = super::openapi::RecordList),
        super::openapi::Refused,
    )
)]
pub async fn list(
    app: Services,
    caller: ReqCaller,
    path: EntityPath,
    request: HttpRequest,
) -> Answer {
    let (tenant, entity) = path.into_inner();
    let access = app.tenants.access(&caller.0, &tenant, Scope::Read).await?;
    let limits = &app.config.limits;
    let (usual, most) = (limits.page_items_default, limits.page_items_max);
    let wanted = list_request(request.query_string(), usual, most)?;
    let page = app.records.list(&access, &entity, &wanted).await?;
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .body(page))
}

/// The parameters of a list as a query string has them; the numbers are those of
/// records on a page.
pub(crate) fn list_request(
    query: &str,
    items_default: usize,
    items_max: usize,
) -> Result<ListRequest, Problem> {
    let pairs = web::Query::<Vec<(String, String)>>::from_query(query).map_err(|error| {
        Problem::bad_request(format!("The query string is not understood: {error}."))
    })?;
    ListRequest::from_pairs(pairs.into_inner(), items_default, items_max).map_err(|problem| {
        Problem::bad_request(format!("The list is not understood: {}.", problem.detail))
    })
}

/// Reads a record.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/records/{entity}/{id}", tag = "records",
    params(
        ("tenant" = String, Path, description = "The tenant's slug"),
        ("entity" = String, Path, description = "A declared entity"),
        ("id" = String, Path, description = "The record's id"),
        ("If-None-Match" = Option<String>, Header, description = "The ETag that is known already"),
    ),
    responses(
        (status = 200, description = "The record, with its ETag", body = super::openapi::Record),
        (status = 304, description = "It is still the one that is known"),
        super::openapi::Refused,
    )
)]
pub async fn get(
    app: Services,
    caller: ReqCaller,
    path: RecordPath,
    request: HttpRequest,
) -> Answer {
    let (tenant, entity, id) = path.into_inner();
    let access = app.tenants.access(&caller.0, &tenant, Scope::Read).await?;
    let known = conditions::if_none_match(&request)?;
    let record = app.records.get(&access, &entity, &id).await?;
    let unchanged = known.is_some_and(|known| known.matches(&record.meta));
    let mut response = if unchanged {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    response
        .insert_header((header::ETAG, etag(&record.meta)))
        .insert_header((header::CACHE_CONTROL, "private, no-cache"));
    if unchanged {
        return Ok(response.finish());
    }
    Ok(response
        .content_type("application/json")
        .body(answer::rendered(&record)))
}

/// Creates a record; its id is made here.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/records/{entity}", tag = "records",
    params(
        ("tenant" = String, Path, description = "The tenant's slug"),
        ("entity" = String, Path, description = "A declared entity"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes the request safe to repeat for 24 hours"),
    ),
    request_body(content = super::openapi::Data, description = "The record's data"),
    responses(
        (status = 201, description = "The record, with Location and ETag", body = super::openapi::Record),
        super::openapi::Refused,
    )
)]
pub async fn create(
    app: Services,
    caller: ReqCaller,
    path: EntityPath,
    request: HttpRequest,
    payload: web::Payload,
) -> Answer {
    let (tenant, entity) = path.into_inner();
    let action = Action::Create { id: None };
    write(&app, &caller, &request, payload, &tenant, entity, action).await
}

/// Makes or replaces a record under an id of the client's choice.
#[utoipa::path(
    put, path = "/v1/tenants/{tenant}/records/{entity}/{id}", tag = "records",
    params(
        ("tenant" = String, Path, description = "The tenant's slug"),
        ("entity" = String, Path, description = "A declared entity"),
        ("id" = String, Path, description = "The record's id, [A-Za-z0-9._~-]{1,128}"),
        ("If-Match" = Option<String>, Header, description = "Only if the record has one of these ETags"),
        ("If-None-Match" = Option<String>, Header, description = "`*`: only if there is no such record"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes the request safe to repeat for 24 hours"),
    ),
    request_body(content = super::openapi::Data, description = "The record's data"),
    responses(
        (status = 200, description = "The record, replaced", body = super::openapi::Record),
        (status = 201, description = "The record, made", body = super::openapi::Record),
        super::openapi::Refused,
    )
)]
pub async fn put(
    app: Services,
    caller: ReqCaller,
    path: RecordPath,
    request: HttpRequest,
    payload: web::Payload,
) -> Answer {
    let (tenant, entity, id) = path.into_inner();
    let action = Action::Put { id };
    write(&app, &caller, &request, payload, &tenant, entity, action).await
}

/// Merges a patch (RFC 7396) into a record.
#[utoipa::path(
    patch, path = "/v1/tenants/{tenant}/records/{entity}/{id}", tag = "records",
    params(
        ("tenant" = String, Path, description = "The tenant's slug"),
        ("entity" = String, Path, description = "A declared entity"),
        ("id" = String, Path, description = "The record's id"),
        ("If-Match" = Option<String>, Header, description = "Only if the record has one of these ETags"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes the request safe to repeat for 24 hours"),
    ),
    request_body(content = super::openapi::Data, content_type = "application/merge-patch+json", description = "The patch"),
    responses(
        (status = 200, description = "The record, changed", body = super::openapi::Record),
        super::openapi::Refused,
    )
)]
pub async fn patch(
    app: Services,
    caller: ReqCaller,
    path: RecordPath,
    request: HttpRequest,
    payload: web::Payload,
) -> Answer {
    let (tenant, entity, id) = path.into_inner();
    let action = Action::Patch { id };
    write(&app, &caller, &request, payload, &tenant, entity, action).await
}

/// Removes a record.
#[utoipa::path(
    delete, path = "/v1/tenants/{tenant}/records/{entity}/{id}", tag = "records",
    params(
        ("tenant" = String, Path, description = "The tenant's slug"),
        ("entity" = String, Path, description = "A declared entity"),
        ("id" = String, Path, description = "The record's id"),
        ("If-Match" = Option<String>, Header, description = "Only if the record has one of these ETags"),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes the request safe to repeat for 24 hours"),
    ),
    responses(
        (status = 204, description = "It is gone"),
        super::openapi::Refused,
    )
)]
pub async fn delete(
    app: Services,
    caller: ReqCaller,
    path: RecordPath,
    request: HttpRequest,
    payload: web::Payload,
) -> Answer {
    let (tenant, entity, id) = path.into_inner();
    let action = Action::Delete { id };
    write(&app, &caller, &request, payload, &tenant, entity, action).await
}

async fn write(
    app: &Services,
    caller: &ReqCaller,
    request: &HttpRequest,
    payload: web::Payload,
    tenant: &str,
    entity: String,
    action: Action,
) -> Answer {
    let access = app.tenants.access(&caller.0, tenant, Scope::Write).await?;
    match *request.method() {
        Method::PATCH => body::require_type(request, PATCH)?,
        Method::DELETE => {}
        _ => body::require_type(request, JSON)?,
    }
    let operation = Operation {
        entity,
        action,
        body: body::read(app, request, payload).await?,
        if_match: conditions::if_match(request)?,
        if_none_match: conditions::if_none_match(request)?,
    };
    let idempotency = conditions::idempotency(request, &operation.body)?;
    let reply = |outcomes: &[_]| answer::of_one(access.tenant(), outcomes);
    let written = app
        .records
        .write_one(&access, operation, idempotency, &reply)
        .await?;
    Ok(answer::of_reply(written.0, written.1))
}
