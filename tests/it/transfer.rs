//! Import and export over HTTP.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::json;

use crate::server::{Server, ok, problem};

const IMPORT: &str = "/v1/tenants/demo/import?entity=ticket&id_field=id";

fn row(id: &str, subject: &str) -> String {
    let row = json!({"id": id, "subject": subject, "status": "open",
        "opened_at": "2026-03-01T00:00:00Z"});
    format!("{row}\n")
}

#[tokio::test]
async fn rows_go_in_and_come_out_and_go_in_again() {
    let server = Server::start().await;
    // More than a request's body may have otherwise.
    let rows: String = (0..600)
        .map(|n| row(&format!("t{n:04}"), &"x".repeat(150)))
        .collect();
    let bad = "{\"id\":\"bad\",\"status\":\"open\"}\n";
    let import = |rows: String| server.by_key(Method::POST, IMPORT).body(rows);
    let report = ok(import(format!("{bad}{rows}"))).await;
    assert_eq!(report["created"], 600, "{report}");
    assert_eq!(report["errors"][0]["line"], 1);
    assert_eq!(report["failed"], 1);
    assert_eq!(ok(import(rows)).await["unchanged"], 600);

    let export = |key: &str, tenant: &str| {
        let path = format!("/v1/tenants/{tenant}/export");
        server.bearer(key, Method::GET, &path).send()
    };
    let exported = export(&server.key, "demo").await.unwrap();
    assert_eq!(
        exported.headers()["content-type"].to_str().unwrap(),
        "application/x-ndjson"
    );
    let lines = exported.text().await.unwrap();
    assert_eq!(lines.lines().count(), 600);
    let copy = server.tenant("copy");
    let path = "/v1/tenants/copy/import?entity=ticket";
    let again = server.bearer(&copy, Method::POST, path).body(lines.clone());
    assert_eq!(ok(again).await["created"], 600);
    let copied = export(&copy, "copy").await.unwrap().text().await.unwrap();
    assert_eq!(copied, lines);
}

#[tokio::test]
async fn an_import_is_larger_than_any_other_body() {
    let server = Server::start_with(&[("TENANTRY_LIMITS__BODY_BYTES_MAX", "10000")]).await;
    let rows: String = (0..200).map(|n| row(&format!("t{n}"), "larger")).collect();
    assert!(rows.len() > 10_000);
    let report = ok(server.by_key(Method::POST, IMPORT).body(rows)).await;
    assert_eq!(report["created"], 200);
}

#[tokio::test]
async fn what_cannot_be_imported_is_told() {
    let server = Server::start().await;
    let post = |path: &str| server.by_key(Method::POST, path).body(row("a", "b"));
    let kind = |kind: &'static str| post(IMPORT).header("content-type", kind);
    problem(kind("image/png"), 415, "unsupported_media_type").await;
    let packed = post(IMPORT).header("content-encoding", "br");
    problem(packed, 415, "unsupported_media_type").await;
    problem(post("/v1/tenants/demo/import"), 400, "bad_request").await;
    problem(post("/v1/tenants/demo/import?entity=no"), 404, "not_found").await;
    problem(
        post("/v1/tenants/else/import?entity=ticket"),
        404,
        "not_found",
    )
    .await;
    let many = "/v1/import?entity=ticket&tenant_field=subject";
    problem(post(many), 403, "operator_only").await;
    let csv = server
        .by_key(Method::POST, IMPORT)
        .header("content-type", "text/csv; charset=utf-8")
        .body("id,subject,status,opened_at\na,b,open,2026-03-01T00:00:00Z\n");
    assert_eq!(ok(csv).await["created"], 1);
}

#[tokio::test]
async fn an_operator_imports_into_many_tenants() {
    let server = Server::start().await;
    let token = server.operator().await;
    let path = "/v1/import?entity=ticket&tenant_field=subject&id_field=id";
    let post = |path: &str| {
        let rows = [row("1", "Big Corp"), row("2", "small")].concat();
        server.bearer(&token, Method::POST, path).body(rows)
    };
    let report = ok(post(path)).await;
    assert_eq!(report["failed"], 2, "{report}");
    let report = ok(post(&format!("{path}&create_tenants=true"))).await;
    assert_eq!(
        (&report["created"], &report["tenants_created"]),
        (&json!(2), &json!(2))
    );
    let path = "/v1/tenants/big-corp/records/ticket/1";
    let record = ok(server.bearer(&token, Method::GET, path)).await;
    assert_eq!(record["data"]["subject"], "Big Corp");
}

#[tokio::test]
async fn an_import_that_stalls_is_given_up_and_says_how_far_it_came() {
    let server = Server::start_with(&[("TENANTRY_SERVER__BODY_TIMEOUT_MS", "500")]).await;
    let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let rows = row("a", "whole");
    let sent = format!("{rows}{}", &row("b", "half")[..20]);
    write!(
        stream,
        "POST {IMPORT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: 100000\r\n\r\n{sent}",
        server.key
    )
    .unwrap();
    let started = Instant::now();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert!(started.elapsed() < Duration::from_secs(10));
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(
        answer.contains("of 1 rows read, 1 were created"),
        "{answer}"
    );
    ok(server.get("/v1/tenants/demo/records/ticket/a")).await;
}
