//! The help desk's log, replayed as a stream of versions.
//!
//! A tenant is a location. 108 tickets move to another one: all versions of a
//! ticket go to the location that its last row names, so that every ticket is in
//! one tenant and ends where the help desk left it.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use crate::archive::{Ticket, nine_tenths_leave};
use crate::bench::{Bench, Served};
use crate::files::{self, column, instant_of_day_first};

const APP: &str = r#"
[entity.incident]
title = "number"

[entity.incident.schema]
required = ["number", "incident_state", "active", "opened"]
properties.number = { type = "string" }
properties.active = { type = "boolean" }
properties.sys_mod_count = { type = "integer" }
properties.reassignment_count = { type = "integer" }
properties.opened = { type = "string", format = "date-time" }

[[entity.incident.index]]
name = "by_active"
fields = ["active", "opened"]

[[entity.incident.index]]
name = "by_state"
fields = ["incident_state", "opened"]
"#;

/// When the replay stops for a while: the last version before it is what was seen then.
const PAUSE: &str = "2016-04-01T00:00:00Z";

/// One row of the log.
struct Event {
    row: csv::StringRecord,
    number: String,
    state: String,
    active: bool,
    opened: String,
    updated: String,
}

/// The log in the file's order.
struct Log {
    headers: csv::StringRecord,
    events: Vec<Event>,
    /// Each ticket's tenant, as its last row names it.
    tenants: HashMap<String, String>,
}

impl Log {
    fn read(mut rows: files::Rows) -> Self {
        let headers = rows.headers().unwrap().clone();
        let [number, state, active, opened, updated, location] = [
            "number",
            "incident_state",
            "active",
            "opened_at",
            "sys_updated_at",
            "location",
        ]
        .map(|name| column(&headers, name));
        let mut log = Self {
            headers,
            events: Vec::new(),
            tenants: HashMap::new(),
        };
        for row in rows.records() {
            let row = row.unwrap();
            let location = match &row[location] {
                "?" => "unknown",
                known => known,
            };
            log.tenants.insert(row[number].into(), location.into());
            log.events.push(Event {
                number: row[number].into(),
                state: row[state].into(),
                active: row[active].parse().unwrap(),
                opened: instant_of_day_first(&row[opened]),
                updated: instant_of_day_first(&row[updated]),
                row,
            });
        }
        log
    }

    /// Writes the events that `wanted` chooses as CSV: the rows as they are, with
    /// the tenant and an RFC 3339 date before them.
    fn write(&self, bench: &Bench, name: &str, wanted: impl Fn(&Event) -> bool) -> u64 {
        let mut out = csv::Writer::from_path(bench.folder().join(name)).unwrap();
        let mut written = 0;
        let headers = ["tenant", "opened"];
        out.write_record(headers.into_iter().chain(&self.headers))
            .unwrap();
        for event in self.events.iter().filter(|event| wanted(event)) {
            let own = [self.tenants[&event.number].as_str(), &event.opened];
            out.write_record(own.into_iter().chain(&event.row)).unwrap();
            written += 1;
        }
        out.flush().unwrap();
        written
    }

    /// The last version of each ticket among the events that `wanted` chooses.
    fn last(&self, wanted: impl Fn(&Event) -> bool) -> BTreeMap<&str, &Event> {
        let chosen = self.events.iter().filter(|event| wanted(event));
        chosen.map(|event| (&*event.number, event)).collect()
    }

    /// The tenant with the most events.
    fn largest_tenant(&self) -> &str {
        let mut events: BTreeMap<&str, u64> = BTreeMap::new();
        for event in &self.events {
            *events.entry(&self.tenants[&event.number]).or_default() += 1;
        }
        events.into_iter().max_by_key(|(_, n)| *n).unwrap().0
    }
}

fn slug(tenant: &str) -> String {
    tenant.to_lowercase().replace(' ', "-")
}

