//! Sign-ins, sessions, keys, origins.

use reqwest::{Method, header};
use serde_json::json;

use crate::server::{Server, ok, problem, text};

fn login(server: &Server, password: &str) -> reqwest::RequestBuilder {
    let body = json!({"email": "Admin@localhost", "password": password});
    server.anonymous(Method::POST, "/v1/auth/login").json(&body)
}

#[tokio::test]
async fn an_operator_signs_in_and_out() {
    let server = Server::start().await;
    let response = login(&server, &server.password).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let cookie = response.headers()["set-cookie"]
        .to_str()
        .unwrap()
        .to_owned();
    for part in [
        "tenantry_session=ts_",
        "HttpOnly",
        "SameSite=Lax",
        "Path=/",
        "Max-Age=",
    ] {
        assert!(cookie.contains(part), "{part}: {cookie}");
    }
    assert!(!cookie.contains("Secure"), "{cookie}");
    let session: serde_json::Value = response.json().await.unwrap();
    let token = text(&session["token"]);
    let me = ok(server.bearer(&token, Method::GET, "/v1/auth/me")).await;
    assert_eq!(me["kind"], "operator");
    assert_eq!(me["email"], "admin@localhost");
    let out = server.bearer(&token, Method::POST, "/v1/auth/logout");
    assert_eq!(out.send().await.unwrap().status(), 204);
    let after = server.bearer(&token, Method::GET, "/v1/auth/me");
    problem(after, 401, "unauthenticated").await;
}

#[tokio::test]
async fn wrong_passwords_make_the_account_wait() {
    let server = Server::start_with(&[("TENANTRY_AUTH__LOGIN_DELAY_MS_FIRST", "30000")]).await;
    problem(login(&server, "wrong password"), 401, "wrong_credentials").await;
    let response = login(&server, &server.password).send().await.unwrap();
    let wait: u64 = response.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=30).contains(&wait), "{wait}");
    crate::server::problem_of(response, 429, "too_many_requests").await;
    // Another account does not wait for this one.
    let other = json!({"email": "nobody@localhost", "password": "wrong password"});
    let other = server
        .anonymous(Method::POST, "/v1/auth/login")
        .json(&other);
    problem(other, 401, "wrong_credentials").await;
}

#[tokio::test]
async fn a_change_by_cookie_comes_from_our_own_page() {
    let server = Server::start().await;
    let token = server.operator().await;
    let by_cookie = |method: Method, origin: Option<&str>| {
        let request = server
            .anonymous(method, "/v1/tenants")
            .header("cookie", format!("tenantry_session={token}"))
            .json(&json!({"id": "made"}));
        match origin {
            Some(origin) => request.header(header::ORIGIN, origin),
            None => request,
        }
    };
    ok(by_cookie(Method::GET, Some("https://evil.example"))).await;
    for origin in [Some("https://evil.example"), Some("null"), None] {
        problem(by_cookie(Method::POST, origin), 403, "foreign_origin").await;
    }
    ok(by_cookie(Method::POST, Some(&server.url))).await;
}

#[tokio::test]
async fn a_revoked_key_is_refused_at_once() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let keys = "/v1/tenants/demo/keys";
    let make = server.bearer(&operator, Method::POST, keys);
    let made = ok(make.json(&json!({"name": "ci", "scopes": ["read"]}))).await;
    let (key, id) = (text(&made["key"]), text(&made["id"]));
    assert!(key.starts_with("tk_") && key.len() == 46, "{key}");
    let read = || server.bearer(&key, Method::GET, "/v1/tenants/demo/records/ticket");
    ok(read()).await;
    let listed = ok(server.bearer(&operator, Method::GET, keys)).await;
    assert!(
        !listed.to_string().contains(&key[3..]),
        "the secret is shown again"
    );
    let gone = server.bearer(&operator, Method::DELETE, &format!("{keys}/{id}"));
    assert_eq!(gone.send().await.unwrap().status(), 204);
    problem(read(), 401, "unauthenticated").await;
    let expired = server.bearer(&operator, Method::POST, keys);
    let expired = expired.json(&json!({"expires_at": "2020-01-01T00:00:00Z"}));
    problem(expired, 400, "bad_request").await;
}

#[tokio::test]
async fn a_key_gives_no_more_than_it_has() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let keys = "/v1/tenants/demo/keys";
    let make = server.bearer(&operator, Method::POST, keys);
    let admin = ok(make.json(&json!({"scopes": ["admin"]}))).await;
    let admin = text(&admin["key"]);
    let more = server.bearer(&admin, Method::POST, keys);
    problem(
        more.json(&json!({"scopes": ["write"]})),
        403,
        "insufficient_scope",
    )
    .await;
    let same = server.bearer(&admin, Method::POST, keys);
    ok(same.json(&json!({"scopes": ["admin"]}))).await;
    let settings = server.bearer(&admin, Method::PATCH, "/v1/tenants/demo");
    let changed = ok(settings.json(&json!({"timezone": "Europe/Vienna"}))).await;
    assert_eq!(changed["timezone"], "Europe/Vienna");
}

#[tokio::test]
async fn a_new_password_ends_the_sessions() {
    let server = Server::start().await;
    let old = server.operator().await;
    let path = "/v1/operators/admin@localhost";
    let change = server.bearer(&old, Method::PATCH, path);
    ok(change.json(&json!({"password": "another password"}))).await;
    problem(
        server.bearer(&old, Method::GET, "/v1/auth/me"),
        401,
        "unauthenticated",
    )
    .await;
    problem(login(&server, &server.password), 401, "wrong_credentials").await;
}

#[tokio::test]
async fn the_last_operator_stays() {
    let server = Server::start().await;
    let token = server.operator().await;
    let remove =
        |email: &str| server.bearer(&token, Method::DELETE, &format!("/v1/operators/{email}"));
    problem(remove("admin@localhost"), 409, "limit_reached").await;
    let add = server.bearer(&token, Method::POST, "/v1/operators");
    ok(add.json(&json!({"email": "two@example.com", "password": "long enough"}))).await;
    ok(remove("two@example.com")).await;
    problem(remove("two@example.com"), 404, "not_found").await;
}

#[tokio::test]
async fn other_origins_may_call_only_where_listed() {
    let server = Server::start().await;
    let closed = server
        .get("/healthz")
        .header(header::ORIGIN, "https://app.example.com");
    let closed = closed.send().await.unwrap();
    assert!(!closed.headers().contains_key("access-control-allow-origin"));
    drop(server);
    // A list is given as its items, joined by commas.
    let server = Server::start_with(&[("TENANTRY_CORS__ORIGINS", "https://app.example.com")]).await;
    let path = "/v1/tenants/demo/records/ticket";
    let open = server
        .get(path)
        .header(header::ORIGIN, "https://app.example.com");
    let open = open.send().await.unwrap();
    assert_eq!(
        open.headers()["access-control-allow-origin"],
        "https://app.example.com"
    );
    let preflight = server
        .anonymous(Method::OPTIONS, path)
        .header(header::ORIGIN, "https://app.example.com")
        .header("access-control-request-method", "PUT")
        .header("access-control-request-headers", "authorization,if-match");
    let preflight = preflight.send().await.unwrap();
    assert_eq!(preflight.status(), 200);
    let other = server
        .get(path)
        .header(header::ORIGIN, "https://evil.example");
    let other = other.send().await.unwrap();
    assert!(!other.headers().contains_key("access-control-allow-origin"));
}
