//! The archive: how fast records leave, what that costs those who ask meanwhile, how the
//! hot tier is afterwards beside a store that only ever had what is left, and what the
//! disk gives back.

use std::{
    fmt::Write as _,
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::{
    installed::{Bench, done},
    process::disk_mb,
    table::{self, Rounds},
};

/// `tenantry-bench archive`
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Records of the one tenant before; nine tenths of them leave
    #[arg(long, default_value_t = 1_000_000)]
    records: usize,
    /// Rounds over both stores
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Requests of each kind in a round
    #[arg(long, default_value_t = 2_000)]
    requests: usize,
    /// Engines
    #[arg(long, value_delimiter = ',', default_values_t = ["sled".to_owned(), "fjall".to_owned()])]
    engines: Vec<String>,
}

const APP: &str = r#"
[entity.ticket.schema]
required = ["status", "opened_at"]
properties.status = { enum = ["open", "closed"] }
properties.opened_at = { type = "string", format = "date-time" }

[[entity.ticket.index]]
name = "by_status"
fields = ["status", "opened_at"]

[entity.ticket.archive]
when = { status = "closed" }
by = "opened_at"
after = "90d"
"#;

/// Records of one import.
const PART: usize = 100_000;

/// Runs for each engine and prints.
pub fn run(options: &Options) -> Result<()> {
    for engine in &options.engines {
        one(options, engine)?;
    }
    Ok(())
}

fn is_hot(n: usize) -> bool {
    n.is_multiple_of(10)
}

