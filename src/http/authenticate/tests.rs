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
        .app_data(web::Data::new(
            Metrics::new(&crate::jobs::metrics::JobMetrics::new().unwrap()).unwrap(),
        ))
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

#[actix_web::test]
async fn a_token_that_is_not_known_is_never_taken_for_nobody() {
    let bench = bench().await;
    for value in [
        "Bearer tk_unknown",
        "Bearer ts_unknown",
        "Bearer",
        "Bearer  ",
        "Basic YTpi",
        "tk_unknown",
    ] {
        for path in ["/healthz", "/v1/auth/me"] {
            let request = get(path).insert_header(("authorization", value));
            let answered = ask(&bench.app, request).await;
            assert_eq!(answered.status, 401, "{value} {path}");
            assert_eq!(answered.code(), "unauthenticated", "{value} {path}");
            assert!(answered.headers.contains_key("www-authenticate"));
        }
    }
    let known = ask(&bench.app, with(get("/v1/auth/me"), &bench.reader)).await;
    assert_eq!(known.body["tenant"], "acme");
    assert_eq!(known.body["scopes"], json!(["read"]));
    let operator = ask(&bench.app, with(get("/v1/auth/me"), &bench.session)).await;
    assert_eq!(operator.body["email"], EMAIL);
}

fn logout(cookie: &str, headers: &[(&'static str, &'static str)]) -> TestRequest {
    let mut request = from_afar(Method::POST, "/v1/auth/logout")
        .insert_header(("host", "tenantry.example.com:8443"))
        .insert_header(("cookie", format!("{COOKIE}={cookie}")));
    for header in headers {
        request = request.insert_header(*header);
    }
    request
}

#[actix_web::test]
async fn a_change_by_cookie_comes_from_our_own_origin() {
    let bench = bench().await;
    let foreign: [&[(&str, &str)]; 8] = [
        &[],
        &[("origin", "https://evil.example.com")],
        &[("origin", "https://tenantry.example.com")],
        &[("origin", "https://tenantry.example.com:8443.evil.com")],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        // The origin is what counts where both are said.
        &[
            ("origin", "https://evil.example.com"),
            ("sec-fetch-site", "same-origin"),
        ],
    ];
    for headers in foreign {
        let answered = ask(&bench.app, logout(&bench.session, headers)).await;
        assert_eq!(
            (answered.status, answered.code()),
            (403, "foreign_origin"),
            "{headers:?}"
        );
    }
    let reads = get("/v1/auth/me").insert_header(("cookie", format!("{COOKIE}={}", bench.session)));
    assert_eq!(ask(&bench.app, reads).await.status, 200);

    for headers in [
        [("origin", "https://tenantry.example.com:8443")],
        [("sec-fetch-site", "same-origin")],
    ] {
        let begun = bench.app.auth.login(EMAIL, PASSWORD, "10.0.0.1").await;
        let token = begun.unwrap().token;
        let answered = ask(&bench.app, logout(&token, &headers)).await;
        assert_eq!(answered.status, 204, "{headers:?}");
        assert_eq!(
            ask(&bench.app, with(get("/v1/auth/me"), &token))
                .await
                .status,
            401
        );
    }
}

#[actix_web::test]
async fn an_old_cookie_is_nobody_and_may_sign_in_again() {
    let bench = bench().await;
    let cookie = ("cookie", format!("{COOKIE}=ts_old"));
    let me = get("/v1/auth/me").insert_header(cookie.clone());
    assert_eq!(ask(&bench.app, me).await.status, 401);
    let login = from_afar(Method::POST, "/v1/auth/login")
        .insert_header(cookie)
        .set_json(json!({"email": EMAIL, "password": PASSWORD}));
    assert_eq!(ask(&bench.app, login).await.status, 200);
}

