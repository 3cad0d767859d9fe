//! What strangers send: every request is refused in words or done exactly, the server
//! never fails or panics, and the store is whole after it.

mod bodies;
mod flood;
mod paths;
mod raw;
mod strings;
mod torture;
mod wire;

use std::net::TcpStream;

use serde_json::json;

use crate::server::{Server, json as run};

/// An entity that takes anything, with an index over text.
pub const APP: &str = r#"
[entity.note]
title = "text"
max_record_bytes = 400_000
[entity.note.schema]
properties.text = { type = "string" }
[[entity.note.index]]
name = "by_text"
fields = ["text"]
"#;

/// Makes the entity `note`.
pub async fn prepared(env: &[(&str, &str)]) -> (Server, String) {
    // A line for each of some thousand requests would bury what went wrong.
    let quiet = [&[("TENANTRY_LOG__FILTER", "warn")], env].concat();
    let server = Server::start_with(&quiet).await;
    let operator = server.operator().await;
    let app = [tenantry::domain::EXAMPLE_APP, APP].concat();
    server.apply(&operator, &app).await;
    (server, operator)
}

/// No handler panicked, the server still takes connections, and what it leaves is whole.
pub fn unharmed(server: &mut Server) {
    let log = server.log();
    let bad = |line: &&String| line.contains("panicked") || line.contains("failed inside");
    let bad: Vec<_> = log.iter().filter(bad).collect();
    assert!(bad.is_empty(), "{bad:#?}");
    TcpStream::connect(server.url.trim_start_matches("http://")).unwrap();
    server.stop();
    let checked = run(&server.data(), &["store", "check", "--schema"]);
    assert_eq!(checked["problems"], json!([]), "{checked}");
}
