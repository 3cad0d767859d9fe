//! The middleware in front of the real routes, over a store in memory.
#![allow(clippy::unwrap_used, clippy::expect_used)]
use std::{net::SocketAddr, sync::Arc};

use actix_web::{
    App as ActixApp,
    http::Method,
    middleware::from_fn,
    test::{TestRequest, call_service, init_service, read_body},
    web,
};
use serde_json::{Value, json};

use super::*;
use crate::{
    app::App,
    base::{Instant, ManualClock},
    config::{Config, Sources},
    http::{health::Lifecycle, metrics::Metrics, problem::Allowed, routes},
    service::{Caller, Scope, keys::NewKey, tenants::NewTenant},
    store,
};

const EMAIL: &str = "ann@example.com";
const PASSWORD: &str = "correct horse";

struct Bench {
    app: Arc<App>,
    /// A key of `acme` with all scopes.
    acme: String,
    /// A key of `acme` that reads.
    reader: String,
    /// A key of `acme-2` with all scopes.
    neighbour: String,
    session: String,
}

async fn bench() -> Bench {
    let mut config = Config::load(Sources::default()).unwrap();
    config.auth.argon2_memory_kib = 64;
    config.auth.argon2_passes = 1;
    let clock = Arc::new(ManualClock::new(Instant(1_772_323_200_000)));
    let app = App::build(config, store::memory().unwrap(), clock).await;
    let app = Arc::new(app.unwrap());
    for slug in ["acme", "acme-2"] {
        let wish = NewTenant {
            id: slug.into(),
            ..NewTenant::default()
        };
        app.tenants.create(&Caller::Local, wish).await.unwrap();
    }
    let all = [Scope::Read, Scope::Write, Scope::Admin];
    let added = app.operators.add(&Caller::Local, EMAIL, PASSWORD).await;
    added.unwrap();
    let session = app.auth.login(EMAIL, PASSWORD, "10.0.0.1").await.unwrap();
    Bench {
        acme: key(&app, "acme", &all).await,
        reader: key(&app, "acme", &[Scope::Read]).await,
        neighbour: key(&app, "acme-2", &all).await,
        session: session.token,
        app,
    }
}

async fn key(app: &App, tenant: &str, scopes: &[Scope]) -> String {
    let access = app.tenants.access(&Caller::Local, tenant, Scope::Admin);
    let wish = NewKey {
        scopes: scopes.to_vec(),
        ..NewKey::default()
    };
    let made = app
        .keys
        .create(&access.await.unwrap(), &Caller::Local, wish)
        .await;
    made.unwrap().1
}

/// A request without a proxy, from another machine.
fn from_afar(method: Method, path: &str) -> TestRequest {
    let peer: SocketAddr = "10.0.0.9:1000".parse().unwrap();
    TestRequest::default()
        .method(method)
        .uri(path)
        .peer_addr(peer)
}

fn get(path: &str) -> TestRequest {
    from_afar(Method::GET, path)
}

fn with(request: TestRequest, token: &str) -> TestRequest {
    request.insert_header(("authorization", format!("Bearer {token}")))
}

struct Answered {
    status: u16,
    headers: header::HeaderMap,
    body: Value,
}

impl Answered {
    fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or("")
    }
}

/// Asks the routes behind the middleware, put together as `server.rs` does.
async fn ask(app: &Arc<App>, request: TestRequest) -> Answered {
    let routes = ActixApp::new()
        .app_data(Services::from(app.clone()))
        .app_data(web::Data::new(Metrics::new().unwrap()))
        .app_data(web::Data::new(Lifecycle::default()))
        .app_data(web::Data::new(Allowed(permissions::methods)))
        .configure(routes::configure)
        .route("/v1/forgotten", web::get().to(forgotten))
        .route("/v1/app/rollback/{old}", web::get().to(forgotten))
        .wrap(from_fn(authenticate));
    let service = init_service(routes).await;
    let response = call_service(&service, request.to_request()).await;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = serde_json::from_slice(&read_body(response).await);
    Answered {
        status,
        headers,
        body: body.unwrap_or(Value::Null),
    }
}

/// A handler that nobody entered into the table.
async fn forgotten() -> &'static str {
    "secret"
}

#[actix_web::test]
async fn a_route_that_the_table_does_not_know_is_refused() {
    let bench = bench().await;
    for token in [&bench.acme, &bench.session] {
        for path in ["/v1/forgotten", "/v1/app/rollback/1"] {
            let answered = ask(&bench.app, with(get(path), token)).await;
            assert_eq!((answered.status, answered.code()), (500, "internal"));
        }
    }
}

#[actix_web::test]
async fn no_other_spelling_of_a_path_gets_by_the_table() {
    let bench = bench().await;
    for path in ["/metrics", "/%6Detrics", "/v1/operators", "/v1/%6fperators"] {
        let nobody = ask(&bench.app, get(path)).await;
        assert_eq!(nobody.status, 401, "{path}");
        let key = ask(&bench.app, with(get(path), &bench.acme)).await;
        assert_eq!((key.status, key.code()), (403, "operator_only"), "{path}");
        let operator = ask(&bench.app, with(get(path), &bench.session)).await;
        assert_eq!(operator.status, 200, "{path}");
    }
    let own = ask(&bench.app, with(get("/v1/tenants/%61cme"), &bench.reader)).await;
    assert_eq!((own.status, &own.body["id"]), (200, &json!("acme")));
    let other = ask(
        &bench.app,
        with(get("/v1/tenants/%61cme"), &bench.neighbour),
    )
    .await;
    assert_eq!(other.status, 404);
}
