//! Lists against what a plain filter over all records would give.

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use tenantry::service::Code;

use crate::bench::*;

#[tokio::test]
async fn only_its_own_tenants_records_are_given() {
    let bench = bench(TICKETS).await;
    let neighbour = tenant(&bench.app, "acme-2").await;
    bench.written(put("mine", ticket("mine"))).await;
    let records = &bench.app.records;
    records
        .apply(&neighbour, &[put("theirs", ticket("theirs"))])
        .await
        .unwrap();
    for query in ["", "order=-id", "order=-created_at"] {
        if query == "order=-created_at" {
            // Ids given by the client do not tell the time.
            let error = bench.list(query).await.unwrap_err();
            assert_code(&error, Code::QueryNeedsIndex);
            assert!(text(&error.members["suggestion"]).contains("created_at"));
            continue;
        }
        let page = bench.list(query).await.unwrap();
        let ids: Vec<_> = items(&page).map(|i| text(&i["id"])).collect();
        assert_eq!(ids, ["mine"]);
        let page = bench.list_of(&neighbour, query).await.unwrap();
        let ids: Vec<_> = items(&page).map(|i| text(&i["id"])).collect();
        assert_eq!(ids, ["theirs"]);
    }
}

#[tokio::test]
async fn the_times_of_ids_made_here_serve_created_at() {
    let bench = bench(TICKETS).await;
    for n in 0..10 {
        bench.written(create(ticket(&format!("{n}")))).await;
        bench.clock.advance_ms(1000);
    }
    let (subjects, _) = bench
        .subjects("created_at[gte]=2026-03-01T00:00:03Z&created_at[lt]=2026-03-01T00:00:06Z")
        .await;
    assert_eq!(subjects, ["3", "4", "5"]);
    let (subjects, pages) = bench.subjects("order=-created_at&limit=4").await;
    assert_eq!(subjects[..3], ["9", "8", "7"]);
    assert_eq!((subjects.len(), pages), (10, 3));
}

#[tokio::test]
async fn a_cursor_serves_its_own_query_only() {
    let bench = bench(TICKETS).await;
    for n in 0..3 {
        bench.written(create(ticket(&format!("{n}")))).await;
    }
    let page = bench.list("limit=1").await.unwrap();
    let cursor = text(&page["next_cursor"]);
    bench
        .list(&format!("limit=2&cursor={cursor}"))
        .await
        .unwrap();
    let neighbour = tenant(&bench.app, "globex").await;
    for (access, query) in [
        (&bench.acme, format!("order=-id&cursor={cursor}")),
        (&bench.acme, format!("status=open&cursor={cursor}")),
        (&bench.acme, format!("tier=all&cursor={cursor}")),
        (&bench.acme, format!("cursor={}x", &cursor[1..])),
        (&bench.acme, "cursor=1".to_owned()),
        (&neighbour, format!("cursor={cursor}")),
    ] {
        let error = bench.list_of(access, &query).await.unwrap_err();
        assert_code(&error, Code::InvalidCursor);
    }
}

