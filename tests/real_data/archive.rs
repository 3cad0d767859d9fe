//! Nine tenths of the help desk's tickets leave the hot tier, beside what the file says;
//! what that costs those who ask meanwhile is printed.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    bench::{Bench, Served},
    reports::p99_while,
};

/// A ticket as the file leaves it.
pub struct Ticket {
    pub tenant: String,
    pub state: String,
    pub opened: String,
}

type Counts = BTreeMap<(String, String), u64>;

pub async fn nine_tenths_leave(bench: &Bench, app: &str, tickets: Vec<Ticket>) {
    let mut opened: Vec<&str> = tickets.iter().map(|t| &*t.opened).collect();
    opened.sort_unstable();
    let cut: chrono::DateTime<chrono::Utc> = opened[opened.len() * 9 / 10].parse().unwrap();
    let days = (chrono::Utc::now() - cut).num_days();
    let rule = format!("{app}\n[entity.incident.archive]\nby = \"opened\"\nafter = \"{days}d\"\n");
    std::fs::write(bench.folder().join("ruled.toml"), rule).unwrap();
    bench.json(&["apply", "ruled.toml", "--json"]);
    let server = Arc::new(bench.serve().await);
    while server.get("/v1/app").await["indexes"]
        .as_array()
        .unwrap()
        .iter()
        .any(|index| index["state"] != "ready")
    {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    let largest = "location-204";
    let ask = (
        "incident",
        largest,
        [("incident_state", "Closed"), ("limit", "1")],
    );
    let quiet = p99_while(&server, ask, tokio::time::sleep(Duration::from_secs(3))).await;
    let all = count(&tickets, |_| true);
    let began = Instant::now();
    let call = json!({"tenants": "all"});
    server.post("/v1/jobs/archive/run", &call).await;
    let looks = async {
        let mut looks = 0;
        loop {
            // Whatever has moved by now, no ticket is missing or counted twice.
            for state in ["Closed", "Resolved", "Active"] {
                let query = [("incident_state", state), ("tier", "all")];
                let found = server.count(largest, "incident", &query).await;
                let wanted = all.get(&(largest.into(), state.into())).copied();
                assert_eq!(found, wanted.unwrap_or(0), "{state}");
                looks += 1;
            }
            if over(&server).await {
                println!("{looks} counts while tickets moved");
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let busy = p99_while(&server, ask, looks).await;
    let took = began.elapsed();

    let now = chrono::Utc::now();
    let is_old = |ticket: &Ticket| {
        let opened: chrono::DateTime<chrono::Utc> = ticket.opened.parse().unwrap();
        opened + chrono::Duration::days(days) <= now
    };
    let (archived, hot) = (count(&tickets, is_old), count(&tickets, |t| !is_old(t)));
    let mut tenants: Vec<&str> = tickets.iter().map(|t| &*t.tenant).collect();
    tenants.sort_unstable();
    tenants.dedup();
    let (mut moved, mut json_bytes, mut value_bytes) = (0, 0, 0);
    for tenant in tenants {
        for (tier, truth) in [("hot", &hot), ("archive", &archived)] {
            let of_tenant = truth.iter().filter(|((name, _), _)| name == tenant);
            for ((_, state), wanted) in of_tenant {
                let query = [("incident_state", state.as_str()), ("tier", tier)];
                let found = server.count(tenant, "incident", &query).await;
                assert_eq!(found, *wanted, "{tenant} {state} {tier}");
            }
        }
        let status = server.get(&format!("/v1/tenants/{tenant}/archive")).await;
        let archive = &status["items"][0]["archive"];
        let part = |name: &str| archive[name].as_u64().unwrap();
        moved += part("records");
        json_bytes += part("json_bytes");
        value_bytes += part("value_bytes");
        if tenant == largest {
            println!("{tenant}: {archive}");
            assert!(archive["ratio"].as_f64().unwrap() >= 6.0, "{archive}");
        }
    }
    assert_eq!(moved, archived.values().sum::<u64>());
    println!(
        "{moved} of {} tickets archived in {took:.1?}: {:.0} a second; {json_bytes} bytes of JSON in {value_bytes} ({:.1} times smaller); p99 of a list of one {:.2} ms quiet, {:.2} ms meanwhile",
        tickets.len(),
        moved as f64 / took.as_secs_f64(),
        json_bytes as f64 / value_bytes as f64,
        quiet.as_secs_f64() * 1_000.0,
        busy.as_secs_f64() * 1_000.0,
    );
    drop(server);
    let found = bench.check();
    assert_eq!(found["records"], tickets.len());
}

fn count(tickets: &[Ticket], wanted: impl Fn(&Ticket) -> bool) -> Counts {
    let mut counts = Counts::new();
    for ticket in tickets.iter().filter(|ticket| wanted(ticket)) {
        let key = (ticket.tenant.clone(), ticket.state.clone());
        *counts.entry(key).or_default() += 1;
    }
    counts
}

async fn over(server: &Served) -> bool {
    for state in ["queued", "running", "failed", "dead"] {
        let path = format!("/v1/runs?limit=1&job=archive&state={state}");
        let page: Value = server.get(&path).await;
        let some = !page["items"].as_array().unwrap().is_empty();
        assert!(!some || !matches!(state, "failed" | "dead"), "{page}");
        if some {
            return false;
        }
    }
    true
}
