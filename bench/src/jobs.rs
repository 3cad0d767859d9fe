//! Jobs: what very many schedules cost, and what hung webhooks and one tenant's very
//! long queue do to the others.

use std::{fs, net::TcpListener, path::Path, time::Duration};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::{
    installed::{Bench, done},
    subject::text,
    table,
};

/// `tenantry-bench jobs`
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Tenants of the schedules
    #[arg(long, default_value_t = 1_000)]
    tenants: usize,
    /// Scheduled jobs of each
    #[arg(long, default_value_t = 100)]
    jobs: usize,
    /// Seconds that the server is watched while nothing is due
    #[arg(long, default_value_t = 20)]
    idle_s: u64,
    /// Tenants whose webhook never answers
    #[arg(long, default_value_t = 200)]
    hung: usize,
    /// Runs that one tenant has waiting
    #[arg(long, default_value_t = 100_000)]
    queued: usize,
    /// Tenants that ask for one run each beside those
    #[arg(long, default_value_t = 100)]
    others: usize,
    /// Engine
    #[arg(long, default_value = "sled")]
    engine: String,
}

const ENTITY: &str = r#"
[entity.ticket.schema]
properties.status = { type = "string" }
properties.at = { type = "string", format = "date-time" }

[[entity.ticket.index]]
name = "by_at"
fields = ["at"]
"#;

/// Runs both and prints them.
pub fn run(options: &Options) -> Result<()> {
    schedules(options)?;
    fairness(options)
}

impl Bench {
    /// All runs of a job in a state.
    fn runs(&self, job: &str, state: &str) -> Result<Vec<Value>> {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/v1/runs?limit=500&job={job}&state={state}{cursor}");
            let mut page = self.ask("GET", &path, "")?;
            found.append(page["items"].as_array_mut().context("no items")?);
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(found),
            }
        }
    }
}

fn schedules(options: &Options) -> Result<()> {
    let mut app = ENTITY.to_owned();
    for job in 0..options.jobs {
        app += &format!(
            "[job.j{job}]\nkind = \"report\"\nschedule = \"{} 3 1 1 *\"\nspread = \"1h\"\nwith = {{ entity = \"ticket\", by = \"at\" }}\n",
            job % 60
        );
    }
    let mut bench = Bench::new(&options.engine, &app)?;
    bench.tenants((0..options.tenants).map(|n| format!("t{n}")))?;
    let idle = |bench: &Bench| -> Result<f64> {
        let process = bench.process()?;
        let before = process.cpu_s()?;
        std::thread::sleep(Duration::from_secs(options.idle_s));
        Ok((process.cpu_s()? - before) / options.idle_s as f64 * 100.0)
    };
    // The last tenant's schedules are there.
    std::thread::sleep(Duration::from_secs(3));
    bench.process = None;
    let started = bench.start()?;
    let percent = idle(&bench)?;
    let resident = bench.process()?.resident_mb()?;
    table::print(&[
        vec![
            "schedules".into(),
            "start s".into(),
            "idle % of a core".into(),
            "MB resident".into(),
        ],
        vec![
            (options.tenants * options.jobs).to_string(),
            format!("{:.2}", started.as_secs_f64()),
            format!("{percent:.2}"),
            format!("{resident:.0}"),
        ],
    ]);
    Ok(())
}