#[actix_web::test]
async fn the_sessions_cookie_is_secure_under_tls() {
    let bench = bench().await;
    let proxy: SocketAddr = "127.0.0.1:9".parse().unwrap();
    let afar: SocketAddr = "10.0.0.9:9".parse().unwrap();
    for (peer, proto, secure) in [
        (proxy, "https", true),
        (proxy, "http", false),
        // Anybody can send the header; only our own proxy is believed.
        (afar, "https", false),
    ] {
        let login = from_afar(Method::POST, "/v1/auth/login")
            .peer_addr(peer)
            .insert_header(("x-forwarded-proto", proto))
            .set_json(json!({"email": EMAIL, "password": PASSWORD}));
        let answered = ask(&bench.app, login).await;
        let cookie = answered.headers.get("set-cookie").unwrap();
        let cookie = cookie.to_str().unwrap();
        let token = answered.body["token"].as_str().unwrap();
        assert!(
            cookie.starts_with(&format!("{COOKIE}={token};")),
            "{cookie}"
        );
        for part in [
            "; HttpOnly",
            "; SameSite=Lax",
            "; Path=/",
            "; Max-Age=43200",
        ] {
            assert!(cookie.contains(part), "{cookie}");
        }
        assert_eq!(cookie.contains("; Secure"), secure, "{peer} {proto}");
    }
}

#[actix_web::test]
async fn another_tenants_anything_looks_like_no_tenant_at_all() {
    let bench = bench().await;
    for (method, rest) in [
        (Method::GET, ""),
        (Method::PATCH, ""),
        (Method::DELETE, "?confirm=acme"),
        (Method::GET, "/keys"),
        (Method::POST, "/keys"),
        (Method::GET, "/records/ticket"),
        (Method::POST, "/records/ticket"),
        (Method::PUT, "/records/ticket/1"),
    ] {
        let mut shown = Vec::new();
        for tenant in ["acme", "nobody-is-called-so"] {
            let path = format!("/v1/tenants/{tenant}{rest}");
            let request = with(from_afar(method.clone(), &path), &bench.neighbour);
            let answered = ask(&bench.app, request).await;
            assert_eq!(
                (answered.status, answered.code()),
                (404, "not_found"),
                "{method} {path}"
            );
            shown.push(answered.body.to_string().replace(tenant, "T"));
        }
        assert_eq!(shown[0], shown[1], "{method} {rest}");
    }
}

#[actix_web::test]
async fn keys_do_what_their_scopes_say() {
    let bench = bench().await;
    let cases = [
        (&bench.reader, Method::GET, "/v1/tenants/acme", 200, ""),
        (
            &bench.reader,
            Method::POST,
            "/v1/tenants/acme/records/ticket",
            403,
            "insufficient_scope",
        ),
        (
            &bench.reader,
            Method::GET,
            "/v1/tenants/acme/keys",
            403,
            "insufficient_scope",
        ),
        (&bench.acme, Method::GET, "/v1/tenants/acme/keys", 200, ""),
        (
            &bench.acme,
            Method::DELETE,
            "/v1/tenants/acme?confirm=acme",
            403,
            "operator_only",
        ),
        (
            &bench.acme,
            Method::GET,
            "/v1/tenants",
            403,
            "operator_only",
        ),
        (&bench.session, Method::GET, "/v1/tenants", 200, ""),
        (
            &bench.session,
            Method::GET,
            "/v1/tenants/acme/keys",
            200,
            "",
        ),
    ];
    for (token, method, path, status, code) in cases {
        let request = with(from_afar(method.clone(), path), token);
        let answered = ask(&bench.app, request).await;
        assert_eq!(
            (answered.status, answered.code()),
            (status, code),
            "{method} {path}"
        );
    }
}

#[actix_web::test]
async fn a_method_that_a_route_does_not_know_is_told_with_those_it_does() {
    let bench = bench().await;
    for token in [None, Some(&bench.session)] {
        let mut request = from_afar(Method::PUT, "/v1/tenants/acme");
        if let Some(token) = token {
            request = with(request, token);
        }
        let answered = ask(&bench.app, request).await;
        assert_eq!(
            (answered.status, answered.code()),
            (405, "method_not_allowed")
        );
        let allow = answered.headers.get("allow").unwrap();
        assert_eq!(allow, "GET, HEAD, PATCH, DELETE");
    }
}

#[actix_web::test]
async fn metrics_are_for_operators_and_the_machine_itself() {
    let bench = bench().await;
    let here: SocketAddr = "127.0.0.1:9".parse().unwrap();
    let metrics = || get("/metrics");
    assert_eq!(ask(&bench.app, metrics().peer_addr(here)).await.status, 200);
    let proxied = metrics()
        .peer_addr(here)
        .insert_header(("x-forwarded-for", "127.0.0.1"));
    assert_eq!(ask(&bench.app, proxied).await.status, 401);
    let key = with(metrics(), &bench.acme);
    assert_eq!(ask(&bench.app, key).await.status, 403);
}
