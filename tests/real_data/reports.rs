//! A report for every customer at once, beside what the file says; and what that costs
//! those who ask meanwhile (printed, since a machine's speed is no promise).

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::bench::Served;

/// Appended to the app file.
pub const JOB: &str = r#"
[job.by-status]
kind = "report"
with = { entity = "line", by = "date", group_by = "status", measures = ["Quantity"], period = { from = "2010-12-01", to = "2011-12-10" } }
"#;

/// Lines and the sum of their quantities, by status.
pub type OfTenant = BTreeMap<&'static str, (u64, i64)>;

pub async fn every_customer_has_its_report(
    server: &Arc<Served>,
    truth: &BTreeMap<String, OfTenant>,
) {
    let ask = ("line", "guest", [("status", "completed"), ("limit", "1")]);
    let quiet = p99_while(server, ask, tokio::time::sleep(Duration::from_secs(2))).await;
    let before = server.resident_mb();
    let began = Instant::now();
    let asked = server
        .post("/v1/jobs/by-status/run", &json!({"tenants": "all"}))
        .await;
    // And the tenant that every installation begins with.
    let runs = truth.len() as u64 + 1;
    assert_eq!(asked["queued"], runs, "{asked}");
    let busy = p99_while(server, ask, all_over(server)).await;
    let took = began.elapsed();
    println!(
        "{runs} reports over {} lines in {took:.1?}: {:.0} a second; p99 of a get {:.2} ms quiet, {:.2} ms meanwhile; {before:.0} MB before, {:.0} after",
        truth
            .values()
            .flat_map(|t| t.values())
            .map(|(lines, _)| lines)
            .sum::<u64>(),
        runs as f64 / took.as_secs_f64(),
        quiet.as_secs_f64() * 1_000.0,
        busy.as_secs_f64() * 1_000.0,
        server.resident_mb(),
    );
    for state in [
        "queued",
        "running",
        "failed",
        "dead",
        "timed_out",
        "cancelled",
        "skipped",
    ] {
        let found = server.get(&format!("/v1/runs?limit=1&state={state}")).await;
        assert_eq!(found["items"], json!([]), "{state}");
    }
    for (tenant, of_tenant) in truth {
        let page = server.list(tenant, "report", &[("job", "by-status")]).await;
        let reports = page["items"].as_array().unwrap();
        assert_eq!(reports.len(), 1, "{tenant}");
        let data = &reports[0]["data"];
        let groups = data["groups"].as_array().unwrap();
        let found: BTreeMap<&str, (u64, i64)> = groups
            .iter()
            .map(|group| {
                let figures = (group["count"].as_u64(), group["Quantity"]["sum"].as_i64());
                let key = group["key"].as_str().unwrap();
                (key, (figures.0.unwrap(), figures.1.unwrap()))
            })
            .collect();
        assert_eq!(found, *of_tenant, "{tenant}");
        let lines: u64 = of_tenant.values().map(|(lines, _)| lines).sum();
        assert_eq!(data["total"], lines, "{tenant}");
    }
}

async fn all_over(server: &Served) {
    loop {
        let mut left = 0;
        for state in ["queued", "running"] {
            let path = format!("/v1/runs?limit=1&job=by-status&state={state}");
            let page: Value = server.get(&path).await;
            left += page["items"].as_array().unwrap().len();
        }
        if left == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The 99th percentile of a read, asked for again and again while `meanwhile` lasts.
pub async fn p99_while(
    server: &Arc<Served>,
    (entity, tenant, query): (
        &'static str,
        &'static str,
        [(&'static str, &'static str); 2],
    ),
    meanwhile: impl Future<Output = ()>,
) -> Duration {
    let over = Arc::new(AtomicBool::new(false));
    let asking = {
        let (server, over) = (server.clone(), over.clone());
        tokio::spawn(async move {
            let mut times = Vec::new();
            while !over.load(Relaxed) {
                let began = Instant::now();
                server.list(tenant, entity, &query).await;
                times.push(began.elapsed());
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            times
        })
    };
    meanwhile.await;
    over.store(true, Relaxed);
    let mut times = asking.await.unwrap();
    times.sort_unstable();
    times[times.len() * 99 / 100]
}