pub fn line(n: usize) -> String {
    let (status, year) = if is_hot(n) {
        ("open", 2025)
    } else {
        ("closed", 2020)
    };
    let priority = ["low", "moderate", "high", "critical"][n % 4];
    // About 900 bytes, of which some repeat and some do not.
    let data = json!({
        "id": format!("t{n:07}"),
        "status": status,
        "opened_at": format!("{year}-{:02}-{:02}T{:02}:{:02}:00Z", n % 12 + 1, n % 28 + 1, n % 24, n % 60),
        "subject": format!("The {} on floor {} does not work any more", ["printer", "phone", "door", "lamp"][n % 4], n % 31),
        "caller": format!("caller-{}@example.com", n.wrapping_mul(2_654_435_761) % 5_000),
        "assigned_to": format!("agent {}", n % 97),
        "category": format!("category {}", n % 40),
        "priority": priority,
        "text": format!("{}{:016x}", "It worked yesterday, and nobody changed anything that we know of. ".repeat(8), (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
    });
    data.to_string()
}

/// Imports the records that `wanted` chooses, over HTTP, into a running server.
fn fill(bench: &Bench, records: usize, wanted: impl Fn(usize) -> bool) -> Result<()> {
    let mut lines = String::new();
    let mut count = 0;
    for n in 0..records {
        if wanted(n) {
            let _ = writeln!(lines, "{}", line(n));
            count += 1;
        }
        if count == PART || n + 1 == records {
            let file = bench.folder.path().join("part.ndjson");
            fs::write(&file, &lines)?;
            let mut import = bench.tenantry.command(bench.folder.path());
            let import = import.args(["import", "-t", "acme", "-e", "ticket", "--id-field", "id"]);
            done(import.arg(&file))?;
            lines.clear();
            count = 0;
        }
    }
    Ok(())
}

pub fn started(engine: &str, records: usize, wanted: impl Fn(usize) -> bool) -> Result<Bench> {
    let bench = Bench::new(engine, APP)?;
    bench.ask("POST", "/v1/tenants", r#"{"id":"acme"}"#)?;
    fill(&bench, records, wanted)?;
    Ok(bench)
}

fn one(options: &Options, engine: &str) -> Result<()> {
    let records = options.records;
    eprintln!("{engine}: {records} records");
    let mut large = started(engine, records, |_| true)?;
    eprintln!("{engine}: {} records", records / 10);
    let small = started(engine, records, is_hot)?;
    let folder = large.folder.path().to_owned();
    let disk = || disk_mb(&folder.join("data"));
    let before = (large.process()?.resident_mb()?, disk());

    let quiet = times(&large, options.requests * 3, records)?;
    let began = Instant::now();
    let run = asked(&large)?;
    let mut busy = Vec::new();
    let run = loop {
        busy.extend(times(&large, 200, records)?);
        let run = large.ask("GET", &format!("/v1/runs/{run}"), "")?;
        match run["state"].as_str() {
            Some("queued" | "running") => {}
            Some("succeeded") => break run,
            _ => bail!("the run ended: {run}"),
        }
    };
    let took = began.elapsed().as_secs_f64();
    busy.sort_unstable();
    let status = large.ask("GET", "/v1/tenants/acme/archive", "")?;
    let archive = &status["items"][0]["archive"];
    let moved = run["progress"]["done"].as_f64().context("no progress")?;
    let after = (large.process()?.resident_mb()?, disk());

    let mut rounds: [[Rounds; 4]; 2] = Default::default();
    for round in 0..options.rounds {
        eprintln!("{engine}: round {} of {}", round + 1, options.rounds);
        let mut both = [(0, &large), (1, &small)];
        if round % 2 == 1 {
            both.reverse();
        }
        for (which, bench) in both {
            for (kind, of) in [gets, lists].into_iter().enumerate() {
                let mut found = of(bench, options.requests, records)?;
                found.sort_unstable();
                rounds[which][kind * 2].push(ms(at(&found, 0.5)));
                rounds[which][kind * 2 + 1].push(ms(at(&found, 0.99)));
            }
        }
    }
    let head = format!("{engine}, p50 and p99 in ms");
    let mut rows = vec![vec![
        head,
        format!("{records} records, of which {moved} archived"),
        format!("{} records", records / 10),
        "times".into(),
    ]];
    for (at, name) in ["get p50", "get p99", "list of 50 p50", "list of 50 p99"]
        .into_iter()
        .enumerate()
    {
        let [large, small] = [&rounds[0][at], &rounds[1][at]];
        rows.push(vec![
            name.into(),
            format!("{:.3}", large.median()),
            format!("{:.3}", small.median()),
            large.over(small).spread(),
        ]);
    }
    table::print(&rows);
    println!(
        "{moved} records archived in {took:.0} s: {:.0} a second; {archive}",
        moved / took
    );
    println!(
        "while they moved, p50 {:.2} ms and p99 {:.2} ms of gets and lists (quiet {:.2} and {:.2})",
        ms(at(&busy, 0.5)),
        ms(at(&busy, 0.99)),
        ms(at(&quiet, 0.5)),
        ms(at(&quiet, 0.99)),
    );
    large.stop()?;
    let began = Instant::now();
    done(
        large
            .tenantry
            .command(large.folder.path())
            .args(["store", "compact"]),
    )?;
    let compacted = began.elapsed();
    large.start()?;
    println!(
        "disk: {:.0} MB before, {:.0} after, {:.0} after `store compact` ({:.0} s), {:.0} in the store that only had the rest; resident {:.0} MB before, {:.0} after",
        before.1,
        after.1,
        disk(),
        compacted.as_secs_f64(),
        disk_mb(&small.folder.path().join("data")),
        before.0,
        after.0,
    );
    Ok(())
}

/// Asks for the job; the run's name.
fn asked(bench: &Bench) -> Result<String> {
    let asked = bench.ask("POST", "/v1/jobs/archive/run", r#"{"tenants":["acme"]}"#)?;
    crate::subject::text(&asked["runs"][0])
}

pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

pub fn at(sorted: &[Duration], part: f64) -> Duration {
    let last = sorted.len().saturating_sub(1);
    let place = ((sorted.len() as f64 * part) as usize).min(last);
    sorted.get(place).copied().unwrap_or_default()
}

/// Gets and lists by turns, ascending.
fn times(bench: &Bench, requests: usize, records: usize) -> Result<Vec<Duration>> {
    let mut times = gets(bench, requests / 2, records)?;
    times.extend(lists(bench, requests / 2, records)?);
    times.sort_unstable();
    Ok(times)
}

fn gets(bench: &Bench, requests: usize, records: usize) -> Result<Vec<Duration>> {
    let path = |n: usize| {
        let n = n.wrapping_mul(7_919) % (records / 10) * 10;
        format!("/v1/tenants/acme/records/ticket/t{n:07}")
    };
    timed(bench, requests, path)
}

fn lists(bench: &Bench, requests: usize, _: usize) -> Result<Vec<Duration>> {
    let path = |n: usize| {
        format!(
            "/v1/tenants/acme/records/ticket?status=open&opened_at[lt]=2025-{:02}-{:02}T{:02}:30:00Z&order=-opened_at&limit=50",
            n % 11 + 2,
            n % 27 + 1,
            n % 24
        )
    };
    timed(bench, requests, path)
}

fn timed(bench: &Bench, requests: usize, path: impl Fn(usize) -> String) -> Result<Vec<Duration>> {
    let mut setup = bench.setup()?;
    let mut times = Vec::with_capacity(requests);
    for n in 0..requests {
        let path = path(n);
        let began = Instant::now();
        let answer: Value = setup.json("GET", &path, &bench.token, "")?;
        times.push(began.elapsed());
        drop(answer);
    }
    Ok(times)
}
