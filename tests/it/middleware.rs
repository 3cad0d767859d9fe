//! What stands around every route: CORS, the page, refusals that no handler makes.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use reqwest::Method;

use crate::server::{Server, ok, problem, problem_of};

const TICKETS: &str = "/v1/tenants/demo/records/ticket";
const OWN: &str = "https://app.example.com";

#[tokio::test]
async fn without_origins_there_is_no_cors() {
    let server = Server::start().await;
    let asked = server.get(TICKETS).header("origin", OWN);
    let answer = asked.send().await.unwrap();
    let named: Vec<_> = answer
        .headers()
        .keys()
        .filter(|name| name.as_str().starts_with("access-control"))
        .collect();
    assert!(named.is_empty(), "{named:?}");
    assert_eq!(answer.headers()["vary"], "Accept-Encoding");
    let preflight = server
        .anonymous(Method::OPTIONS, TICKETS)
        .header("origin", OWN)
        .header("access-control-request-method", "POST");
    problem(preflight, 405, "method_not_allowed").await;
}

#[tokio::test]
async fn listed_origins_are_let_in_and_others_are_not() {
    let server = Server::start_with(&[("TENANTRY_CORS__ORIGINS", OWN)]).await;
    let preflight = |origin: &str| {
        server
            .anonymous(Method::OPTIONS, TICKETS)
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization")
            .send()
    };
    let granted = preflight(OWN).await.unwrap();
    assert_eq!(granted.status(), 200);
    assert_eq!(granted.headers()["access-control-allow-origin"], OWN);
    let refused = preflight("https://evil.example").await.unwrap();
    let allowed = refused.headers().get("access-control-allow-origin");
    assert_eq!(allowed, None);
    problem_of(refused, 400, "bad_request").await;

    // A refusal can be read by the page that is allowed to ask.
    let nothing = server.get(&format!("{TICKETS}/none")).header("origin", OWN);
    let nothing = nothing.send().await.unwrap();
    assert_eq!(nothing.headers()["access-control-allow-origin"], OWN);
    let exposed = &nothing.headers()["access-control-expose-headers"];
    assert!(exposed.to_str().unwrap().contains("x-request-id"));
}

#[tokio::test]
async fn encodings_that_are_not_there_are_refused_as_problems() {
    let server = Server::start().await;
    let taken = server
        .get(TICKETS)
        .header("accept-encoding", "identity;q=0, compress");
    problem(taken, 400, "bad_request").await;
    let sent = server
        .by_key(Method::POST, TICKETS)
        .header("content-type", "application/json")
        .header("content-encoding", "gzip")
        .body("{}");
    problem(sent, 415, "unsupported_media_type").await;
}

#[tokio::test]
async fn the_page_is_served_with_its_policy_and_kept_by_its_etag() {
    let server = Server::start().await;
    let page = server.anonymous(Method::GET, "/").send().await.unwrap();
    assert_eq!(page.status(), 200);
    let header = |name: &str| page.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "text/html; charset=utf-8");
    assert_eq!(header("cache-control"), "no-cache");
    assert_eq!(header("x-content-type-options"), "nosniff");
    let policy = header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    let etag = header("etag");
    let known = server
        .anonymous(Method::GET, "/")
        .header("if-none-match", &etag);
    let known = known.send().await.unwrap();
    assert_eq!(known.status(), 304);
    assert_eq!(known.headers()["vary"], "Accept-Encoding");
    let head = server.anonymous(Method::HEAD, "/").send().await.unwrap();
    assert_eq!(head.status(), 200);
    assert!(head.bytes().await.unwrap().is_empty());
    // What is read with credentials is kept by nobody.
    let list = server.get(TICKETS).send().await.unwrap();
    assert_eq!(list.headers()["cache-control"], "no-store");
}

#[tokio::test]
async fn a_body_that_trickles_is_given_up() {
    let server = Server::start_with(&[("TENANTRY_SERVER__BODY_TIMEOUT_MS", "500")]).await;
    let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).unwrap();
    let timeout = Some(Duration::from_secs(20));
    stream.set_read_timeout(timeout).unwrap();
    let head = format!(
        "POST {TICKETS} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n",
        server.key
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let started = Instant::now();
    // No single part is late, yet all of it would take a minute and a half.
    let trickle = std::thread::spawn(move || {
        while started.elapsed() < Duration::from_secs(15) && writer.write_all(b" ").is_ok() {
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(started.elapsed() < Duration::from_secs(10));
    drop(stream);
    trickle.join().unwrap();
    ok(server.get(TICKETS)).await;
}
