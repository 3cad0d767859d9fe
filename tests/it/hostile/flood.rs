//! Clients that take room: many connections from one address, heads and bodies that
//! never end, answers that nobody reads. Others are served, and memory stays.

use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use socket2::{Domain, Socket, Type};

use super::{prepared, raw::Wire, unharmed};
use crate::server::Server;

const PATIENCE: Duration = Duration::from_secs(20);
const HEALTH: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
/// Memory that caches and allocators take while they warm up.
const WARM_KIB: u64 = 48 << 10;

/// A connection from another address of this machine than a proxy's.
fn from(server: &Server, last: u8) -> TcpStream {
    let to: SocketAddr = server.url.trim_start_matches("http://").parse().unwrap();
    let own = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)), 0);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&own.into()).unwrap();
    socket.connect(&to.into()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.into()
}

/// Whether a connection is served.
fn served(stream: &mut TcpStream) -> bool {
    let mut head = [0; 12];
    stream.write_all(HEALTH).is_ok()
        && stream.read_exact(&mut head).is_ok()
        && &head == b"HTTP/1.1 200"
}

fn memory_kib(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap()
}

/// Waits for what the server does when it notices.
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(
            started.elapsed() < PATIENCE,
            "{what}: not within {PATIENCE:?}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[tokio::test]
async fn one_address_has_its_share_of_connections_and_no_more() {
    let limit = [
        ("TENANTRY_SERVER__CONNECTIONS_PER_ADDRESS_MAX", "20"),
        ("TENANTRY_SERVER__TRUSTED_PROXIES", "127.0.0.1"),
    ];
    let (mut server, _) = prepared(&limit).await;
    let mut held: Vec<_> = (0..20).map(|_| from(&server, 9)).collect();
    assert!(held.iter_mut().all(served), "fewer than its share");
    for _ in 0..100 {
        assert!(!served(&mut from(&server, 9)), "more than its share");
    }
    assert!(
        served(&mut from(&server, 10)),
        "another address is held to it"
    );
    // A proxy on this machine speaks for many.
    let mut proxied: Vec<_> = (0..40).map(|_| from(&server, 1)).collect();
    assert!(proxied.iter_mut().all(served));
    drop(held.pop());
    until("room again", || served(&mut from(&server, 9)));
    unharmed(&mut server);
}

#[tokio::test]
async fn heads_and_bodies_that_never_end_hold_up_nobody() {
    let short = [
        ("TENANTRY_SERVER__REQUEST_TIMEOUT_MS", "1000"),
        ("TENANTRY_SERVER__BODY_TIMEOUT_MS", "1000"),
    ];
    let (mut server, _) = prepared(&short).await;
    let key = server.key.clone();
    let before = memory_kib(&server);
    let body = format!(
        "POST /v1/tenants/demo/records/note HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\ncontent-length: 8000000\r\n\r\n{{"
    );
    let mut slow: Vec<_> = (0..240)
        .map(|number| {
            let mut stream = from(&server, 9 + number / 120);
            let beginning = match number % 2 {
                0 => b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: ",
                _ => body.as_bytes(),
            };
            stream.write_all(beginning).unwrap();
            stream
        })
        .collect();
    let mut wire = Wire::to(&server);
    for _ in 0..50 {
        let list = wire.send(&key, "GET", b"/v1/tenants/demo/records/note", None, b"");
        assert_eq!(list.status, 200);
    }
    for stream in &mut slow {
        // Told so or not: each is closed, however long its client would have waited.
        let mut rest = Vec::new();
        let ended = stream.read_to_end(&mut rest);
        let timed_out = ended.is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock);
        assert!(!timed_out, "still open after {PATIENCE:?}");
    }
    let grown = memory_kib(&server).saturating_sub(before);
    assert!(grown < WARM_KIB, "{grown} KiB more");
    unharmed(&mut server);
}

#[tokio::test]
async fn an_answer_that_nobody_takes_is_cut_off() {
    let short = [("TENANTRY_SERVER__BODY_TIMEOUT_MS", "1000")];
    let (mut server, _) = prepared(&short).await;
    let before = memory_kib(&server);
    let ask = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(200);
    let mut greedy: Vec<_> = (0..20).map(|_| from(&server, 9)).collect();
    for stream in &mut greedy {
        stream.set_nonblocking(true).unwrap();
        // 80 MB of answers, and nobody reads one.
        let _ = stream.write(&ask).unwrap();
    }
    let mut wire = Wire::to(&server);
    for stream in &mut greedy {
        until("cut off", || {
            let health = wire.send("", "GET", b"/healthz", None, b"");
            assert_eq!(health.status, 200);
            let gone = |e: std::io::Error| e.kind() != std::io::ErrorKind::WouldBlock;
            stream.write(b"\r\n").is_err_and(gone)
        });
    }
    let grown = memory_kib(&server).saturating_sub(before);
    assert!(grown < WARM_KIB, "{grown} KiB more");
    unharmed(&mut server);
}
