//! Starting, stopping, and who else wants the folder.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use nix::sys::signal::{Signal, kill};
use reqwest::Method;
use serde_json::json;

use crate::server::{Server, command, ok};

#[tokio::test]
async fn sigterm_lets_a_request_finish_and_keeps_what_was_written() {
    let mut server = Server::start().await;
    let address = server.url.trim_start_matches("http://").to_owned();
    let body = r#"{"subject":"late","status":"open","opened_at":"2026-03-01T00:00:00Z"}"#;
    let head = format!(
        "PUT /v1/tenants/demo/records/ticket/late HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        server.key,
        body.len()
    );
    let mut stream = TcpStream::connect(&address).unwrap();
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&body.as_bytes()[..20]).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    kill(nix::unistd::Pid::from_raw(server.pid()), Signal::SIGTERM).unwrap();
    // It takes no further connections, but this one's request is served.
    for _ in 0..100 {
        match TcpStream::connect(&address) {
            Ok(_) => std::thread::sleep(Duration::from_millis(20)),
            Err(_) => break,
        }
    }
    stream.write_all(&body.as_bytes()[20..]).unwrap();
    let mut answer = String::new();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let _ = stream.read_to_string(&mut answer);
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    server.stop();
    server.run();
    let read = ok(server.get("/v1/tenants/demo/records/ticket/late")).await;
    assert_eq!(read["data"]["subject"], "late");
}

#[tokio::test]
async fn an_idle_connection_does_not_hold_the_server_up() {
    let mut server = Server::start().await;
    ok(server.anonymous(Method::GET, "/healthz")).await;
    let started = std::time::Instant::now();
    server.stop();
    assert!(
        started.elapsed() < Duration::from_secs(4),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn a_second_server_is_told_who_has_the_folder() {
    let server = Server::start().await;
    let second = command(&server.data(), &["serve", "--listen", "127.0.0.1:0"]);
    let second = { second }.output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let told = String::from_utf8_lossy(&second.stderr);
    assert!(
        told.contains(&format!("process {}", server.pid())),
        "{told}"
    );
    assert!(told.contains("serve"), "{told}");
}

#[tokio::test]
async fn commands_work_with_the_server_and_without_it() {
    let mut server = Server::start().await;
    let list = |server: &Server| crate::server::json(&server.data(), &["tenant", "list"]);
    let with = list(&server);
    server.stop();
    let without = list(&server);
    assert_eq!(with, without);
    assert_eq!(with["items"][0]["id"], "demo");
    // What a command writes without the server is there with it.
    let key = server.tenant("acme");
    server.run();
    let ticket = json!({"subject": "s", "status": "open", "opened_at": "2026-03-01T00:00:00Z"});
    let made = server.bearer(&key, Method::POST, "/v1/tenants/acme/records/ticket");
    ok(made.json(&ticket)).await;
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_refused() {
    let mut server = Server::start().await;
    server.stop();
    std::fs::write(server.data().join("store/FORMAT"), "99 sled\n").unwrap();
    let output = command(&server.data(), &["serve", "--listen", "127.0.0.1:0"]).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("newer version"), "{told}");
}

/// Its disk is full, or the reader of a pipe is gone.
#[tokio::test]
async fn a_log_that_cannot_be_written_breaks_no_request() {
    let mut server = Server::start().await;
    server.stop();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let full = std::fs::File::options().write(true).open("/dev/full");
    let mut serve = command(&server.data(), &["serve", "--listen", &address]);
    let mut process = serve.stderr(full.unwrap()).spawn().unwrap();
    for _ in 0..600 {
        if TcpStream::connect(&address).is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    server.url = format!("http://{address}");
    let ticket = json!({"subject": "x", "status": "open", "opened_at": "2026-03-01T00:00:00Z"});
    for _ in 0..8 {
        let answer = server.post("/v1/tenants/demo/records/ticket", &ticket);
        assert_eq!(answer.send().await.unwrap().status(), 201);
    }
    kill(
        nix::unistd::Pid::from_raw(process.id() as i32),
        Signal::SIGTERM,
    )
    .unwrap();
    assert!(process.wait().unwrap().success());
}
