//! `/openapi.json`, made from the handlers, and the shapes that are spliced from
//! stored bytes and therefore exist as types only here.

use std::sync::LazyLock;

use actix_web::{HttpResponse, web};
use bytes::Bytes;
use serde::Serialize;
use utoipa::{
    IntoResponses, Modify, OpenApi, ToSchema,
    openapi::{
        self,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};

use super::{
    Answer, activity, app_file, archive, auth, backups, batch, config, events, health, holds, jobs,
    keys, metrics, operation_ids::OperationIds, operators, overview, records, routes, runs, store,
    tenants, transfer,
};
use crate::service::Error;

/// The document.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tenantry",
        description = "Tenants' records on one machine: no query ever scans.",
    ),
    paths(
        health::healthz,
        health::readyz,
        metrics::show,
        document,
        auth::login,
        auth::logout,
        auth::me,
        operators::list,
        operators::add,
        operators::set_password,
        operators::remove,
        app_file::show,
        app_file::apply,
        app_file::versions,
        app_file::version,
        app_file::rollback,
        tenants::list,
        tenants::create,
        tenants::get,
        tenants::change,
        tenants::delete,
        keys::list,
        keys::create,
        keys::revoke,
        records::list,
        records::create,
        records::get,
        records::put,
        records::patch,
        records::delete,
        batch::batch,
        archive::archive_record,
        archive::restore_record,
        archive::archive_by_query,
        archive::restore_by_query,
        archive::status,
        archive::plan,
        archive::plan_of,
        archive::receipts,
        holds::list,
        holds::set,
        holds::lift,
        transfer::import_tenant,
        transfer::import_many,
        transfer::export,
        jobs::list,
        jobs::get,
        jobs::run,
        jobs::backfill,
        jobs::retry,
        jobs::secret,
        jobs::rotate,
        jobs::pauses,
        jobs::pause,
        jobs::resume,
        runs::list,
        runs::get,
        runs::log,
        runs::cancel,
        runs::retry,
        runs::csv,
        backups::list,
        backups::create,
        backups::get,
        backups::delete,
        backups::verify,
        backups::restore,
        store::stats,
        store::check,
        store::entities,
        store::indexes,
        overview::show,
        events::listen,
        activity::show,
        config::show,
    ),
    // Named only by parameters, from which no schema is gathered.
    components(schemas(crate::service::transfer::Format)),
    tags(
        (name = "records", description = "Tenants' records"),
        (name = "archive", description = "The archive tier: what leaves the hot one, comes back, is kept or erased"),
        (name = "tenants", description = "Customer accounts and their API keys"),
        (name = "jobs", description = "Jobs, their runs and reports"),
        (name = "app", description = "The app file: entities, schemas, indexes"),
        (name = "auth", description = "Sign in, sign out, who am I"),
        (name = "operators", description = "The people who run the installation"),
        (name = "transfer", description = "Import and export"),
        (name = "backups", description = "Backups of the whole store"),
        (name = "store", description = "The store: its size, and whether it is whole"),
        (name = "server", description = "The server itself"),
    ),
    security(("bearer" = []), ("session" = [])),
    modifiers(&Security, &OperationIds)
)]
pub struct Document;

struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut openapi::OpenApi) {
        let components = document.components.get_or_insert_with(Default::default);
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(
                "A tenant's API key (tk_...) or a session token (ts_...)",
            ))
            .build();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        let cookie = ApiKey::Cookie(ApiKeyValue::with_description(
            "tenantry_session",
            "The session of a browser; changes have to come from the server's own origin",
        ));
        components.add_security_scheme("session", SecurityScheme::ApiKey(cookie));
    }
}

/// The routes.
pub fn configure(config: &mut web::ServiceConfig) {
    config.service(
        routes::resource("/openapi.json")
            .route(web::get().to(document))
            .route(web::head().to(document)),
    );
}

/// This document.
#[utoipa::path(
    get, path = "/openapi.json", tag = "server", security(()),
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value))
)]
pub async fn document() -> Answer {
    match &*TEXT {
        Ok(text) => Ok(HttpResponse::Ok()
            .content_type("application/json")
            .body(text.clone())),
        Err(error) => Err(Error::internal(error).into()),
    }
}