fn fairness(options: &Options) -> Result<()> {
    // Takes connections and never answers.
    let hung = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}/", hung.local_addr()?);
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in hung.incoming() {
            kept.push(stream);
        }
    });
    let report = "with = { entity = \"ticket\", by = \"at\", period = { from = \"2026-01-01\", to = \"2026-02-01\" } }\n";
    let app = format!(
        "{ENTITY}\n[job.hook]\nkind = \"webhook\"\ntimeout = \"3s\"\nwith = {{ url = \"{url}\", entity = \"ticket\" }}\n[job.whale]\nkind = \"report\"\nevery = \"1s\"\nwhere = {{ \"meta.whale\" = \"yes\" }}\n{report}[job.quick]\nkind = \"report\"\n{report}"
    );
    let bench = Bench::new(&options.engine, &app)?;
    let others: Vec<String> = (0..options.others).map(|n| format!("o{n}")).collect();
    let hung: Vec<String> = (0..options.hung).map(|n| format!("h{n}")).collect();
    bench.tenants(others.iter().chain(&hung).cloned())?;
    let mut lines = String::new();
    for tenant in &hung {
        lines += &(json!({"tenant": tenant, "status": "x"}).to_string() + "\n");
    }
    import(&bench, &lines)?;
    let quiet = delays(&bench, &others)?;
    bench.ask(
        "POST",
        "/v1/tenants",
        r#"{"id":"whale","meta":{"whale":"yes"}}"#,
    )?;
    let (from, to) = (january(0), january(options.queued));
    let call = json!({"tenants": ["whale"], "from": from, "to": to});
    let asked = bench.ask("POST", "/v1/jobs/whale/backfill", &call.to_string())?;
    eprintln!("the whale has {} runs waiting", asked["queued"]);
    let call = json!({ "tenants": hung }).to_string();
    bench.ask("POST", "/v1/jobs/hook/run", &call)?;
    std::thread::sleep(Duration::from_millis(500));
    let busy = delays(&bench, &others)?;
    let left = bench.ask("GET", "/v1/runs?tenant=whale&state=queued&limit=1", "")?;
    let whale_waits = left["items"]
        .as_array()
        .is_some_and(|items| !items.is_empty());
    while !bench.runs("hook", "queued")?.is_empty() || !bench.runs("hook", "running")?.is_empty() {
        std::thread::sleep(Duration::from_millis(500));
    }
    let mut took: Vec<i64> = Vec::new();
    for run in bench.runs("hook", "timed_out")? {
        took.push(ms(&run["started_at"], &run["ended_at"])?);
    }
    took.sort_unstable();
    let figures = |name: &str, times: &[i64]| {
        let at = |part: f64| times.get((times.len() as f64 * part) as usize).copied();
        let last = times.last().copied().unwrap_or(0);
        vec![
            name.into(),
            times.len().to_string(),
            format!("{}", at(0.5).unwrap_or(0)),
            format!("{last}"),
        ]
    };
    table::print(&[
        vec![
            String::new(),
            "runs".into(),
            "p50 ms".into(),
            "max ms".into(),
        ],
        figures("others' wait, quiet", &quiet),
        figures("others' wait, beside hung webhooks and the whale", &busy),
        figures("hung webhooks, timeout 3,000 ms", &took),
    ]);
    println!(
        "the whale's queue is {}",
        if whale_waits { "not done yet" } else { "done" }
    );
    println!("{:.0} MB resident", bench.process()?.resident_mb()?);
    Ok(())
}

/// So many seconds into January 2026, RFC 3339.
fn january(seconds: usize) -> String {
    let (day, rest) = (1 + seconds / 86_400, seconds % 86_400);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("2026-01-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

fn import(bench: &Bench, lines: &str) -> Result<()> {
    let file = bench.folder.path().join("lines.ndjson");
    fs::write(&file, lines)?;
    let mut import = bench.tenantry.command(bench.folder.path());
    let import = import.args(["import", "--entity", "ticket", "--tenant-field", "tenant"]);
    done(import.arg(Path::new(&file))).map(drop)
}

/// Has each of the tenants run a report, and gives how long each waited, ascending.
fn delays(bench: &Bench, tenants: &[String]) -> Result<Vec<i64>> {
    let call = json!({ "tenants": tenants }).to_string();
    let asked = bench.ask("POST", "/v1/jobs/quick/run", &call)?;
    let mut waits = Vec::new();
    for run in asked["runs"].as_array().context("no runs")? {
        loop {
            let shown = bench.ask("GET", &format!("/v1/runs/{}", text(run)?), "")?;
            if shown["state"] == "succeeded" {
                waits.push(ms(&shown["queued_at"], &shown["started_at"])?);
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    waits.sort_unstable();
    Ok(waits)
}

/// Milliseconds between two timestamps of one day and the next.
fn ms(from: &Value, to: &Value) -> Result<i64> {
    let at = |value: &Value| -> Result<i64> {
        let text = text(value)?;
        let part = |range: std::ops::Range<usize>| -> Result<i64> {
            Ok(text.get(range).context("no timestamp")?.parse()?)
        };
        let seconds = (part(11..13)? * 60 + part(14..16)?) * 60 + part(17..19)?;
        Ok(seconds * 1_000 + part(20..23)?)
    };
    Ok((at(to)? - at(from)?).rem_euclid(86_400_000))
}
