//! Tenants from their making to their erasure.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::server::{Server, json as run, ok, problem, text};

#[tokio::test]
async fn a_tenant_is_made_changed_and_listed() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let make = |body: serde_json::Value| {
        let request = server.bearer(&operator, Method::POST, "/v1/tenants");
        request.json(&body)
    };
    let made = make(
        json!({"id": "acme", "name": "Acme", "timezone": "Europe/Vienna",
        "meta": {"tier": "gold"}}),
    );
    let made = made.send().await.unwrap();
    assert_eq!(made.status(), 201);
    assert_eq!(made.headers()["location"], "/v1/tenants/acme");
    problem(make(json!({"id": "acme"})), 409, "already_exists").await;
    for bad in [
        json!({"id": "Acme"}),
        json!({"id": "~"}),
        json!({"id": "b", "timezone": "Mars/Olympus"}),
    ] {
        problem(make(bad), 400, "bad_request").await;
    }
    problem(
        make(json!({"id": "b", "colour": "red"})),
        400,
        "invalid_json",
    )
    .await;
    let change = server.bearer(&operator, Method::PATCH, "/v1/tenants/acme");
    let changed = ok(change.json(&json!({"meta": {"tier": null, "seats": "5"}}))).await;
    assert_eq!(changed["meta"], json!({"seats": "5"}));
    assert_eq!(changed["name"], "Acme");
    let page = ok(server.bearer(&operator, Method::GET, "/v1/tenants?limit=1")).await;
    assert_eq!(page["items"][0]["id"], "acme");
    let next = text(&page["next_cursor"]);
    let path = format!("/v1/tenants?limit=1&cursor={next}");
    let page = ok(server.bearer(&operator, Method::GET, &path)).await;
    assert_eq!(page["items"][0]["id"], "demo");
    assert!(page["next_cursor"].is_null());
}

#[tokio::test]
async fn a_deleted_tenant_leaves_nothing_and_its_neighbour_everything() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let (acme, neighbour) = (server.tenant("acme"), server.tenant("acme-2"));
    let ticket = json!({"subject": "s", "status": "open", "opened_at": "2026-03-01T00:00:00Z"});
    for number in 0..300 {
        let put = |key: &str, tenant: &str| {
            let path = format!("/v1/tenants/{tenant}/records/ticket/t-{number}");
            server.bearer(key, Method::PUT, &path).json(&ticket)
        };
        ok(put(&acme, "acme")).await;
        if number < 5 {
            ok(put(&neighbour, "acme-2")).await;
        }
    }
    let unsure = server.bearer(&operator, Method::DELETE, "/v1/tenants/acme");
    problem(unsure, 400, "bad_request").await;
    let sure = server.bearer(&operator, Method::DELETE, "/v1/tenants/acme?confirm=acme");
    assert_eq!(sure.send().await.unwrap().status(), 204);
    let by_key = server.bearer(&acme, Method::GET, "/v1/tenants/acme/records/ticket");
    let status = by_key.send().await.unwrap().status();
    assert!(status == 404 || status == 401, "{status}");
    // The name is free again when nothing is left.
    let mut made = false;
    for _ in 0..200 {
        let again = server.bearer(&operator, Method::POST, "/v1/tenants");
        let again = again.json(&json!({"id": "acme"})).send().await.unwrap();
        made = again.status() == 201;
        if made {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert!(made);
    let by_old_key = server.bearer(&acme, Method::GET, "/v1/tenants/acme/records/ticket");
    problem(by_old_key, 401, "unauthenticated").await;
    let path = "/v1/tenants/acme/records/ticket?count=true";
    let page = ok(server.bearer(&operator, Method::GET, path)).await;
    assert_eq!(page["count"], 0);
    let path = "/v1/tenants/acme-2/records/ticket?count=true&status=open";
    let page = ok(server.bearer(&neighbour, Method::GET, path)).await;
    assert_eq!(page["count"], 5);
    let checked = run(&server.data(), &["store", "check"]);
    assert_eq!(checked["problems"], json!([]));
}