/// Written once: it is large, and anybody may ask for it at any rate.
static TEXT: LazyLock<Result<Bytes, String>> = LazyLock::new(|| {
    let text = Document::openapi().to_json();
    text.map(Bytes::from).map_err(|error| error.to_string())
});

/// The client's own JSON object; its entity's schema says what is in it.
#[derive(Serialize, ToSchema)]
#[schema(value_type = Object)]
pub struct Data(serde_json::Value);

/// A record.
#[derive(Serialize, ToSchema)]
pub struct Record {
    /// Its id within the tenant and the entity.
    id: String,
    /// Counts its writes, from 1.
    version: u64,
    /// When it was made, RFC 3339.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it was last written, RFC 3339.
    #[schema(format = DateTime)]
    updated_at: String,
    /// Where it is.
    tier: Tier,
    /// Until when a restored record stays hot, RFC 3339; absent for others.
    #[schema(format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    restored_until: Option<String>,
    /// The client's JSON.
    data: Data,
}

/// Where a record is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[allow(dead_code)]
pub enum Tier {
    /// Among those that are worked with.
    Hot,
    /// Among those that are kept.
    Archive,
}

/// A page of records.
#[derive(Serialize, ToSchema)]
pub struct RecordList {
    /// The records.
    items: Vec<Record>,
    /// Gives the next page; null on the last one.
    #[schema(required = true)]
    next_cursor: Option<String>,
    /// What the list cost.
    units: Units,
    /// All matching records, where `count=true` asked for it.
    #[schema(nullable = false)]
    count: Option<u64>,
    /// How the list was answered, where `explain=true` asked for it.
    #[schema(nullable = false)]
    explain: Option<Explain>,
}

/// What a list cost.
#[derive(Serialize, ToSchema)]
pub struct Units {
    /// Units of 4 KiB read.
    read: u64,
}

/// How a list was answered.
#[derive(Serialize, ToSchema)]
pub struct Explain {
    /// The index, or `id` or `created_at` for the record's own order.
    index: String,
    /// Rows of that order read.
    keys_read: u64,
    /// Records fetched.
    records_read: u64,
    /// Records given.
    records_returned: u64,
    /// Units of 4 KiB read.
    read_units: u64,
}

/// Operations that are carried out all or none.
#[derive(Serialize, ToSchema)]
pub struct Batch {
    /// 1 to 100 of them, no two on the same record.
    operations: Vec<BatchOperation>,
}

/// One operation.
#[derive(Serialize, ToSchema)]
pub struct BatchOperation {
    /// `create`, `put`, `patch` or `delete`.
    op: String,
    /// The record's entity.
    entity: String,
    /// The record's id; a creation may leave it out.
    #[schema(nullable = false)]
    id: Option<String>,
    /// The record's data, or the patch.
    #[schema(nullable = false)]
    data: Option<Data>,
    /// As the header `If-Match`.
    #[schema(nullable = false)]
    if_match: Option<String>,
    /// As the header `If-None-Match`.
    #[schema(nullable = false)]
    if_none_match: Option<String>,
}

/// What a batch did.
#[derive(Serialize, ToSchema)]
pub struct BatchDone {
    /// In the order of the operations.
    items: Vec<OperationDone>,
}

/// What one operation did.
#[derive(Serialize, ToSchema)]
pub struct OperationDone {
    /// `created`, `updated` or `deleted`.
    done: String,
    /// The record's entity.
    entity: String,
    /// The record's id.
    id: String,
    /// The record as it is now; null where it was deleted.
    #[schema(required = true)]
    record: Option<Record>,
}

/// A problem (RFC 9457). Members beyond these depend on the code.
#[derive(Serialize, ToSchema)]
pub struct ProblemDocument {
    /// `about:blank`: the code tells more.
    r#type: String,
    /// What the code means.
    title: String,
    /// The HTTP status.
    status: u16,
    /// The stable code.
    code: String,
    /// What was wrong, where, and what to do next.
    detail: String,
    /// The request's id, as in the header `X-Request-Id` and in the log.
    request_id: String,
}

