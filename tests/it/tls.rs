//! TLS: what is spoken, renewed and refused.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use nix::{sys::signal::Signal, unistd::Pid};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use reqwest::{Method, Version};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde_json::json;

use crate::server::{Server, command, ok, problem};

/// A certificate for this machine and its key, in a folder.
struct Pair {
    dir: tempfile::TempDir,
    certificate: String,
    key: String,
}

fn pair(to_year: i32) -> (String, String) {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(to_year, 1, 1);
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

impl Pair {
    fn new(to_year: i32) -> Self {
        let (certificate, key) = pair(to_year);
        let dir = tempfile::tempdir().unwrap();
        let made = Self {
            dir,
            certificate,
            key,
        };
        made.write();
        made
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn write(&self) {
        fs::write(self.path("cert.pem"), &self.certificate).unwrap();
        fs::write(self.path("key.pem"), &self.key).unwrap();
    }

    fn renew(&mut self) {
        (self.certificate, self.key) = pair(2101);
        self.write();
    }

    async fn serve(&self, more: &[(&str, &str)]) -> Server {
        let (certificate, key) = (self.path("cert.pem"), self.path("key.pem"));
        let mut env = vec![
            ("TENANTRY_TLS__CERTIFICATE", certificate.as_str()),
            ("TENANTRY_TLS__KEY", key.as_str()),
        ];
        env.extend(more);
        let mut server = Server::start_with(&env).await;
        assert!(server.url.starts_with("https://"), "{}", server.url);
        server.http = self.client().build().unwrap();
        server
    }

    /// A client that trusts this certificate.
    fn client(&self) -> reqwest::ClientBuilder {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let root = reqwest::Certificate::from_pem(self.certificate.as_bytes()).unwrap();
        reqwest::Client::builder().tls_certs_only([root])
    }
}

fn address(server: &Server) -> String {
    server.url.trim_start_matches("https://").to_owned()
}

type Connection = StreamOwned<ClientConnection, TcpStream>;

/// A connection of our own that trusts these certificates.
fn connect(server: &Server, certificates: &[&str]) -> Connection {
    let mut roots = RootCertStore::empty();
    for pem in certificates {
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        roots.add(certificate).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let session = ClientConnection::new(Arc::new(config), name).unwrap();
    let stream = TcpStream::connect(address(server)).unwrap();
    let timeout = Some(Duration::from_secs(20));
    stream.set_read_timeout(timeout).unwrap();
    StreamOwned::new(session, stream)
}

/// Asks over HTTP/1.1 and reads the answer's head, and its short body with it.
fn ask(connection: &mut Connection) -> String {
    let request = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    connection.write_all(request).unwrap();
    let mut answer = String::new();
    while !answer.contains("\"status\"") {
        let mut bytes = [0; 4096];
        let length = connection.read(&mut bytes).unwrap();
        assert!(length > 0, "closed after {answer:?}");
        answer.push_str(std::str::from_utf8(&bytes[..length]).unwrap());
    }
    answer
}

fn shown(connection: &Connection) -> CertificateDer<'static> {
    let chain = connection.conn.peer_certificates().unwrap();
    chain[0].clone().into_owned()
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

#[tokio::test]
async fn both_versions_of_http_are_spoken_and_browsers_are_told_to_stay() {
    let pair = Pair::new(2100);
    let server = pair.serve(&[]).await;
    let answered = server.anonymous(Method::GET, "/healthz").send();
    let answered = answered.await.unwrap();
    assert_eq!(answered.version(), Version::HTTP_2);
    let hsts = &answered.headers()["strict-transport-security"];
    assert_eq!(hsts, "max-age=31536000");
    let old = pair.client().http1_only().build().unwrap();
    let answered = old.get(format!("{}/healthz", server.url)).send();
    assert_eq!(answered.await.unwrap().version(), Version::HTTP_11);
    let plain = reqwest::get(format!("http://{}/healthz", address(&server)));
    assert!(plain.await.is_err());
    // A whole write with its body over HTTP/2.
    let ticket = json!({"subject": "s", "status": "open", "opened_at": "2026-03-01T00:00:00Z"});
    ok(server.post("/v1/tenants/demo/records/ticket", &ticket)).await;
}

#[tokio::test]
async fn a_browsers_session_works_over_http_2() {
    let pair = Pair::new(2100);
    let server = pair.serve(&[("TENANTRY_TLS__HSTS_MAX_AGE_S", "0")]).await;
    let body = json!({"email": "admin@localhost", "password": server.password});
    let login = server.anonymous(Method::POST, "/v1/auth/login").json(&body);
    let login = login.send().await.unwrap();
    assert!(!login.headers().contains_key("strict-transport-security"));
    let cookie = login.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.contains("; Secure"), "{cookie}");
    let session = cookie.split(';').next().unwrap();
    let create = |slug: &str, origin: &str| {
        server
            .anonymous(Method::POST, "/v1/tenants")
            .header("cookie", session)
            .header("origin", origin)
            .json(&json!({"id": slug}))
            .send()
    };
    let own = create("from-own-page", &server.url).await.unwrap();
    assert_eq!(
        (own.version(), own.status().as_u16()),
        (Version::HTTP_2, 201)
    );
    let foreign = create("from-elsewhere", "https://evil.example");
    assert_eq!(foreign.await.unwrap().status(), 403);
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_and_open_connections_go_on() {
    let mut pair = Pair::new(2100);
    let server = pair.serve(&[]).await;
    let old = pair.certificate.clone();
    let mut open = connect(&server, &[&old]);
    ask(&mut open);
    assert_eq!(shown(&open), der(&old));

    pair.renew();
    let hangup = || nix::sys::signal::kill(Pid::from_raw(server.pid()), Signal::SIGHUP).unwrap();
    hangup();
    server.wait_for_log("the certificate was read anew").await;
    let both = [old.as_str(), pair.certificate.as_str()];
    let mut fresh = connect(&server, &both);
    ask(&mut fresh);
    assert_eq!(shown(&fresh), der(&pair.certificate));
    ask(&mut open);

    // Half of a pair: the one from before stays.
    fs::write(pair.path("cert.pem"), &old).unwrap();
    hangup();
    let told = server.wait_for_log("could not be read anew").await;
    assert!(told.contains("tls.key: "), "{told}");
    let mut later = connect(&server, &both);
    ask(&mut later);
    assert_eq!(shown(&later), der(&pair.certificate));
    ask(&mut open);
    ask(&mut fresh);
}

#[tokio::test]
async fn handshakes_that_stall_hold_up_nobody() {
    let pair = Pair::new(2100);
    let limits = [
        ("TENANTRY_SERVER__WORKERS", "1"),
        ("TENANTRY_SERVER__REQUEST_TIMEOUT_MS", "8000"),
    ];
    let server = pair.serve(&limits).await;
    let mut stalled: Vec<TcpStream> = (0..400)
        .map(|_| TcpStream::connect(address(&server)).unwrap())
        .collect();
    // The first bytes of a hello, and no more.
    for stream in &mut stalled {
        stream.write_all(&[22, 3, 1]).unwrap();
    }
    let started = Instant::now();
    ok(server.anonymous(Method::GET, "/healthz")).await;
    let took = started.elapsed();
    assert!(took < Duration::from_secs(7), "{took:?}");
    // And they do not stay.
    let timeout = Some(Duration::from_secs(20));
    stalled[0].set_read_timeout(timeout).unwrap();
    let end = stalled[0].read(&mut [0; 16]);
    assert!(!end.is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock));
}

/// Starts what has to refuse, and gives its status and what it said.
fn refused(data: &Path, listen: &str, env: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut serve = command(data, &["serve", "--listen", listen]);
    let output = serve.envs(env.iter().copied()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), told)
}

#[tokio::test]
async fn what_would_not_be_safe_is_refused_at_the_start() {
    let mut server = Server::start().await;
    server.stop();
    let (code, told) = refused(&server.data(), "0.0.0.0:0", &[]);
    assert_eq!(code, Some(2));
    assert!(
        told.contains("--listen: server.listen: 0.0.0.0:0"),
        "{told}"
    );
    assert!(told.contains("server.allow_plain_http = true"), "{told}");

    let pair = Pair::new(2100);
    let other = Pair::new(2100);
    let (certificate, key) = (pair.path("cert.pem"), other.path("key.pem"));
    let env = [
        ("TENANTRY_TLS__CERTIFICATE", certificate.as_str()),
        ("TENANTRY_TLS__KEY", key.as_str()),
    ];
    let (code, told) = refused(&server.data(), "127.0.0.1:0", &env);
    assert_eq!(code, Some(1));
    assert!(told.contains("tls.key: "), "{told}");
    assert!(
        told.contains("is not the key of the first certificate"),
        "{told}"
    );
}

#[tokio::test]
async fn an_expired_certificate_is_served_with_a_warning() {
    let pair = Pair::new(2021);
    let server = pair.serve(&[]).await;
    let told = server.wait_for_log("the certificate expired at").await;
    assert!(told.contains("2021-01-01"), "{told}");
}

#[tokio::test]
async fn one_connection_has_so_many_requests_under_way_and_no_more() {
    const TICKETS: &str = "/v1/tenants/demo/records/ticket";
    let pair = Pair::new(2100);
    let server = pair.serve(&[]).await;
    // From here on there is a connection that all of them share.
    ok(server.get(TICKETS)).await;
    let other = pair.client().build().unwrap();
    let mut under_way = tokio::task::JoinSet::new();
    for _ in 0..128 {
        let never = futures_util::stream::pending::<Result<bytes::Bytes, std::io::Error>>();
        let post = server
            .by_key(Method::POST, TICKETS)
            .header("content-type", "application/json")
            .body(reqwest::Body::wrap_stream(never));
        under_way.spawn(post.send());
    }
    let all = "in_flight{route=\"/v1/tenants/{tenant}/records/{entity}\"} 128";
    until("all are under way", async || {
        let metrics = other.get(format!("{}/metrics", server.url)).send();
        metrics.await.unwrap().text().await.unwrap().contains(all)
    })
    .await;
    problem(server.get(TICKETS), 429, "too_many_requests").await;
    let elsewhere = other.get(format!("{}{TICKETS}", server.url));
    ok(elsewhere.bearer_auth(&server.key)).await;
    under_way.abort_all();
    until("those that ended count no more", async || {
        server.get(TICKETS).send().await.unwrap().status() == 200
    })
    .await;
}

/// Asks until something is so.
async fn until(what: &str, so: impl AsyncFn() -> bool) {
    for _ in 0..1_000 {
        if so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not so: {what}");
}
