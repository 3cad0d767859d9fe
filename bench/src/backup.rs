//! Backups: how long one takes, how large it is, and what it costs those who ask meanwhile,
//! as a ratio to the same requests just before.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::{
    archive::{at, line, ms, started},
    installed::Bench,
    subject::{Setup, text},
    table::{self, Rounds},
};

/// `tenantry-bench backup`
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Records of the one tenant
    #[arg(long, default_value_t = 300_000)]
    records: usize,
    /// Backups, each beside the quiet time before it
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Requests of a quiet time
    #[arg(long, default_value_t = 3_000)]
    requests: usize,
    /// Engines
    #[arg(long, value_delimiter = ',', default_values_t = ["sled".to_owned(), "fjall".to_owned()])]
    engines: Vec<String>,
}

/// Runs for each engine and prints.
pub fn run(options: &Options) -> Result<()> {
    for engine in &options.engines {
        one(options, engine)?;
    }
    Ok(())
}

fn one(options: &Options, engine: &str) -> Result<()> {
    eprintln!("{engine}: {} records", options.records);
    let bench = started(engine, options.records, |_| true)?;
    let mut setup = bench.setup()?;
    let mut asked = Asked {
        bench: &bench,
        records: options.records,
        number: 0,
    };
    let mut rounds: [[Rounds; 4]; 2] = Default::default();
    let mut last = Value::Null;
    for round in 0..options.rounds {
        eprintln!("{engine}: round {} of {}", round + 1, options.rounds);
        let quiet = asked.until(&mut setup, |done| Ok(done >= options.requests))?;
        let begun = bench.ask("POST", "/v1/backups", "")?;
        let path = format!("/v1/backups/{}", text(&begun["id"])?);
        let mut looked = Instant::now();
        let busy = asked.until(&mut setup, |_| {
            if looked.elapsed() < Duration::from_millis(100) {
                return Ok(false);
            }
            looked = Instant::now();
            last = bench.ask("GET", &path, "")?;
            Ok(last["operation"]["running"] != true)
        })?;
        if last["state"] != "complete" {
            bail!("the backup failed: {last}");
        }
        for (times, into) in [(busy, 0), (quiet, 1)] {
            for (kind, times) in times.into_iter().enumerate() {
                rounds[into][kind * 2].push(ms(at(&times, 0.5)));
                rounds[into][kind * 2 + 1].push(ms(at(&times, 0.99)));
            }
        }
    }
    let head = format!("{engine}, ms");
    let mut rows = vec![vec![head, "during".into(), "before".into(), "times".into()]];
    let names = ["reads p50", "reads p99", "writes p50", "writes p99"];
    for (kind, name) in names.into_iter().enumerate() {
        let [busy, quiet] = [&rounds[0][kind], &rounds[1][kind]];
        rows.push(vec![
            name.into(),
            format!("{:.3}", busy.median()),
            format!("{:.3}", quiet.median()),
            busy.over(quiet).spread(),
        ]);
    }
    table::print(&rows);
    let number = |name: &str| last[name].as_f64().context("no number");
    println!(
        "the last one: {} keys, {:.0} MB of keys and values in a file of {:.0} MB, {:.1} s, {} changes meanwhile",
        last["keys"],
        number("logical_bytes")? / 1e6,
        number("bytes")? / 1e6,
        number("took_ms")? / 1e3,
        last["changes"],
    );
    Ok(())
}

/// Gets, lists and writes by turns, one connection.
struct Asked<'a> {
    bench: &'a Bench,
    records: usize,
    number: usize,
}

impl Asked<'_> {
    /// The times of reads and of writes, ascending.
    fn until(
        &mut self,
        setup: &mut Setup,
        mut over: impl FnMut(usize) -> Result<bool>,
    ) -> Result<[Vec<Duration>; 2]> {
        let mut times: [Vec<Duration>; 2] = Default::default();
        let mut done = 0;
        while !over(done)? {
            self.number += 1;
            done += 1;
            let n = self.number.wrapping_mul(7_919) % self.records;
            let path = format!("/v1/tenants/acme/records/ticket/t{n:07}");
            let (kind, method, path, body) = match self.number % 3 {
                0 => (0, "GET", path, String::new()),
                1 => (0, "GET", list(n), String::new()),
                _ => (1, "PUT", path, line(n)),
            };
            let began = Instant::now();
            setup.json(method, &path, &self.bench.token, &body)?;
            times[kind].push(began.elapsed());
        }
        times.iter_mut().for_each(|times| times.sort_unstable());
        Ok(times)
    }
}

fn list(n: usize) -> String {
    format!(
        "/v1/tenants/acme/records/ticket?status=open&opened_at[lt]=2025-{:02}-{:02}T00:30:00Z&order=-opened_at&limit=50",
        n % 11 + 2,
        n % 27 + 1,
    )
}
