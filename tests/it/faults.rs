//! Writes fail under the running server. `cargo xtask torture faults` has the faults
//! that take more than a limit on the size of files.

use nix::sys::signal::Signal;
use reqwest::Method;
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::{Value as Json, json};

use crate::server::{Server, json as told, ok, problem, text};

/// Below this no file may grow, and no write may reach.
fn limit_files(server: &Server, bytes: Option<u64>) {
    let pid = Pid::from_raw(server.pid());
    let limit = Rlimit {
        current: bytes,
        maximum: None,
    };
    prlimit(pid, Resource::Fsize, limit).unwrap();
}

fn ticket(subject: &str) -> Json {
    json!({"subject": subject, "status": "open", "opened_at": "2026-03-01T00:00:00Z"})
}

fn path(n: usize) -> String {
    format!("/v1/tenants/demo/records/ticket/t{n}")
}

#[tokio::test]
async fn a_log_that_nobody_reads_keeps_nobody_waiting() {
    let server = Server::start().await;
    server.read_log(false);
    // Each has a line, and they are several times what a pipe takes.
    for n in 0..1_500 {
        ok(server.put(&path(n % 20), &ticket("on"))).await;
    }
    server.read_log(true);
    let told = "lines of the log were left out while nobody read it lines=";
    while !server.log().iter().any(|line| line.contains(told)) {
        ok(server.get(&path(1))).await;
    }
}

#[tokio::test]
async fn writes_that_fail_are_refused_and_reads_go_on_with_sled() {
    writes_fail("sled").await;
}

#[tokio::test]
async fn writes_that_fail_are_refused_and_reads_go_on_with_fjall() {
    writes_fail("fjall").await;
}

async fn writes_fail(engine: &str) {
    let mut server = Server::start_with(&[("TENANTRY_STORE__ENGINE", engine)]).await;
    server.stop();
    server.run_limited();
    for n in 0..20 {
        ok(server.put(&path(n), &ticket("before"))).await;
    }
    limit_files(&server, Some(0));
    // The first fails on the disk; those behind it are refused before that.
    for n in 0..3 {
        let refused = problem(server.put(&path(n), &ticket("late")), 503, "unavailable").await;
        let says = text(&refused["detail"]);
        assert!(says.contains("/readyz"), "{says}");
    }
    let ready = server.anonymous(Method::GET, "/readyz").send().await;
    let ready = ready.unwrap();
    assert_eq!(ready.status(), 503);
    let ready: Json = ready.json().await.unwrap();
    assert!(
        text(&ready["reasons"][0]).contains("takes no writes"),
        "{ready}"
    );
    assert_eq!(
        ok(server.anonymous(Method::GET, "/healthz")).await["status"],
        "ok"
    );
    for n in 1..20 {
        ok(server.get(&path(n))).await;
    }
    // The disk is mended; what it lost in between nobody knows, so a restart is due.
    limit_files(&server, None);
    problem(server.put(&path(1), &ticket("late")), 503, "unavailable").await;
    assert_eq!(server.signal(Signal::SIGTERM), Some(0));
    server.run();
    for n in 0..20 {
        let subject = ok(server.get(&path(n))).await["data"]["subject"].clone();
        // The first was asked for when the disk failed; the others were refused.
        assert!(
            subject == "before" || (n == 0 && subject == "late"),
            "{n}: {subject}"
        );
    }
    ok(server.put(&path(1), &ticket("after"))).await;
    let found = told(&server.data(), &["store", "check"]);
    assert_eq!(found["problems"], json!([]), "{found}");
}
