//! Unique indexes.

use serde_json::{Value as Json, json};
use tenantry::service::Code;

use crate::bench::*;

fn numbered(number: i64) -> Json {
    json!({"subject": format!("no {number}"), "status": "open", "number": number})
}

#[tokio::test]
async fn the_second_is_told_the_first() {
    let bench = bench(TICKETS).await;
    bench.written(put("a", numbered(1))).await;
    let error = bench.refused(put("b", numbered(1))).await;
    assert_code(&error, Code::UniqueViolation);
    assert_eq!(error.members["record"], "a");
    assert_eq!(error.members["index"], "by_number");
    // Its own row is no obstacle, and one given up is free again.
    bench.written(put("a", numbered(1))).await;
    bench.written(put("a", numbered(2))).await;
    bench.written(put("b", numbered(1))).await;
    bench.write(delete("b")).await.unwrap();
    bench.written(put("c", numbered(1))).await;
}

#[tokio::test]
async fn a_batch_may_swap_what_is_unique() {
    let bench = bench(TICKETS).await;
    bench.written(put("a", numbered(1))).await;
    bench.written(put("b", numbered(2))).await;
    bench
        .write_all(&[put("a", numbered(2)), put("b", numbered(1))])
        .await
        .unwrap();
    let page = bench.list("number=1").await.unwrap();
    let ids: Vec<_> = items(&page).map(|i| text(&i["id"])).collect();
    assert_eq!(ids, ["b"]);
    bench
        .write_all(&[delete("a"), put("c", numbered(2))])
        .await
        .unwrap();
    let error = bench
        .write_all(&[put("d", numbered(5)), put("e", numbered(5))])
        .await
        .unwrap_err();
    assert_code(&error, Code::UniqueViolation);
    assert_eq!(error.members["operation"], 1);
    assert_eq!(error.members["record"], "d");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixteen_at_once_have_one_winner() {
    let bench = std::sync::Arc::new(bench(TICKETS).await);
    for round in 0..20 {
        let writers = (0..16).map(|writer| {
            let bench = bench.clone();
            let id = format!("w{round}-{writer}");
            tokio::spawn(async move { bench.write(put(&id, numbered(round))).await })
        });
        let mut won = 0;
        for result in futures_util::future::join_all(writers).await {
            match result.unwrap() {
                Ok(_) => won += 1,
                Err(error) => assert_code(&error, Code::UniqueViolation),
            }
        }
        assert_eq!(won, 1);
    }
    let page = bench.list("count=true").await.unwrap();
    assert_eq!(page["count"], 20);
}
