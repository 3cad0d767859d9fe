//! Answers where there is nothing to do.

use reqwest::Method;

use crate::server::{Server, ok, problem};

#[tokio::test]
async fn no_route_no_method_no_sense() {
    let server = Server::start().await;
    problem(server.get("/v1/nothing"), 404, "not_found").await;
    let posted = server.anonymous(Method::POST, "/");
    problem(posted, 404, "not_found").await;
    let response = server.by_key(Method::PUT, "/v1/tenants/demo/records/ticket");
    let response = response.send().await.unwrap();
    assert_eq!(response.headers()["allow"], "GET, HEAD, POST");
    crate::server::problem_of(response, 405, "method_not_allowed").await;
    let operator = server.operator().await;
    let odd = server.bearer(&operator, Method::GET, "/v1/tenants?limit=x");
    problem(odd, 400, "bad_request").await;
    let odd = server.bearer(&operator, Method::GET, "/v1/tenants?page=2");
    problem(odd, 400, "bad_request").await;
}

#[tokio::test]
async fn every_answer_has_an_id_and_the_log_knows_it() {
    let server = Server::start_with(&[("TENANTRY_LOG__FORMAT", "json")]).await;
    let own = server
        .get("/v1/tenants/demo/records/ticket")
        .header("x-request-id", "mine-1");
    assert_eq!(
        own.send().await.unwrap().headers()["x-request-id"],
        "mine-1"
    );
    let odd = server.get("/healthz").header("x-request-id", "a b\tc");
    let odd = odd.send().await.unwrap();
    assert_ne!(odd.headers()["x-request-id"], "a b\tc");
    let line = server.wait_for_log("mine-1").await;
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["span"]["request_id"], "mine-1");
    assert_eq!(line["route"], "/v1/tenants/{tenant}/records/{entity}");
    assert_eq!(line["tenant"], "demo");
    assert_eq!(line["status"], 200);
    let token = server.key.as_str();
    assert!(server.log().iter().all(|line| !line.contains(token)));
}

#[tokio::test]
async fn health_metrics_and_the_document_are_there() {
    let server = Server::start().await;
    let health = ok(server.anonymous(Method::GET, "/healthz")).await;
    assert_eq!(health["version"], env!("CARGO_PKG_VERSION"));
    let ready = ok(server.anonymous(Method::GET, "/readyz")).await;
    assert_eq!(ready["reasons"], serde_json::json!([]));
    let metrics = server.anonymous(Method::GET, "/metrics");
    let metrics = metrics.send().await.unwrap().text().await.unwrap();
    for name in [
        "tenantry_http_requests_total{method=\"GET\",route=\"/healthz\",status=\"200\"} 1",
        "tenantry_http_request_duration_seconds_bucket",
        "tenantry_store_batches_total",
        "tenantry_build_info",
    ] {
        assert!(metrics.contains(name), "{name} is not in {metrics}");
    }
    let through_proxy = server
        .anonymous(Method::GET, "/metrics")
        .header("x-forwarded-for", "203.0.113.7");
    problem(through_proxy, 401, "unauthenticated").await;
    let document = ok(server.anonymous(Method::GET, "/openapi.json")).await;
    assert!(crate::server::text(&document["openapi"]).starts_with("3.1"));
}
