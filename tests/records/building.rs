//! Indexes that are built while records are written.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde_json::json;
use tenantry::service::Code;

use crate::bench::*;

const PLAIN: &str = r#"
[entity.ticket.schema]
properties.status = { enum = ["open", "closed"] }
properties.n = { type = "integer" }
"#;

fn indexed() -> String {
    format!(
        "{PLAIN}\n[[entity.ticket.index]]\nname = \"by_status\"\nfields = [\"status\", \"n\"]\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_index_built_under_writes_is_complete_and_counted() {
    let bench = Arc::new(bench(PLAIN).await);
    for n in 0..600 {
        let body = json!({"status": "open", "n": n});
        bench.written(put(&format!("t-{n}"), body)).await;
    }
    apply(&bench.app, &indexed()).await;
    let waiting = bench.list("status=open").await;
    assert_code(&waiting.unwrap_err(), Code::IndexNotReady);
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (bench, stop) = (bench.clone(), stop.clone());
            tokio::spawn(async move {
                let mut round = 0;
                while !stop.load(Ordering::SeqCst) {
                    let n = (round * 7 + writer * 151) % 600;
                    let id = format!("t-{n}");
                    let operation = match round % 3 {
                        0 => put(&id, json!({"status": "closed", "n": n})),
                        1 => put(&id, json!({"status": "open", "n": n + 1000})),
                        _ => delete(&id),
                    };
                    match bench.write(operation).await {
                        Ok(_) => {}
                        Err(error) => assert_code(&error, Code::NotFound),
                    }
                    round += 1;
                }
            })
        })
        .collect();
    bench.settle().await;
    stop.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.unwrap();
    }
    let (mut rows, mut counted) = (0, 0);
    for status in ["open", "closed"] {
        let page = bench
            .list(&format!("status={status}&limit=500&count=true"))
            .await
            .unwrap();
        counted += page["count"].as_u64().unwrap();
        let mut page = page;
        loop {
            rows += items(&page).count() as u64;
            assert!(items(&page).all(|i| i["data"]["status"] == status));
            let Some(next) = page["next_cursor"].as_str() else {
                break;
            };
            let query = format!("status={status}&limit=500&cursor={next}");
            page = bench.list(&query).await.unwrap();
        }
    }
    let all = bench.list("count=true").await.unwrap()["count"].clone();
    assert_eq!(all, rows);
    assert_eq!(all, counted);
}

#[tokio::test]
async fn a_dropped_index_loses_its_rows_and_serves_no_list() {
    let bench = bench(&indexed()).await;
    bench
        .written(create(json!({"status": "open", "n": 1})))
        .await;
    assert_eq!(items(&bench.list("status=open").await.unwrap()).count(), 1);
    apply(&bench.app, PLAIN).await;
    let refused = bench.list("status=open").await.unwrap_err();
    assert_code(&refused, Code::QueryNeedsIndex);
    let lines = text(&refused.members["suggestion"]);
    assert!(lines.contains("[[entity.ticket.index]]"), "{lines}");
    bench.settle().await;
    let scan = tenantry::store::Scan::prefix(tenantry::store::Tree::Hot, "acme#ticket@");
    let left = bench.app.core.engine.scan(&scan).await.unwrap();
    assert!(left.rows.is_empty());
}

#[tokio::test]
async fn the_suggested_lines_serve_the_list() {
    let bench = bench(PLAIN).await;
    bench
        .written(create(json!({"status": "open", "n": 1})))
        .await;
    let query = "status=open&n[gte]=1&order=-n";
    let refused = bench.list(query).await.unwrap_err();
    let lines = text(&refused.members["suggestion"]);
    apply(&bench.app, &format!("{PLAIN}\n{lines}")).await;
    bench.settle().await;
    assert_eq!(items(&bench.list(query).await.unwrap()).count(), 1);
}
