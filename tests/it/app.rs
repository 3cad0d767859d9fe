//! The app file over HTTP.

use reqwest::Method;
use serde_json::json;

use crate::server::{Server, ok, problem, text};

const TICKETS: &str = "/v1/tenants/demo/records/ticket";
const WITH_SUBJECT: &str = "[entity.ticket]\n[[entity.ticket.index]]\nname = \"by_subject\"\nfields = [\"subject\"]\n\n[entity.comment]\n";

#[tokio::test]
async fn an_index_over_existing_records_is_built_and_then_serves() {
    let server = Server::start().await;
    let operator = server.operator().await;
    for number in 0..5 {
        let data = json!({"subject": format!("s{number}"), "status": "open", "opened_at": "2026-03-01T10:00:00Z"});
        ok(server.post(TICKETS, &data)).await;
    }
    let list = format!("{TICKETS}?subject=s3");
    problem(server.get(&list), 422, "query_needs_index").await;

    let put = |query: &str| {
        let path = format!("/v1/app{query}");
        let request = server.bearer(&operator, Method::PUT, &path);
        request.header("content-type", "text/toml")
    };
    let dry = ok(put("?dry_run=true").body(WITH_SUBJECT)).await;
    assert_eq!(dry["applied"], false);
    problem(server.get(&list), 422, "query_needs_index").await;

    server.apply(&operator, WITH_SUBJECT).await;
    let found = ok(server.get(&list)).await;
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
    assert_eq!(found["items"][0]["data"]["subject"], "s3");
}

#[tokio::test]
async fn versions_are_kept_shown_and_applied_again() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let get = |path: &str| server.bearer(&operator, Method::GET, path);
    let first = ok(get("/v1/app")).await;
    server.apply(&operator, WITH_SUBJECT).await;
    let versions = ok(get("/v1/app/versions")).await;
    assert_eq!(versions["items"][0]["version"], 2);
    assert_eq!(versions["items"][1]["version"], 1);
    let one = ok(get("/v1/app/versions/1")).await;
    assert_eq!(one, versions["items"][1]);
    assert_eq!(one["source"], first["source"]);
    problem(get("/v1/app/versions/9"), 404, "not_found").await;
    problem(get("/v1/app/versions/x"), 400, "bad_request").await;
    let back = server.bearer(&operator, Method::POST, "/v1/app/rollback");
    let back = ok(back.json(&json!({"version": 1}))).await;
    assert_eq!(back["version"], 3);
    assert_eq!(ok(get("/v1/app")).await["source"], first["source"]);
}

#[tokio::test]
async fn mistakes_are_told_with_their_place() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let put = |kind: &str, body: &'static str| {
        let request = server.bearer(&operator, Method::PUT, "/v1/app");
        request.header("content-type", kind.to_owned()).body(body)
    };
    let wrong = put("text/toml", "[entity.ticket]\ntitel = \"x\"\n");
    let wrong = problem(wrong, 422, "invalid_app").await;
    assert_eq!(wrong["problems"][0]["line"], 2);
    assert!(
        text(&wrong["problems"][0]["message"]).contains("title"),
        "{wrong}"
    );
    let wrong = put(
        "application/json",
        "{\"entity\": {\"ticket\": {\"titel\": 1}}}",
    );
    problem(wrong, 422, "invalid_app").await;
    problem(put("image/png", "x"), 415, "unsupported_media_type").await;
    let by_key = server.by_key(Method::PUT, "/v1/app").body("");
    problem(by_key, 403, "operator_only").await;

    // An entity that has records is dropped only when that is said.
    let data = json!({"subject": "s", "status": "open", "opened_at": "2026-03-01T10:00:00Z"});
    ok(server.post(TICKETS, &data)).await;
    let kept = put("text/toml", "[entity.comment]\n");
    let kept = problem(kept, 409, "would_drop_data").await;
    assert_eq!(kept["dropped"][0]["records"], 1);
    ok(server.get(TICKETS)).await;
}