/// What a route answers when it does not do what was asked.
#[derive(IntoResponses)]
pub enum Refused {
    /// The problem, with a stable code
    #[response(status = "4XX", content_type = "application/problem+json")]
    Client(#[to_schema] ProblemDocument),
    /// The server cannot now; nothing was lost
    #[response(status = "5XX", content_type = "application/problem+json")]
    Server(#[to_schema] ProblemDocument),
}

/// The versions of the app file that are kept.
#[derive(Serialize, ToSchema)]
pub struct Versions {
    /// Newest first.
    items: Vec<crate::service::apps::VersionView>,
    /// Always null: all are in `items`.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// The process lives.
#[derive(Serialize, ToSchema)]
pub struct Health {
    /// `ok`
    status: String,
    /// The server's version.
    version: String,
}

/// Whether the server takes requests of every kind.
#[derive(Serialize, ToSchema)]
pub struct Readiness {
    /// `ready` or `not ready`
    status: String,
    /// Why not.
    reasons: Vec<String>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use std::collections::BTreeSet;

    use super::*;

    /// The document as method and path.
    fn documented() -> BTreeSet<(String, String)> {
        let document = serde_json::to_value(Document::openapi()).unwrap();
        let paths = document["paths"].as_object().unwrap();
        let mut routes = BTreeSet::new();
        for (path, methods) in paths {
            for method in methods.as_object().unwrap().keys() {
                routes.insert((method.to_uppercase(), path.clone()));
            }
        }
        routes
    }

    /// What the handlers' files register; actix-web tells nobody.
    fn registered() -> BTreeSet<(String, String)> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/http");
        let mut routes = BTreeSet::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let source = std::fs::read_to_string(entry.unwrap().path()).unwrap_or_default();
            let source: String = source.split_whitespace().collect();
            // Written in two parts, or this file would find itself.
            for resource in source.split(concat!("routes::", "resource(\"")).skip(1) {
                let (path, rest) = resource.split_once('"').unwrap();
                let rest = rest.split(".service(").next().unwrap();
                let rest = rest.split(';').next().unwrap();
                for method in ["get", "post", "put", "patch", "delete"] {
                    if rest.contains(&format!(".route(web::{method}()")) {
                        routes.insert((method.to_uppercase(), path.to_owned()));
                    }
                }
            }
        }
        routes
    }

    #[test]
    fn every_route_is_in_the_document_and_in_the_table_of_permissions() {
        let table: BTreeSet<_> = crate::http::permissions::TABLE
            .iter()
            .map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned()))
            .collect();
        let registered = registered();
        assert!(registered.len() > 25, "{registered:?}");
        assert_eq!(registered, documented());
        assert_eq!(registered, table);
    }

    /// The console is built with a client made from this file.
    #[test]
    fn the_console_is_built_from_this_very_document() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/web/openapi.json");
        let mut document = Document::openapi().to_pretty_json().unwrap();
        document.push('\n');
        if std::env::var_os("UPDATE_OPENAPI").is_some() {
            std::fs::write(file, &document).unwrap();
        }
        let known = std::fs::read_to_string(file).unwrap();
        assert!(
            known == document,
            "web/openapi.json is not what the server says; UPDATE_OPENAPI=1 cargo nextest run \
             the_console_is_built_from_this_very_document writes it"
        );
    }

    #[test]
    fn every_operation_has_a_name_of_its_own() {
        let document = serde_json::to_value(Document::openapi()).unwrap();
        let mut ids = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let id = operation["operationId"].as_str().unwrap();
                assert!(ids.insert(id.to_owned()), "{method} {path}: {id}");
            }
        }
        assert!(ids.contains("getTenantsByTenantKeys"), "{ids:?}");
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = serde_json::to_value(Document::openapi()).unwrap();
        let text = document.to_string();
        let references: BTreeSet<_> = text
            .split(r#""$ref":"#)
            .skip(1)
            .map(|rest| rest.split('"').nth(1).unwrap())
            .collect();
        assert!(references.len() > 10, "{references:?}");
        for reference in references {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }

    #[test]
    fn it_is_openapi_3_1_with_problems_and_ways_to_sign_in() {
        let document = serde_json::to_value(Document::openapi()).unwrap();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
        let schemes = document["components"]["securitySchemes"]
            .as_object()
            .unwrap();
        assert_eq!(schemes.keys().collect::<Vec<_>>(), ["bearer", "session"]);
        let list = &document["paths"]["/v1/tenants/{tenant}/records/{entity}"]["get"];
        assert!(list["responses"]["4XX"]["content"]["application/problem+json"].is_object());
    }
}
