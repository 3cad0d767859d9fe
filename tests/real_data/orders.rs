//! The wholesaler's order lines: many small tenants and one whale.
//!
//! The file numbers no lines and names no statuses, so ids count the lines of each
//! invoice and the status is told by the invoice's first letter and the quantity.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::bench::{Bench, Served};
use crate::files::{self, column};
use crate::reports::{self, OfTenant};

const APP: &str = r#"
[entity.line.schema]
required = ["id", "status", "date", "Quantity", "UnitPrice"]
properties.status = { enum = ["completed", "cancelled", "adjustment", "written_off"] }
properties.date = { type = "string", format = "date-time" }
properties.Quantity = { type = "integer" }
properties.UnitPrice = { type = "number" }

[[entity.line.index]]
name = "by_status"
fields = ["status", "date"]

[[entity.line.index]]
name = "by_date"
fields = ["date"]
"#;

const STATUSES: [&str; 4] = ["completed", "cancelled", "adjustment", "written_off"];
/// A day on which nobody signed in bought much.
const DAY: &str = "2011-12-05";

/// What the file itself says.
#[derive(Default)]
struct Truth {
    lines: u64,
    /// Lines by tenant, and among those by status.
    counts: BTreeMap<String, BTreeMap<&'static str, u64>>,
    /// The same with the sum of the quantities.
    sums: BTreeMap<String, OfTenant>,
    /// The guests' lines of the day: date, id, and the price as the file writes it.
    day: Vec<(String, String, String)>,
}

/// `17850.0` is the tenant `17850-0`, none is `guest`: what the import makes of them.
fn slug(customer: &str) -> String {
    match customer {
        "" => "guest".into(),
        customer => customer.replace('.', "-"),
    }
}

fn status(invoice: &str, quantity: &str) -> &'static str {
    match invoice.as_bytes()[0] {
        b'C' => "cancelled",
        b'A' => "adjustment",
        _ if quantity.starts_with('-') => "written_off",
        _ => "completed",
    }
}

/// Writes the rows as they are, with an id, a status and an RFC 3339 date before
/// them (the file names no zone).
fn prepare(mut rows: files::Rows, bench: &Bench) -> Truth {
    let headers = rows.headers().unwrap().clone();
    let [invoice, quantity, date, price, customer] = [
        "InvoiceNo",
        "Quantity",
        "InvoiceDate",
        "UnitPrice",
        "CustomerID",
    ]
    .map(|name| column(&headers, name));
    let mut out = csv::Writer::from_path(bench.folder().join("lines.csv")).unwrap();
    let own = ["id", "status", "date"];
    out.write_record(own.into_iter().chain(&headers)).unwrap();
    let mut truth = Truth::default();
    let mut lines_of: HashMap<String, u32> = HashMap::new();
    for row in rows.records() {
        let row = row.unwrap();
        let number = lines_of.entry(row[invoice].into()).or_default();
        *number += 1;
        let id = format!("{}-{number}", &row[invoice]);
        let status = status(&row[invoice], &row[quantity]);
        let when = format!("{}Z", row[date].replace(' ', "T"));
        let own = [id.as_str(), status, &when];
        out.write_record(own.into_iter().chain(&row)).unwrap();
        let tenant = slug(&row[customer]);
        if tenant == "guest" && when.starts_with(DAY) {
            truth.day.push((when, id, row[price].into()));
        }
        let of_tenant = truth.sums.entry(tenant.clone()).or_default();
        let (lines, sum) = of_tenant.entry(status).or_default();
        (*lines, *sum) = (*lines + 1, *sum + row[quantity].parse::<i64>().unwrap());
        *truth
            .counts
            .entry(tenant)
            .or_default()
            .entry(status)
            .or_default() += 1;
        truth.lines += 1;
    }
    out.flush().unwrap();
    truth.day.sort_unstable();
    truth
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_lines_are_imported_counted_and_asked() {
    let Some(rows) = files::open("online_retail.csv.gz") else {
        return;
    };
    let bench = Bench::new(&format!("{APP}{}", reports::JOB));
    let truth = prepare(rows, &bench);
    assert_eq!(truth.lines, 541_909);
    // 4,372 customers and the guests.
    assert_eq!(truth.counts.len(), 4_373);

    let into = ["--tenant-field", "CustomerID", "--tenant-default", "guest"];
    let report = bench.import("line", "id", "lines.csv", &into);
    assert_eq!(report["rows"], truth.lines);
    assert_eq!(report["created"], truth.lines);
    assert_eq!(report["tenants_created"], 4_373);
    let found = bench.check();
    assert_eq!(found["records"], truth.lines);
    // Each line is in both indexes.
    assert_eq!(found["index_rows"], 2 * truth.lines);

    let server = Arc::new(bench.serve().await);
    the_counters_say_what_the_file_says(&server, &truth).await;
    one_day_of_the_whale(&server, &truth).await;
    reports::every_customer_has_its_report(&server, &truth.sums).await;
}

async fn the_counters_say_what_the_file_says(server: &Served, truth: &Truth) {
    for (tenant, of_tenant) in &truth.counts {
        let all = server.count(tenant, "line", &[]).await;
        assert_eq!(all, of_tenant.values().sum::<u64>(), "{tenant}");
        for status in STATUSES {
            let count = server.count(tenant, "line", &[("status", status)]).await;
            let expected = of_tenant.get(status).copied().unwrap_or(0);
            assert_eq!(count, expected, "{tenant} {status}");
        }
    }
}

async fn one_day_of_the_whale(server: &Served, truth: &Truth) {
    assert!(truth.day.len() > 500, "{} lines of {DAY}", truth.day.len());
    let (from, to) = (format!("{DAY}T00:00:00Z"), format!("{DAY}T23:59:59.999Z"));
    let query = [
        ("date[gte]", &*from),
        ("date[lte]", &*to),
        ("order", "date"),
        ("limit", "500"),
        ("explain", "true"),
    ];
    let mut listed = Vec::new();
    for page in server.pages("guest", "line", &query).await {
        let explain = &page["explain"];
        let [read, given] =
            ["keys_read", "records_returned"].map(|name| explain[name].as_u64().unwrap());
        // One key more than is given tells whether the list goes on.
        assert!(read <= given + 1, "{explain}");
        for item in page["items"].as_array().unwrap() {
            let data = &item["data"];
            let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
            let price = data["UnitPrice"].to_string();
            listed.push((text(&data["date"]), text(&item["id"]), price));
        }
    }
    assert_eq!(listed, truth.day);
}
