//! What goes on beside the writers when a server is killed: records that move between
//! the tiers and are purged, and reports that are made. Nothing else touches these
//! records, so that their sums must come out whenever somebody looks.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::rig::{Rig, TENANTS};
use crate::{
    http::{Connection, write_request},
    subject::{Setup, text},
};

pub const APP: &str = r#"
[entity.invoice.schema]
required = ["status", "closed_at", "text"]
properties.status = { enum = ["closed"] }
properties.closed_at = { type = "string", format = "date-time" }
properties.text = { type = "string" }

[[entity.invoice.index]]
name = "by_status"
fields = ["status", "closed_at"]

[entity.scrap.schema]
required = ["closed_at", "text"]
properties.closed_at = { type = "string", format = "date-time" }
properties.text = { type = "string" }

[entity.scrap.archive]
by = "closed_at"
after = "1d"
purge_after = "1y"

[job.archive]
kind = "archive"
retries = { max = 3, first = "1s" }

[job.purge]
kind = "purge"
retries = { max = 3, first = "1s" }

[job.count]
kind = "report"
every = "2s"
retries = { max = 3, first = "1s" }
with = { entity = "invoice", by = "closed_at", group_by = "status", period = { from = "2019-01-01", to = "2020-01-01" } }
"#;

/// Invoices of each tenant; one page has them all.
const INVOICES: usize = 450;
/// Records of each tenant that are made anew in each round, to be purged.
const SCRAP: usize = 100;
/// How often is looked whether a run has ended.
const LOOK: Duration = Duration::from_millis(20);
/// So often is looked: five minutes for what fifty kills broke off.
const SETTLED_MAX: usize = 15_000;

/// The records that move.
pub struct Moving {
    /// Records of each tenant that were made to be purged.
    scrap: usize,
}

fn data(kind: &str, number: usize) -> Value {
    json!({
        "status": "closed",
        "closed_at": format!("2019-{:02}-{:02}T08:00:00Z", number % 12 + 1, number % 28 + 1),
        "text": format!("{kind} {number} ").repeat(number % 40 + 1),
    })
}

/// Creates so many records in each tenant, a hundred at once.
fn create(rig: &Rig, entity: &str, numbers: std::ops::Range<usize>) -> Result<()> {
    let mut setup = rig.bench.setup()?;
    let numbers: Vec<usize> = numbers.collect();
    for tenant in 0..TENANTS {
        for part in numbers.chunks(100) {
            let operation = |number: &usize| {
                let mut data = data(entity, *number);
                if entity == "scrap"
                    && let Some(data) = data.as_object_mut()
                {
                    data.remove("status");
                }
                json!({"op": "create", "entity": entity, "id": format!("n{number:06}"), "data": data})
            };
            let operations: Vec<Value> = part.iter().map(operation).collect();
            let path = format!("/v1/tenants/t{tenant}/batch");
            let body = json!({ "operations": operations }).to_string();
            setup.json("POST", &path, &rig.shared.keys[tenant], &body)?;
        }
    }
    Ok(())
}

impl Moving {
    pub fn new(rig: &Rig) -> Result<Self> {
        create(rig, "invoice", 0..INVOICES)?;
        Ok(Self { scrap: 0 })
    }

    /// Makes what this round purges.
    pub fn more(&mut self, rig: &Rig) -> Result<()> {
        create(rig, "scrap", self.scrap..self.scrap + SCRAP)?;
        self.scrap += SCRAP;
        Ok(())
    }

    /// Moves records to and fro until the server is gone.
    pub async fn about(address: SocketAddr, token: String) {
        // The server was killed, which is what everybody waits for.
        let _ = about(address, &token).await;
    }

    /// What is wrong with the records that move, and with the runs that moved them.
    pub fn wrong(&self, rig: &Rig) -> Result<Vec<String>> {
        let mut setup = rig.bench.setup()?;
        let mut wrong = Vec::new();
        for tenant in 0..TENANTS {
            let key = &rig.shared.keys[tenant];
            wrong.extend(invoices(&mut setup, tenant, key)?);
            let path = format!("/v1/tenants/t{tenant}/records/scrap?tier=all&count=true&limit=1");
            let left = setup.json("GET", &path, key, "")?["count"].as_u64();
            let left = left.context("no count")?;
            let purged = receipts(&mut setup, tenant, &rig.bench.token)?;
            if left + purged != self.scrap as u64 {
                let made = self.scrap;
                wrong.push(format!(
                    "t{tenant}: {made} made to be purged; {left} are left and receipts tell of {purged}"
                ));
            }
        }
        for state in ["failed", "dead", "timed_out"] {
            let page = setup.json(
                "GET",
                &format!("/v1/runs?state={state}"),
                &rig.bench.token,
                "",
            )?;
            let runs = page["items"].as_array().context("no runs")?;
            wrong.extend(runs.iter().map(|run| format!("a run is {state}: {run}")));
        }
        Ok(wrong)
    }

