//! Records over HTTP.

use reqwest::Method;
use serde_json::json;

use crate::server::{Server, ok, problem, text};

const TICKETS: &str = "/v1/tenants/demo/records/ticket";

fn ticket(subject: &str) -> serde_json::Value {
    json!({"subject": subject, "status": "open", "opened_at": "2026-03-01T10:00:00Z"})
}

#[tokio::test]
async fn a_record_from_its_creation_to_its_end() {
    let server = Server::start().await;
    let made = server.post(TICKETS, &ticket("one")).send().await.unwrap();
    assert_eq!(made.status(), 201);
    let location = made.headers()["location"].to_str().unwrap().to_owned();
    let etag = made.headers()["etag"].to_str().unwrap().to_owned();
    let made: serde_json::Value = made.json().await.unwrap();
    assert_eq!(location, format!("{TICKETS}/{}", text(&made["id"])));
    assert_eq!(made["version"], 1);
    assert_eq!(made["tier"], "hot");

    let read = server.get(&location).send().await.unwrap();
    assert_eq!(read.headers()["etag"], etag.as_str());
    assert_eq!(read.json::<serde_json::Value>().await.unwrap(), made);
    let head = server.by_key(Method::HEAD, &location).send().await.unwrap();
    assert_eq!(head.status(), 200);
    assert_eq!(head.headers()["etag"], etag.as_str());
    assert!(head.bytes().await.unwrap().is_empty());
    let known = server.get(&location).header("if-none-match", &etag);
    let known = known.send().await.unwrap();
    assert_eq!(known.status(), 304);
    assert!(known.bytes().await.unwrap().is_empty());

    let patch = server
        .by_key(Method::PATCH, &location)
        .header("content-type", "application/merge-patch+json")
        .header("if-match", &etag)
        .body(r#"{"status":"closed"}"#);
    let patched = ok(patch).await;
    assert_eq!(patched["version"], 2);
    assert_eq!(patched["data"]["status"], "closed");
    assert_eq!(patched["data"]["subject"], "one");
    let late = server
        .put(&location, &ticket("x"))
        .header("if-match", &etag);
    let late = problem(late, 412, "precondition_failed").await;
    assert_eq!(late["current_version"], 2);

    let replaced = server.put(&location, &ticket("two")).send().await.unwrap();
    assert_eq!(replaced.status(), 200);
    let gone = server.by_key(Method::DELETE, &location);
    let gone = gone.send().await.unwrap();
    assert_eq!(gone.status(), 204);
    problem(server.get(&location), 404, "not_found").await;
    let again = server.put(&location, &ticket("two")).send().await.unwrap();
    assert_eq!(again.status(), 201);
}

#[tokio::test]
async fn what_is_refused_says_why() {
    let server = Server::start().await;
    let text_body = server
        .by_key(Method::POST, TICKETS)
        .header("content-type", "text/plain")
        .body("{}");
    problem(text_body, 415, "unsupported_media_type").await;
    let misfit = server.post(TICKETS, &json!({"subject": 1, "status": "odd"}));
    let misfit = problem(misfit, 422, "invalid_record").await;
    assert!(
        misfit["problems"].as_array().unwrap().len() >= 3,
        "{misfit}"
    );
    let first =
        "The record does not fit the entity ticket: \"opened_at\" is a required property; /";
    assert!(text(&misfit["detail"]).starts_with(first), "{misfit}");
    let unknown = server.get("/v1/tenants/demo/records/nothing");
    problem(unknown, 404, "not_found").await;
    let unserved = server.get(&format!("{TICKETS}?subject=one"));
    let unserved = problem(unserved, 422, "query_needs_index").await;
    assert!(text(&unserved["suggestion"]).contains("fields = [\"subject\"]"));
    let range = server.get(&format!(
        "{TICKETS}?status=open&opened_at[gte]=2026&count=true"
    ));
    problem(range, 400, "bad_request").await;
    let range = server.get(&format!(
        "{TICKETS}?status=open&opened_at[gte]=2026-01-01&count=true"
    ));
    problem(range, 422, "count_needs_counter").await;
    let greedy = server.get(&format!("{TICKETS}?limit=501"));
    problem(greedy, 400, "bad_request").await;
    let bad = server.get(TICKETS).header("if-none-match", "\"x");
    assert_eq!(
        bad.send().await.unwrap().status(),
        200,
        "lists have no conditions"
    );
    let bad = server
        .get(&format!("{TICKETS}/x"))
        .header("if-none-match", "\"x");
    problem(bad, 400, "bad_request").await;
}

#[tokio::test]
async fn a_batch_names_the_operation_that_failed() {
    let server = Server::start().await;
    let batch = "/v1/tenants/demo/batch";
    let operations = json!({"operations": [
        {"op": "create", "entity": "ticket", "id": "a", "data": ticket("a")},
        {"op": "put", "entity": "ticket", "id": "b", "data": ticket("b")},
        {"op": "patch", "entity": "ticket", "id": "c", "data": {"status": "closed"}},
    ]});
    let failed = problem(server.post(batch, &operations), 404, "not_found").await;
    assert_eq!(failed["operation"], 2);
    problem(server.get(&format!("{TICKETS}/a")), 404, "not_found").await;

    let good = json!({"operations": &operations["operations"].as_array().unwrap()[..2]});
    let done = ok(server.post(batch, &good)).await;
    assert_eq!(done["items"][0]["done"], "created");
    assert_eq!(done["items"][1]["record"]["id"], "b");
    let etag = "\"7-0000000000000000\"";
    let conditional = json!({"operations": [
        {"op": "delete", "entity": "ticket", "id": "a"},
        {"op": "delete", "entity": "ticket", "id": "b", "if_match": etag},
    ]});
    let failed = problem(server.post(batch, &conditional), 412, "precondition_failed").await;
    assert_eq!(failed["operation"], 1);
    assert_eq!(failed["current_version"], 1);

    for (bad, code) in [
        (json!({"operations": []}), "bad_request"),
        (
            json!({"operations": vec![&good["operations"][0]; 101]}),
            "bad_request",
        ),
        (
            json!({"operations": [{"op": "put", "entity": "ticket", "data": {}}]}),
            "bad_request",
        ),
        (
            json!({"operations": [{"op": "drop", "entity": "ticket"}]}),
            "invalid_json",
        ),
        (json!({"operations": [], "more": 1}), "invalid_json"),
    ] {
        problem(server.post(batch, &bad), 400, code).await;
    }
}

#[tokio::test]
async fn an_idempotency_key_holds_across_a_restart() {
    let mut server = Server::start().await;
    let request = |server: &Server, subject: &str| {
        server
            .post(TICKETS, &ticket(subject))
            .header("idempotency-key", "k-1")
    };
    let first = request(&server, "one").send().await.unwrap();
    assert_eq!(first.status(), 201);
    assert!(!first.headers().contains_key("idempotency-replayed"));
    let etag = first.headers()["etag"].clone();
    let first: serde_json::Value = first.json().await.unwrap();
    server.restart();
    let second = request(&server, "one").send().await.unwrap();
    assert_eq!(second.status(), 201);
    assert_eq!(second.headers()["idempotency-replayed"], "true");
    assert_eq!(second.headers()["etag"], etag);
    assert_eq!(second.json::<serde_json::Value>().await.unwrap(), first);
    problem(request(&server, "two"), 422, "idempotency_mismatch").await;
    let empty = server
        .post(TICKETS, &ticket("x"))
        .header("idempotency-key", "");
    problem(empty, 400, "bad_request").await;
}

#[tokio::test]
async fn a_cursor_goes_on_after_a_restart() {
    let mut server = Server::start().await;
    for number in 0..5 {
        ok(server.post(TICKETS, &ticket(&format!("{number}")))).await;
    }
    let page = ok(server.get(&format!("{TICKETS}?status=open&order=-opened_at&limit=3"))).await;
    let cursor = text(&page["next_cursor"]);
    server.restart();
    let query = format!("{TICKETS}?status=open&order=-opened_at&limit=3&cursor={cursor}");
    let page = ok(server.get(&query)).await;
    assert_eq!(page["items"].as_array().unwrap().len(), 2);
    assert!(page["next_cursor"].is_null());
    let foreign = format!("{TICKETS}?status=closed&limit=3&cursor={cursor}");
    problem(server.get(&foreign), 400, "invalid_cursor").await;
}
