//! How many keys an answer costs.

use std::sync::atomic::Ordering::Relaxed;

use serde_json::json;

use crate::bench::*;

/// By how much a list may read more keys than twice (a row and its record) what it
/// gives: a page of rows, records fetched at once, the row beyond the page, and the
/// few keys of the query itself (given ids, counters, the cursor's secret).
const CONSTANT: u64 = 64 + 16 + 1 + 4;

#[tokio::test]
async fn no_list_reads_more_than_it_gives_and_a_constant() {
    let bench = bench(TICKETS).await;
    for number in 0..1200 {
        let status = ["open", "pending", "closed"][number % 3];
        let day = 1 + number % 28;
        bench
            .written(create(json!({
                "subject": format!("{number}"),
                "status": status,
                "number": number,
                "tags": ["a", format!("t{}", number % 7)],
                "opened_at": format!("2026-02-{day:02}T00:00:00Z"),
            })))
            .await;
    }
    let metrics = bench.app.store.metrics.clone();
    for query in [
        "limit=10",
        "limit=500",
        "order=-id&limit=7",
        "order=-created_at&limit=100",
        "created_at[gte]=2026-03-01&limit=5",
        "status=open&limit=1",
        "status=open&limit=500",
        "status=open&opened_at[gte]=2026-02-10&opened_at[lt]=2026-02-11&order=-opened_at",
        "status=open&count=true&limit=3",
        "number[gte]=100&number[lt]=400&limit=50",
        "number=77",
        "number=77777",
        "tags=t3&limit=20",
        "tags=none",
        "count=true&limit=1",
        "tier=all&status=closed&limit=30",
        "tier=archive",
    ] {
        let before = metrics.keys_read.load(Relaxed);
        let page = bench.list(&format!("{query}&explain=true")).await.unwrap();
        let read = metrics.keys_read.load(Relaxed) - before;
        let given = items(&page).count() as u64;
        assert!(read <= 2 * given + CONSTANT, "{query}: {read} for {given}");
        let explain = &page["explain"];
        let told = explain["keys_read"].as_u64().unwrap();
        assert!(told <= given + 64, "{query}: {explain}");
        assert_eq!(explain["records_returned"].as_u64().unwrap(), given);
        assert_eq!(explain["read_units"], page["units"]["read"]);
    }
}

#[tokio::test]
async fn a_page_ends_at_its_bytes() {
    let bench = bench(TICKETS).await;
    for number in 0..40 {
        let body = json!({"subject": format!("{number}"), "status": "open", "x": "x".repeat(60_000),
            "opened_at": "2026-02-01T00:00:00Z"});
        bench.written(create(body)).await;
    }
    for query in ["limit=500", "status=open&limit=500"] {
        let page = bench.list(query).await.unwrap();
        let bytes = serde_json::to_vec(&page["items"]).unwrap().len();
        assert!(bytes <= 1 << 20, "{bytes}");
        assert!(bytes > 900_000, "{bytes}");
        let (subjects, pages) = bench.subjects(query).await;
        assert_eq!(subjects.len(), 40);
        assert_eq!(pages, 3);
    }
}