#[tokio::test]
async fn the_last_page_says_so() {
    let bench = bench(TICKETS).await;
    for n in 0..4 {
        bench.written(create(ticket(&format!("{n}")))).await;
    }
    let page = bench.list("limit=4").await.unwrap();
    assert!(page["next_cursor"].is_null());
    let page = bench.list("limit=3").await.unwrap();
    let next = text(&page["next_cursor"]);
    let page = bench.list(&format!("limit=3&cursor={next}")).await.unwrap();
    assert_eq!(items(&page).count(), 1);
    assert!(page["next_cursor"].is_null());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_does_not_change_is_neither_skipped_nor_repeated() {
    let bench = std::sync::Arc::new(bench(TICKETS).await);
    let body = |n: usize, status: &str| {
        json!({"subject": format!("{n}"), "status": status,
            "opened_at": format!("2026-02-01T00:00:{:02}Z", n % 60)})
    };
    for n in 0..300 {
        bench
            .written(put(&format!("t-{n:03}"), body(n, "open")))
            .await;
    }
    let writer = {
        let bench = bench.clone();
        tokio::spawn(async move {
            for round in 0..600 {
                let n = (round * 2 + 1) % 300;
                let status = if round % 4 < 2 { "closed" } else { "open" };
                bench
                    .written(put(&format!("t-{n:03}"), body(n + round % 3, status)))
                    .await;
            }
        })
    };
    let expected: Vec<_> = (0..300).step_by(2).map(|n| n.to_string()).collect();
    while !writer.is_finished() {
        for query in [
            "limit=7",
            "status=open&limit=7",
            "status=open&order=-opened_at&limit=20",
        ] {
            let (mut cursor, mut seen) = (String::new(), Vec::new());
            loop {
                let page = bench.list(&format!("{query}{cursor}")).await.unwrap();
                for item in items(&page) {
                    if query.starts_with("status") {
                        assert_eq!(item["data"]["status"], "open", "a row that was no more");
                    }
                    seen.push(text(&item["id"]));
                }
                match page["next_cursor"].as_str() {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => break,
                }
            }
            let mut still: Vec<_> = seen
                .iter()
                .map(|id| id[2..].parse::<usize>().unwrap())
                .filter(|n| n % 2 == 0)
                .map(|n| n.to_string())
                .collect();
            still.sort_by_key(|n| n.parse::<usize>().unwrap());
            assert_eq!(still, expected, "{query}");
        }
    }
    writer.await.unwrap();
}

/// A small world of tickets.
fn tickets() -> impl Strategy<Value = Vec<Json>> {
    let ticket = (
        0..3usize,
        prop::option::of(0..40i64),
        prop::collection::vec(0..4u8, 0..3),
    );
    prop::collection::vec(ticket, 1..60).prop_map(|all| {
        all.into_iter()
            .enumerate()
            .map(|(n, (status, minute, tags))| {
                let status = ["open", "pending", "closed"][status];
                let tags: Vec<_> = tags.iter().map(|t| format!("t{t}")).collect();
                let mut ticket = json!({"subject": format!("{n}"), "status": status, "tags": tags});
                if let Some(minute) = minute {
                    ticket["opened_at"] = json!(format!("2026-02-01T00:{minute:02}:00Z"));
                }
                ticket
            })
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_list_gives_what_a_filter_would(
        all in tickets(), from in 0..40i64, until in 0..40i64, limit in 1..9usize, descending: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let bench = bench(TICKETS).await;
            for ticket in &all {
                bench.written(create(ticket.clone())).await;
            }
            let order = if descending { "-" } else { "" };
            let query = format!(
                "status=open&opened_at[gte]=2026-02-01T00:{from:02}:00Z&opened_at[lt]=2026-02-01T00:{until:02}:00Z&order={order}opened_at&limit={limit}"
            );
            let (given, _) = bench.subjects(&query).await;
            let minute = |t: &Json| t["opened_at"].as_str().map(|at| at[14..16].parse::<i64>().unwrap());
            let mut wanted: Vec<_> = all
                .iter()
                .filter(|t| t["status"] == "open" && minute(t).is_some_and(|m| from <= m && m < until))
                .collect();
            // Ids made here sort in the order made, which breaks ties.
            wanted.sort_by_key(|t| minute(t));
            if descending {
                wanted.reverse();
            }
            let wanted: Vec<_> = wanted.iter().map(|t| text(&t["subject"])).collect();
            assert_eq!(given, wanted);
            for tag in 0..4 {
                let (given, _) = bench.subjects(&format!("tags=t{tag}&limit={limit}")).await;
                let has = |t: &&Json| t["tags"].as_array().unwrap().contains(&json!(format!("t{tag}")));
                let wanted: Vec<_> = all.iter().filter(has).map(|t| text(&t["subject"])).collect();
                assert_eq!(given, wanted);
            }
            let page = bench.list("status=closed&count=true&limit=1").await.unwrap();
            let closed = all.iter().filter(|t| t["status"] == "closed" && minute(t).is_some()).count();
            assert_eq!(page["count"], closed);
        });
    }
}
