//! Sign-ins, sessions and the delays after failures.
#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;
use crate::service::{
    expiry,
    testing::{Bench, PASSWORD, START, bench},
};

const EMAIL: &str = "ann@example.com";
const HOUR_MS: i64 = 3_600_000;

async fn try_in(bench: &Bench, password: &str) -> Result<Session> {
    bench.auth.login(EMAIL, password, "10.0.0.1").await
}

fn codes<T>(answer: Result<T>) -> Code {
    answer.err().expect("refused").code
}

#[tokio::test]
async fn a_session_lasts_as_long_as_it_says_and_leaves_nothing() {
    let bench = bench();
    bench.operator(EMAIL).await;
    let session = try_in(&bench, PASSWORD).await.unwrap();
    assert!(session.token.starts_with("ts_") && session.token.len() == 3 + 43);
    assert_eq!(session.expires_at, START.plus_ms(12 * HOUR_MS));
    let who = bench.auth.caller_of_token(&session.token).await.unwrap();
    assert_eq!(
        who,
        Caller::Operator {
            email: EMAIL.into()
        }
    );
    bench.clock.advance_ms(12 * HOUR_MS - 1);
    assert!(bench.auth.caller_of_token(&session.token).await.is_ok());
    bench.clock.advance_ms(1);
    let over = bench.auth.caller_of_token(&session.token).await;
    assert_eq!(codes(over), Code::Unauthenticated);
    bench.clock.advance_ms(1);
    while expiry::sweep(&bench.core).await.unwrap() {}
    for prefix in [rows::SESSIONS, rows::EXPIRIES] {
        assert_eq!(bench.rows(Tree::Hot, prefix).await, [""; 0]);
    }
}

#[tokio::test]
async fn a_sign_out_ends_that_session_only() {
    let bench = bench();
    let first = bench.operator(EMAIL).await;
    let second = try_in(&bench, PASSWORD).await.unwrap().token;
    bench.auth.logout(&first).await.unwrap();
    bench.auth.logout(&first).await.unwrap();
    assert!(bench.auth.caller_of_token(&first).await.is_err());
    assert!(bench.auth.caller_of_token(&second).await.is_ok());
    assert_eq!(bench.rows(Tree::Hot, rows::SESSIONS).await.len(), 1);
    assert_eq!(bench.rows(Tree::Hot, rows::EXPIRIES).await.len(), 1);
}

#[tokio::test]
async fn what_is_no_token_of_ours_is_refused() {
    let bench = bench();
    bench.operator(EMAIL).await;
    let long = format!("tk_{}", "a".repeat(1 << 16));
    for bad in ["", "tk_", "ts_", "ts_unknown", "xx_unknown", &long] {
        let refused = bench.auth.caller_of_token(bad).await;
        assert_eq!(codes(refused), Code::Unauthenticated);
    }
}

#[tokio::test]
async fn an_unknown_account_is_refused_as_a_wrong_password_is() {
    let bench = bench();
    bench.operator(EMAIL).await;
    let wrong = try_in(&bench, "wrong password").await.unwrap_err();
    for unknown in ["eve@example.com", "no address", ""] {
        let refused = bench.auth.login(unknown, PASSWORD, "10.0.0.2").await;
        let refused = refused.unwrap_err();
        assert_eq!((refused.code, &refused.detail), (wrong.code, &wrong.detail));
        // The next one has to wait for this one's delay.
        bench.clock.advance_ms(60_000);
    }
    assert_eq!(wrong.code, Code::WrongCredentials);
}

#[tokio::test]
async fn failures_cost_time_and_a_sign_in_forgives_them() {
    let bench = bench();
    bench.operator(EMAIL).await;
    for delay in [250, 500, 1000, 2000] {
        assert_eq!(
            codes(try_in(&bench, "wrong one").await),
            Code::WrongCredentials
        );
        bench.clock.advance_ms(delay - 1);
        // Not even the right password is looked at, or guesses would cost nothing.
        let early = try_in(&bench, PASSWORD).await.unwrap_err();
        assert_eq!(early.code, Code::TooManyRequests);
        assert_eq!(early.retry_after_s, Some(1));
        bench.clock.advance_ms(1);
    }
    try_in(&bench, PASSWORD).await.unwrap();
    assert_eq!(
        codes(try_in(&bench, "wrong one").await),
        Code::WrongCredentials
    );
    bench.clock.advance_ms(250);
    try_in(&bench, PASSWORD).await.unwrap();
}

#[tokio::test]
async fn guesses_sent_at_once_are_one_guess() {
    let bench = bench();
    bench.operator(EMAIL).await;
    // From as many addresses as there are guesses.
    let guesses = (0..20).map(|number| {
        let address = format!("10.1.0.{number}");
        let bench = &bench;
        async move { codes(bench.auth.login(EMAIL, "wrong one", &address).await) }
    });
    let codes = futures_util::future::join_all(guesses).await;
    let looked_at = codes.iter().filter(|code| **code == Code::WrongCredentials);
    assert_eq!(looked_at.count(), 1, "{codes:?}");
}
