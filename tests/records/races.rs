//! Writers that want the same record at once.

use std::sync::Arc;

use serde_json::json;
use tenantry::service::{Code, records::OutcomeKind};

use crate::bench::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_patch_is_lost_and_no_plain_put_fails() {
    let bench = Arc::new(bench(TICKETS).await);
    bench.written(put("t-1", ticket("one"))).await;
    let writers = (0..64).map(|writer| {
        let bench = bench.clone();
        tokio::spawn(async move {
            for round in 0..5 {
                let field = format!("w{writer}r{round}");
                bench
                    .write(patch("t-1", json!({ field: true })))
                    .await
                    .unwrap();
            }
        })
    });
    for done in futures_util::future::join_all(writers).await {
        done.unwrap();
    }
    let record = bench.get("t-1").await.unwrap();
    assert_eq!(record.meta.version, 1 + 64 * 5);
    let data: serde_json::Value = serde_json::from_slice(&record.json).unwrap();
    assert_eq!(data.as_object().unwrap().len(), 2 + 64 * 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_sixteen_conditional_creations_one_succeeds() {
    let bench = Arc::new(bench(TICKETS).await);
    for round in 0..20 {
        let id = format!("t-{round}");
        let writers = (0..16).map(|_| {
            let (bench, id) = (bench.clone(), id.clone());
            let operation = if_none_match(put(&id, ticket("x")), "*");
            tokio::spawn(async move { bench.write(operation).await })
        });
        let mut created = 0;
        for result in futures_util::future::join_all(writers).await {
            match result.unwrap() {
                Ok(outcome) => {
                    assert_eq!(outcome.kind, OutcomeKind::Created);
                    created += 1;
                }
                Err(error) => assert_code(&error, Code::PreconditionFailed),
            }
        }
        assert_eq!(created, 1);
    }
}
