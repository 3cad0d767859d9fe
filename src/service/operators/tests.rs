//! Who runs the installation, and that somebody always does.
#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;
use crate::service::testing::{Bench, PASSWORD, bench};

const NEW: &str = "another horse";

async fn signs_in(bench: &Bench, email: &str, password: &str) -> bool {
    bench.auth.login(email, password, "10.0.0.1").await.is_ok()
}

async fn emails(bench: &Bench) -> Vec<String> {
    let listed = bench.operators.list(&Caller::Local).await.unwrap();
    listed.into_iter().map(|o| o.email).collect()
}

#[tokio::test]
async fn an_address_is_one_operator_however_it_is_written() {
    let bench = bench();
    bench.operator(" Ann@Example.COM ").await;
    assert_eq!(emails(&bench).await, ["ann@example.com"]);
    let again = bench
        .operators
        .add(&Caller::Local, "ann@EXAMPLE.com", PASSWORD);
    assert_eq!(again.await.unwrap_err().code, Code::AlreadyExists);
    assert!(signs_in(&bench, "ANN@example.com", PASSWORD).await);
    for bad in [
        "",
        "ann",
        "@",
        "ann@",
        "@b",
        "a b@c",
        "a#@b",
        &format!("{}@b", "a".repeat(254)),
    ] {
        let added = bench.operators.add(&Caller::Local, bad, PASSWORD).await;
        assert_eq!(added.unwrap_err().code, Code::BadRequest, "{bad}");
    }
    let short = bench
        .operators
        .add(&Caller::Local, "bob@example.com", "1234567");
    assert_eq!(short.await.unwrap_err().code, Code::BadRequest);
    assert_eq!(emails(&bench).await.len(), 1);
}

#[tokio::test]
async fn the_last_operator_stays() {
    let bench = bench();
    bench.operator("ann@example.com").await;
    bench.operator("bob@example.com").await;
    // Both at once: one of them has to stay.
    let (first, second) = tokio::join!(
        bench.operators.remove(&Caller::Local, "ann@example.com"),
        bench.operators.remove(&Caller::Local, "bob@example.com"),
    );
    assert!(first.is_ok());
    assert_eq!(second.unwrap_err().code, Code::LimitReached);
    assert_eq!(emails(&bench).await, ["bob@example.com"]);
    let missing = bench.operators.remove(&Caller::Local, "eve@example.com");
    assert_eq!(missing.await.unwrap_err().code, Code::NotFound);
}

#[tokio::test]
async fn a_new_password_ends_the_sessions_of_that_operator_only() {
    let bench = bench();
    let ann = bench.operator("ann@example.com").await;
    let bob = bench.operator("bob@example.com").await;
    let change = |email| bench.operators.set_password(&Caller::Local, email, NEW);
    change("Ann@example.com").await.unwrap();
    assert!(bench.auth.caller_of_token(&ann).await.is_err());
    assert!(bench.auth.caller_of_token(&bob).await.is_ok());
    assert!(!signs_in(&bench, "ann@example.com", PASSWORD).await);
    bench.clock.advance_ms(60_000);
    assert!(signs_in(&bench, "ann@example.com", NEW).await);
    assert_eq!(
        change("eve@example.com").await.unwrap_err().code,
        Code::NotFound
    );
}

#[tokio::test]
async fn a_removed_operators_sessions_end_also_when_the_address_comes_back() {
    let bench = bench();
    bench.operator("ann@example.com").await;
    let bob = bench.operator("bob@example.com").await;
    let removed = bench.operators.remove(&Caller::Local, "bob@example.com");
    removed.await.unwrap();
    assert!(bench.auth.caller_of_token(&bob).await.is_err());
    let again = bench.operator("bob@example.com").await;
    assert!(bench.auth.caller_of_token(&bob).await.is_err());
    assert!(bench.auth.caller_of_token(&again).await.is_ok());
}

#[tokio::test]
async fn only_operators_know_operators() {
    let bench = bench();
    bench.operator("ann@example.com").await;
    let key = Caller::Key {
        tenant: "acme".parse().unwrap(),
        id: "k".into(),
        scopes: [crate::service::Scope::Admin].into(),
    };
    for (caller, code) in [
        (Caller::Anonymous, Code::Unauthenticated),
        (key, Code::OperatorOnly),
    ] {
        let (operators, email) = (&bench.operators, "ann@example.com");
        let refused = [
            operators.add(&caller, "eve@example.com", NEW).await.err(),
            operators.list(&caller).await.err(),
            operators.set_password(&caller, email, NEW).await.err(),
            operators.remove(&caller, email).await.err(),
        ];
        for error in refused {
            assert_eq!(error.map(|e| e.code), Some(code));
        }
    }
}