/// The helper's tenants are slugs already or become ones in the import.
fn replay(bench: &Bench, file: &str) -> Value {
    bench.import("incident", "number", file, &["--tenant-field", "tenant"])
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_replayed_and_asked() {
    let Some(rows) = files::open("incident_event_log.csv.gz") else {
        return;
    };
    let log = Log::read(rows);
    assert_eq!(log.events.len(), 141_712);
    let bench = Bench::new(APP);
    let before = |event: &Event| event.updated.as_str() < PAUSE;

    let first = log.write(&bench, "first.csv", before);
    let report = replay(&bench, "first.csv");
    let seen = log.last(before);
    assert_eq!(report["rows"], first);
    assert_eq!(report["created"], seen.len());
    {
        let server = bench.serve().await;
        open_incidents_of_march(&server, &log, &seen).await;
    }

    let rest = log.write(&bench, "rest.csv", |event| !before(event));
    assert_eq!(first + rest, 141_712);
    let second = replay(&bench, "rest.csv");
    let sum = |name: &str| report[name].as_u64().unwrap() + second[name].as_u64().unwrap();
    assert_eq!(sum("created"), 24_918);
    assert_eq!(sum("created") + sum("updated") + sum("unchanged"), 141_712);
    let found = bench.check();
    assert_eq!(found["records"], 24_918);
    all_is_there(&bench, &log, sum("created") + sum("updated")).await;
    let last = log.last(|_| true);
    let tickets = last.values().map(|event| Ticket {
        tenant: slug(&log.tenants[&event.number]),
        state: event.state.clone(),
        opened: event.opened.clone(),
    });
    nine_tenths_leave(&bench, APP, tickets.collect()).await;
}

/// "Open incidents of March, newest first, page by page", for the largest tenant.
async fn open_incidents_of_march(server: &Served, log: &Log, seen: &BTreeMap<&str, &Event>) {
    let tenant = log.largest_tenant();
    let march = "2016-03-01T00:00:00Z".."2016-04-01T00:00:00Z";
    let mut expected: Vec<_> = seen
        .values()
        .filter(|event| log.tenants[&event.number] == tenant)
        .filter(|event| event.active && march.contains(&event.opened.as_str()))
        .map(|event| (event.opened.as_str(), event.number.as_str()))
        .collect();
    expected.sort_unstable_by(|a, b| b.cmp(a));
    assert!(expected.len() > 200, "{} are a real list", expected.len());

    let query = [
        ("active", "true"),
        ("opened[gte]", march.start),
        ("opened[lt]", march.end),
        ("order", "-opened"),
        ("limit", "50"),
        ("explain", "true"),
    ];
    let pages = server.pages(&slug(tenant), "incident", &query).await;
    assert_eq!(pages.len(), expected.len().div_ceil(50));
    for page in &pages {
        let explain = &page["explain"];
        assert_eq!(explain["index"], "by_active");
        let [read, given] =
            ["keys_read", "records_returned"].map(|name| explain[name].as_u64().unwrap());
        assert!(read <= given + 1, "{explain}");
    }
    let items = pages.iter().flat_map(|p| p["items"].as_array().unwrap());
    let listed: Vec<_> = items
        .map(|item| {
            let data = &item["data"];
            assert_eq!(data["number"], item["id"]);
            (
                data["opened"].as_str().unwrap(),
                item["id"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(listed, expected);
}

/// Every tenant's tickets are the last versions of the file, and every version counts.
async fn all_is_there(bench: &Bench, log: &Log, versions: u64) {
    let last = log.last(|_| true);
    let mut closed: BTreeMap<&str, u64> = BTreeMap::new();
    for (number, event) in &last {
        *closed.entry(&log.tenants[*number]).or_default() += u64::from(event.state == "Closed");
    }
    assert_eq!(closed.len(), 225);
    assert!(closed.contains_key("unknown"));
    let server = bench.serve().await;
    let (mut tickets, mut counted) = (0, 0);
    for (tenant, closed) in closed {
        let query = [("limit", "500")];
        for page in server.pages(&slug(tenant), "incident", &query).await {
            for item in page["items"].as_array().unwrap() {
                let id = item["id"].as_str().unwrap();
                let event = last[id];
                assert_eq!(log.tenants[id], tenant);
                assert_eq!(item["data"]["incident_state"], *event.state);
                assert_row(&log.headers, event, &item["data"]);
                counted += item["version"].as_u64().unwrap();
                tickets += 1;
            }
        }
        let query = [("incident_state", "Closed")];
        let count = server.count(&slug(tenant), "incident", &query).await;
        assert_eq!(count, closed, "{tenant}");
    }
    assert_eq!((tickets, counted), (24_918, versions));
}

/// Every column of the file is in the record, with the file's own characters.
fn assert_row(headers: &csv::StringRecord, event: &Event, data: &Value) {
    for (name, text) in headers.iter().zip(&event.row) {
        let stored = match &data[name] {
            Value::String(stored) => stored.clone(),
            other => other.to_string(),
        };
        assert_eq!(stored, text, "{name} of {}", event.number);
    }
}
