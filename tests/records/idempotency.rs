//! Answers remembered under an `Idempotency-Key`.

use serde_json::json;
use tenantry::service::{
    Caller, Code, Scope,
    records::{Idempotency, Operation, Outcome, Reply},
};

use crate::bench::*;

fn request(key: &str, body: u8) -> Option<Idempotency> {
    Some(Idempotency {
        key: key.into(),
        route: "POST /v1/tenants/acme/records/ticket".into(),
        request_hash: [body; 32],
    })
}

fn reply(outcomes: &[Outcome]) -> Reply {
    Reply {
        status: 201,
        etag: None,
        location: None,
        body: outcomes[0].id.as_str().into(),
    }
}

async fn send(
    bench: &Bench,
    operation: Operation,
    idempotency: Option<Idempotency>,
) -> Result<(Reply, bool), tenantry::service::Error> {
    let records = &bench.app.records;
    records
        .write_one(&bench.acme, operation, idempotency, &reply)
        .await
}

#[tokio::test]
async fn the_same_request_is_answered_once_more_and_done_once() {
    let bench = bench(TICKETS).await;
    let (first, replayed) = send(&bench, create(ticket("x")), request("k", 1))
        .await
        .unwrap();
    assert!(!replayed);
    let (second, replayed) = send(&bench, create(ticket("x")), request("k", 1))
        .await
        .unwrap();
    assert!(replayed);
    assert_eq!(first, second);
    assert_eq!(bench.list("count=true").await.unwrap()["count"], 1);
    let other = send(&bench, create(ticket("y")), request("k", 2)).await;
    assert_code(&other.unwrap_err(), Code::IdempotencyMismatch);
    // Another key, and the same key for another tenant, are other requests.
    send(&bench, create(ticket("x")), request("k2", 1))
        .await
        .unwrap();
    let globex = tenant(&bench.app, "globex").await;
    let made = bench
        .app
        .records
        .write_one(&globex, create(ticket("x")), request("k", 1), &reply)
        .await
        .unwrap();
    assert!(!made.1);
}

#[tokio::test]
async fn another_credential_has_keys_of_its_own() {
    let bench = bench(TICKETS).await;
    send(&bench, create(ticket("x")), request("k", 1))
        .await
        .unwrap();
    let operator = Caller::Operator {
        email: "o@example.com".into(),
    };
    let access = bench.app.tenants.access(&operator, "acme", Scope::Write);
    let access = access.await.unwrap();
    let made = bench
        .app
        .records
        .write_one(&access, create(ticket("x")), request("k", 1), &reply)
        .await
        .unwrap();
    assert!(!made.1);
}

#[tokio::test]
async fn failures_are_not_remembered() {
    let bench = bench(TICKETS).await;
    let bad = send(&bench, create(json!({})), request("k", 1)).await;
    assert_code(&bad.unwrap_err(), Code::InvalidRecord);
    let (_, replayed) = send(&bench, create(ticket("x")), request("k", 2))
        .await
        .unwrap();
    assert!(!replayed);
}

#[tokio::test]
async fn after_a_day_the_key_is_free_again() {
    let bench = bench(TICKETS).await;
    send(&bench, create(ticket("x")), request("k", 1))
        .await
        .unwrap();
    bench.clock.advance_ms(24 * 3_600_000 - 1);
    let late = send(&bench, create(ticket("x")), request("k", 2)).await;
    assert_code(&late.unwrap_err(), Code::IdempotencyMismatch);
    bench.clock.advance_ms(1);
    let (_, replayed) = send(&bench, create(ticket("x")), request("k", 2))
        .await
        .unwrap();
    assert!(!replayed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixteen_at_once_make_one_record() {
    let bench = std::sync::Arc::new(bench(TICKETS).await);
    let senders = (0..16).map(|_| {
        let bench = bench.clone();
        tokio::spawn(async move { send(&bench, create(ticket("x")), request("k", 1)).await })
    });
    let mut ids = Vec::new();
    for sent in futures_util::future::join_all(senders).await {
        ids.push(sent.unwrap().unwrap().0.body);
    }
    ids.dedup();
    assert_eq!(ids.len(), 1);
    assert_eq!(bench.list("count=true").await.unwrap()["count"], 1);
}