    /// Waits until no run waits or is under way, but for the next of the schedule. Twice
    /// in a row: a run may go from one list to the other between two looks.
    pub fn settled(rig: &Rig) -> Result<()> {
        let (status, said) =
            rig.bench
                .setup()?
                .ask("POST", "/v1/pauses", &rig.bench.token, r#"{"job":"count"}"#)?;
        if status >= 300 {
            bail!("the job does not pause: {status} {said}");
        }
        let mut quiet = 0;
        for _ in 0..SETTLED_MAX {
            let mut runs = 0;
            for state in ["queued", "running"] {
                let page = rig
                    .bench
                    .ask("GET", &format!("/v1/runs?state={state}"), "")?;
                runs += page["items"].as_array().map_or(0, Vec::len);
            }
            quiet = if runs == 0 { quiet + 1 } else { 0 };
            if quiet == 2 {
                return Ok(());
            }
            std::thread::sleep(LOOK);
        }
        bail!("runs do not end")
    }
}

/// Every invoice is there once, in one of the tiers, as it was made.
fn invoices(setup: &mut Setup, tenant: usize, key: &str) -> Result<Vec<String>> {
    let path = format!("/v1/tenants/t{tenant}/records/invoice?tier=all&order=id&limit=500");
    let page = setup.json("GET", &path, key, "")?;
    let items = page["items"].as_array().context("no items")?;
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for item in items {
        let id = item["id"].as_str().unwrap_or_default();
        let number = id.trim_start_matches('n').parse().unwrap_or(usize::MAX);
        if item["data"] != data("invoice", number) {
            wrong.push(format!("t{tenant}: invoice {id} is {}", item["data"]));
        }
        if !seen.insert(id) {
            wrong.push(format!("t{tenant}: invoice {id} is there twice"));
        }
    }
    if seen.len() != INVOICES {
        wrong.push(format!("t{tenant}: {} invoices of {INVOICES}", seen.len()));
    }
    Ok(wrong)
}

/// Records that receipts of the tenant tell of.
fn receipts(setup: &mut Setup, tenant: usize, token: &str) -> Result<u64> {
    let mut records = 0;
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/tenants/t{tenant}/archive/receipts?limit=500{cursor}");
        let page = setup.json("GET", &path, token, "")?;
        let items = page["items"].as_array().context("no receipts")?;
        records += items
            .iter()
            .filter_map(|r| r["records"].as_u64())
            .sum::<u64>();
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return Ok(records),
        }
    }
}

async fn about(address: SocketAddr, token: &str) -> Result<()> {
    let mut connection = Connection::open(address).await?;
    let all = json!({"query": "status=closed", "entity": "invoice"}).to_string();
    let every: Vec<String> = (0..TENANTS).map(|tenant| format!("t{tenant}")).collect();
    let every = json!({ "tenants": every }).to_string();
    loop {
        for way in ["archive", "restore"] {
            let mut runs = Vec::new();
            for tenant in 0..TENANTS {
                let path = format!("/v1/tenants/t{tenant}/{way}");
                let run = post(&mut connection, &path, token, &all).await?;
                runs.push(text(&run["id"])?);
            }
            for job in ["archive", "purge"] {
                let path = format!("/v1/jobs/{job}/run");
                let asked = post(&mut connection, &path, token, &every).await?;
                let ids = asked["runs"].as_array().context("no runs")?;
                runs.extend(ids.iter().filter_map(|id| id.as_str().map(str::to_owned)));
            }
            for run in runs {
                ended(&mut connection, &run, token).await?;
            }
        }
    }
}

async fn post(connection: &mut Connection, path: &str, token: &str, body: &str) -> Result<Value> {
    call(connection, "POST", path, token, body).await
}

async fn call(
    connection: &mut Connection,
    method: &str,
    path: &str,
    token: &str,
    body: &str,
) -> Result<Value> {
    let mut request = Vec::new();
    write_request(&mut request, method, path, token, body.as_bytes());
    connection.succeed(&request).await?;
    Ok(serde_json::from_slice(&connection.body)?)
}

async fn ended(connection: &mut Connection, run: &str, token: &str) -> Result<()> {
    loop {
        let path = format!("/v1/runs/{run}");
        let run = call(connection, "GET", &path, token, "").await?;
        if !matches!(run["state"].as_str(), Some("queued" | "running")) {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
}
