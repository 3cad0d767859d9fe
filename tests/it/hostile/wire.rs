//! Requests that are hardly HTTP: refused or cut off, and never taken for two.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use super::{
    prepared,
    raw::{Answer, Wire},
    unharmed,
};
use crate::server::Server;

/// A request that must not be let in; a second one behind it must not be answered.
fn broken() -> Vec<(&'static str, String)> {
    let get = "GET /healthz HTTP/1.1\r\nhost: x\r\n";
    let post = "POST /v1/auth/login HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    let header = |line: &str| format!("{get}{line}\r\n\r\n");
    let body = |lines: &str, body: &str| format!("{post}{lines}\r\n\r\n{body}");
    vec![
        ("no version", "GET /healthz\r\n\r\n".into()),
        (
            "an unknown version",
            "GET /healthz HTTP/9.9\r\nhost: x\r\n\r\n".into(),
        ),
        (
            "a word that is no version",
            "GET /healthz HTTQ/1.1\r\nhost: x\r\n\r\n".into(),
        ),
        ("no path", "GET HTTP/1.1\r\nhost: x\r\n\r\n".into()),
        (
            "a space in the method",
            "GE T /healthz HTTP/1.1\r\nhost: x\r\n\r\n".into(),
        ),
        (
            "another protocol",
            "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\r\n\r\n".into(),
        ),
        ("a header without a colon", header("nonsense")),
        ("a header without a name", header(": a")),
        ("a space before the colon", header("a : b")),
        ("a control in a header's name", header("a\u{1}b: c")),
        ("a NUL in a header's value", header("a: b\0c")),
        ("a folded header", header("a: b\r\n c")),
        (
            "two lengths",
            body("content-length: 2\r\ncontent-length: 3", "{} "),
        ),
        ("a list of lengths", body("content-length: 2, 3", "{} ")),
        ("a negative length", body("content-length: -2", "{}")),
        ("a length with a sign", body("content-length: +2", "{}")),
        (
            "a length that is no number",
            body("content-length: two", "{}"),
        ),
        (
            "a length beyond 64 bits",
            body("content-length: 99999999999999999999", "{}"),
        ),
        (
            "a length and chunks",
            body(
                "content-length: 2\r\ntransfer-encoding: chunked",
                "0\r\n\r\n",
            ),
        ),
        (
            "an unknown transfer encoding",
            body("transfer-encoding: chunke", "0\r\n\r\n"),
        ),
        (
            "chunks that are not the last encoding",
            body("transfer-encoding: chunked, gzip", "0\r\n\r\n"),
        ),
        (
            "a chunk of no size",
            body("transfer-encoding: chunked", "z\r\n{}\r\n0\r\n\r\n"),
        ),
        (
            "a chunk of a negative size",
            body("transfer-encoding: chunked", "-2\r\n{}\r\n0\r\n\r\n"),
        ),
        (
            "a chunk beyond 64 bits",
            body(
                "transfer-encoding: chunked",
                "fffffffffffffffff\r\n{}\r\n0\r\n\r\n",
            ),
        ),
        (
            "a chunk longer than it says",
            body("transfer-encoding: chunked", "1\r\n{}\r\n0\r\n\r\n"),
        ),
        (
            "chunks in HTTP/1.0",
            body("transfer-encoding: chunked", "0\r\n\r\n").replace("1.1", "1.0"),
        ),
    ]
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_nothing_behind_it_is_answered() {
    let (mut server, _) = prepared(&[]).await;
    for (what, request) in broken() {
        let behind = format!("{request}GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n");
        let said = everything(&server, behind.as_bytes());
        let answers: Vec<_> = said.split("HTTP/1.1 ").skip(1).collect();
        assert!(answers.len() <= 1, "{what}: two answers in {said}");
        assert!(answers.iter().all(|a| a.starts_with('4')), "{what}: {said}");
    }
    unharmed(&mut server);
}

/// All that the server says before it closes the connection.
fn everything(server: &Server, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let _ = stream.write_all(request);
    let mut said = Vec::new();
    if let Err(error) = stream.read_to_end(&mut said) {
        let reset = error.kind() == std::io::ErrorKind::ConnectionReset;
        assert!(reset, "{}: {error}", request.escape_ascii());
    }
    String::from_utf8_lossy(&said).into_owned()
}

/// The same question, in forms that HTTP knows and in others.
fn ask(server: &Server, request: &str) -> Answer {
    Wire::to(server).exchange(request.as_bytes(), false)
}

#[tokio::test]
async fn odd_requests_are_answered_in_words() {
    let (mut server, operator) = prepared(&[]).await;
    for (request, status) in [
        ("GET /healthz HTTP/1.0\r\n\r\n", 200),
        (
            "GET http://elsewhere.example/healthz HTTP/1.1\r\nhost: x\r\n\r\n",
            200,
        ),
        ("GET //healthz HTTP/1.1\r\nhost: x\r\n\r\n", 404),
        ("GET /healthz/ HTTP/1.1\r\nhost: x\r\n\r\n", 404),
        ("GET /%68ealthz HTTP/1.1\r\nhost: x\r\n\r\n", 200),
        ("OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n", 404),
        (
            "TRACE /healthz HTTP/1.1\r\nhost: x\r\nsecret: a\r\n\r\n",
            405,
        ),
        ("CONNECT /healthz HTTP/1.1\r\nhost: x\r\n\r\n", 405),
        ("PROPFIND /healthz HTTP/1.1\r\nhost: x\r\n\r\n", 405),
        ("get /healthz HTTP/1.1\r\nhost: x\r\n\r\n", 405),
        (
            "GET /healthz HTTP/1.1\r\nhost: x\r\nupgrade: h2c\r\nconnection: upgrade, http2-settings\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n",
            200,
        ),
        (
            "GET /healthz HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
            200,
        ),
        (
            "GET /healthz HTTP/1.1\r\nhost: x\r\nexpect: a miracle\r\n\r\n",
            200,
        ),
        (
            "GET /healthz HTTP/1.1\r\nhost: x\r\nrange: bytes=0-99999999999999999999\r\n\r\n",
            200,
        ),
        ("GET /../../etc/passwd HTTP/1.1\r\nhost: x\r\n\r\n", 404),
        (
            "GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nhost: x\r\n\r\n",
            404,
        ),
        (
            "GET /assets/..%2f..%2fCargo.toml HTTP/1.1\r\nhost: x\r\n\r\n",
            404,
        ),
    ] {
        let answer = ask(&server, request);
        assert_eq!(answer.status, status, "{request}: {answer:?}");
        answer.judge(request);
    }
    // A tenant's route asked for in another spelling needs the same credentials.
    for path in [
        "/v1/tenants/demo",
        "/v1/%74enants/demo",
        "/v1/tenants/%64emo",
        "/v1/tenants/dem%6F",
    ] {
        let without = ask(&server, &format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n"));
        assert_eq!(without.status, 401, "{path}");
        let with = Wire::to(&server).send(&operator, "GET", path.as_bytes(), None, b"");
        assert_eq!(with.json()["id"], "demo", "{path}");
    }
    unharmed(&mut server);
}

#[tokio::test]
async fn floods_of_headers_are_refused() {
    let (mut server, _) = prepared(&[]).await;
    let many: String = (0..10_000).map(|n| format!("x-{n}: a\r\n")).collect();
    let long = format!("x-long: {}\r\n", "a".repeat(400_000));
    let cookies = "cookie: tenantry_session=x\r\n".repeat(5_000);
    for (what, headers) in [("many", &many), ("long", &long), ("cookies", &cookies)] {
        let request = format!("GET /healthz HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
        let answer = ask(&server, &request);
        assert!(
            answer.status == 0 || (400..500).contains(&answer.status),
            "{what}: {answer:?}"
        );
    }
    let path = "a".repeat(200_000);
    let answer = ask(&server, &format!("GET /{path} HTTP/1.1\r\nhost: x\r\n\r\n"));
    assert!(
        answer.status == 0 || (400..500).contains(&answer.status),
        "{answer:?}"
    );
    unharmed(&mut server);
}
