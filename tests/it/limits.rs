//! Bodies too large, clients too slow.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use reqwest::Method;

use crate::server::{Server, ok, problem};

fn connect(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.url.trim_start_matches("http://")).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream
}

fn answer(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    // A connection closed with bytes unread may end in a reset, after the answer.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_body_over_the_limit_is_cut_off_at_once() {
    let server = Server::start_with(&[("TENANTRY_LIMITS__BODY_BYTES_MAX", "100000")]).await;
    let path = "/v1/tenants/demo/records/ticket";
    let large = server.by_key(Method::POST, path).json(&"x".repeat(200_000));
    let refused = problem(large, 413, "too_large").await;
    assert_eq!(refused["max_bytes"], 100_000);

    // Announced, not sent: the answer does not wait for the body.
    let mut stream = connect(&server);
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: 99999999\r\n\r\n",
        server.key
    );
    stream.write_all(head.as_bytes()).unwrap();
    let answered = answer(stream);
    assert!(answered.starts_with("HTTP/1.1 413"), "{answered}");

    // Not announced: it is counted.
    let mut stream = connect(&server);
    let head = head.replace("content-length: 99999999", "transfer-encoding: chunked");
    stream.write_all(head.as_bytes()).unwrap();
    let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
    for _ in 0..100 {
        if stream.write_all(chunk.as_bytes()).is_err() {
            break;
        }
    }
    let answered = answer(stream);
    assert!(
        answered.is_empty() || answered.starts_with("HTTP/1.1 413"),
        "{answered}"
    );
    ok(server.get(path)).await;
}

#[tokio::test]
async fn a_client_that_stops_half_way_is_given_up() {
    let server = Server::start_with(&[
        ("TENANTRY_SERVER__BODY_TIMEOUT_MS", "300"),
        ("TENANTRY_SERVER__REQUEST_TIMEOUT_MS", "500"),
    ])
    .await;
    let mut half_body = connect(&server);
    let head = format!(
        "POST /v1/tenants/demo/records/ticket HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{{\"subj",
        server.key
    );
    half_body.write_all(head.as_bytes()).unwrap();
    let mut half_head = connect(&server);
    half_head
        .write_all(b"GET /healthz HTTP/1.1\r\nhos")
        .unwrap();
    let started = Instant::now();
    let answered = answer(half_body);
    assert!(answered.starts_with("HTTP/1.1 408"), "{answered}");
    assert!(answered.contains("request_timeout"), "{answered}");
    let answered = answer(half_head);
    assert!(
        answered.is_empty() || answered.starts_with("HTTP/1.1 408"),
        "{answered}"
    );
    assert!(started.elapsed() < Duration::from_secs(15));
    ok(server.get("/v1/tenants/demo/records/ticket")).await;
}

#[tokio::test]
async fn the_installations_limits_hold() {
    let server = Server::start_with(&[
        ("TENANTRY_LIMITS__TENANTS_MAX", "3"),
        ("TENANTRY_LIMITS__KEYS_PER_TENANT_MAX", "2"),
        ("TENANTRY_LIMITS__PAGE_ITEMS_MAX", "5"),
        ("TENANTRY_LIMITS__PAGE_ITEMS_DEFAULT", "5"),
        ("TENANTRY_LIMITS__BATCH_OPERATIONS_MAX", "1"),
    ])
    .await;
    let operator = server.operator().await;
    let make = |slug: &str| {
        let request = server.bearer(&operator, Method::POST, "/v1/tenants");
        request.json(&serde_json::json!({ "id": slug }))
    };
    ok(make("a")).await;
    ok(make("b")).await;
    problem(make("a"), 409, "already_exists").await;
    problem(make("c"), 409, "limit_reached").await;
    let gone = server.bearer(&operator, Method::DELETE, "/v1/tenants/a?confirm=a");
    ok(gone).await;
    ok(make("c")).await;
    let key = || server.bearer(&operator, Method::POST, "/v1/tenants/demo/keys");
    ok(key().json(&serde_json::json!({}))).await;
    problem(key().json(&serde_json::json!({})), 409, "limit_reached").await;
    let list = server.get("/v1/tenants/demo/records/ticket?limit=6");
    problem(list, 400, "bad_request").await;
    let two = serde_json::json!({"operations": [
        {"op": "delete", "entity": "ticket", "id": "a"},
        {"op": "delete", "entity": "ticket", "id": "b"},
    ]});
    problem(
        server.post("/v1/tenants/demo/batch", &two),
        400,
        "bad_request",
    )
    .await;
}
