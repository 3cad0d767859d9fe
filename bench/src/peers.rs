//! Tenantry beside PocketBase and a bare handler: one client, one machine, one
//! run, fresh processes that take turns over several rounds.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::{
    load::{Report, runtime},
    process::{disk_mb, flush_ms},
    subject::{Bare, PocketBase, Running, Subject, Tenantry},
    table::{self, Rounds},
    workload::{self, Load},
};

const PEER: &str = "pocketbase";

/// `tenantry-bench peers`
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// PocketBase's binary
    #[arg(long)]
    pocketbase: std::path::PathBuf,
    /// Rounds; the subjects take turns in each
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Seconds of each load at each number of connections
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Connections
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64])]
    connections: Vec<usize>,
    /// Tenants
    #[arg(long, default_value_t = 100)]
    tenants: usize,
    /// Records of each tenant before the loads
    #[arg(long, default_value_t = 200)]
    records: usize,
    /// Records loaded once, to see memory and disk; 0 leaves it out
    #[arg(long, default_value_t = 100_000)]
    load: usize,
    /// Only the loads whose names begin so, such as get or create
    #[arg(long, value_delimiter = ',')]
    loads: Vec<String>,
    /// Only the subjects whose names contain one of these
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Figures of all rounds: what, then whose.
#[derive(Default)]
struct Figures(BTreeMap<String, BTreeMap<String, Rounds>>);

impl Figures {
    fn push(&mut self, what: &str, subject: &str, figure: f64) {
        let of_subject = self.0.entry(what.into()).or_default();
        of_subject.entry(subject.into()).or_default().push(figure);
    }

    fn get(&self, what: &str, subject: &str) -> Rounds {
        let found = self.0.get(what).and_then(|of| of.get(subject));
        found.cloned().unwrap_or_default()
    }
}

/// Runs everything and prints it.
pub fn run(options: &Options) -> Result<()> {
    let subjects: Vec<Box<dyn Subject>> = vec![
        Box::new(PocketBase::new(options.pocketbase.clone())),
        Box::new(Tenantry::new("sled")?),
        Box::new(Tenantry::new("fjall")?),
        Box::new(Bare),
    ];
    let wanted = |subject: &dyn Subject| {
        let named = |part: &String| subject.name().contains(part.as_str());
        options.only.is_empty() || options.only.iter().any(named)
    };
    let subjects: Vec<_> = subjects.into_iter().filter(|s| wanted(&**s)).collect();
    let mut figures = Figures::default();
    for round in 0..options.rounds {
        for at in 0..subjects.len() {
            // Another one begins each round.
            let subject = &*subjects[(at + round) % subjects.len()];
            eprintln!(
                "round {} of {}: {}",
                round + 1,
                options.rounds,
                subject.name()
            );
            measure(subject, options, &mut figures).with_context(|| subject.name().to_owned())?;
        }
    }
    if options.load > 0 {
        for subject in subjects.iter().filter(|s| s.name() != "bare actix") {
            eprintln!("loading {} records: {}", options.load, subject.name());
            load(&**subject, options, &mut figures).with_context(|| subject.name().to_owned())?;
        }
    }
    match options.json {
        true => println!("{}", report(&subjects, options, &figures)),
        false => print(&subjects, options, &figures),
    }
    Ok(())
}

fn measure(subject: &dyn Subject, options: &Options, figures: &mut Figures) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let name = subject.name();
    figures.push("one flush, ms", name, flush_ms(folder.path())?);
    let mut running = subject.start(folder.path(), options.tenants)?;
    figures.push("idle, MB", name, running.process.resident_mb()?);
    let runtime = runtime()?;
    let count = options.tenants * options.records;
    let (ids, _) = runtime.block_on(workload::fill(&running, options.tenants, count))?;
    let time = Duration::from_secs_f64(options.seconds);
    let wanted = |load: &str| {
        let begins = |part: &String| load.starts_with(part.as_str());
        options.loads.is_empty() || options.loads.iter().any(begins)
    };
    for kind in Load::ALL.into_iter().filter(|kind| wanted(kind.name())) {
        for connections in &options.connections {
            let cpu = running.process.cpu_s()?;
            let run = workload::run(&running, kind, &ids, *connections, time);
            let report = runtime.block_on(run)?;
            note(figures, name, kind.name(), *connections, &report);
            let used = running.process.cpu_s()? - cpu;
            figures.push(&key(kind.name(), *connections, "cpu"), name, used);
        }
    }
    figures.push("after the loads, MB", name, running.process.resident_mb()?);
    if !wanted(UNCACHED) {
        return Ok(());
    }
    running = match subject.restart_uncached(folder.path(), running)? {
        Some(again) => again,
        None => return Ok(()),
    };
    for connections in &options.connections {
        let run = workload::run(&running, Load::List, &ids, *connections, time);
        let report = runtime.block_on(run)?;
        note(figures, name, UNCACHED, *connections, &report);
    }
    Ok(())
}

const UNCACHED: &str = "list of 50, no record cache";

fn load(subject: &dyn Subject, options: &Options, figures: &mut Figures) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let running: Running = subject.start(folder.path(), options.tenants)?;
    let filled = workload::fill(&running, options.tenants, options.load);
    let (_, report) = runtime()?.block_on(filled)?;
    let name = subject.name();
    figures.push("loaded, records/s", name, report.rate);
    figures.push("loaded, MB resident", name, running.process.resident_mb()?);
    figures.push("loaded, CPU s", name, running.process.cpu_s()?);
    figures.push("loaded, MB on disk", name, disk_mb(folder.path()));
    Ok(())
}

fn key(load: &str, connections: usize, what: &str) -> String {
    format!("{load}/{connections:03}/{what}")
}

fn note(figures: &mut Figures, name: &str, load: &str, connections: usize, report: &Report) {
    for (what, figure) in [
        ("rate", report.rate),
        ("p50", report.percentile_ms(0.5)),
        ("p99", report.percentile_ms(0.99)),
    ] {
        figures.push(&key(load, connections, what), name, figure);
    }
}

fn loads() -> impl Iterator<Item = &'static str> {
    let named = Load::ALL.into_iter().map(Load::name);
    named.chain([UNCACHED])
}

const SINGLE: [&str; 7] = [
    "one flush, ms",
    "idle, MB",
    "after the loads, MB",
    "loaded, records/s",
    "loaded, MB resident",
    "loaded, CPU s",
    "loaded, MB on disk",
];

fn print(subjects: &[Box<dyn Subject>], options: &Options, figures: &Figures) {
    println!(
        "{} rounds, {} s a load, {} tenants with {} records of 0.8 KB; medians, and ratios with their spread\n",
        options.rounds, options.seconds, options.tenants, options.records
    );
    for load in loads() {
        for connections in &options.connections {
            let head = format!("{load}, {connections} connections");
            let words = [
                &head,
                "requests/s",
                "p50 ms",
                "p99 ms",
                "CPU s",
                "x pocketbase",
            ];
            let mut rows = vec![words.map(str::to_owned).to_vec()];
            let peer = match load {
                UNCACHED => Load::List.name(),
                same => same,
            };
            let peer = figures.get(&key(peer, *connections, "rate"), PEER);
            for subject in subjects {
                let of = |what| figures.get(&key(load, *connections, what), subject.name());
                if of("rate").median().is_nan() {
                    continue;
                }
                rows.push(vec![
                    subject.name().into(),
                    table::figure(of("rate").median(), 0),
                    table::figure(of("p50").median(), 2),
                    table::figure(of("p99").median(), 2),
                    table::figure(of("cpu").median(), 2),
                    of("rate").over(&peer).spread(),
                ]);
            }
            table::print(&rows);
        }
    }
    let mut rows = vec![vec![String::new()]];
    rows[0].extend(subjects.iter().map(|s| s.name().to_owned()));
    for what in SINGLE {
        let mut row = vec![what.to_owned()];
        row.extend(
            subjects
                .iter()
                .map(|s| table::figure(figures.get(what, s.name()).median(), 1)),
        );
        rows.push(row);
    }
    table::print(&rows);
    for subject in subjects {
        println!("{}: {}", subject.name(), subject.durability());
    }
}

fn report(subjects: &[Box<dyn Subject>], options: &Options, figures: &Figures) -> Value {
    let all = figures.0.iter().map(|(what, of)| {
        let of = of
            .iter()
            .map(|(name, rounds)| (name.clone(), rounds.json()));
        (what.clone(), of.collect::<serde_json::Map<_, _>>().into())
    });
    let durability = subjects.iter().map(|subject| {
        let promise = Value::from(subject.durability());
        (subject.name().to_owned(), promise)
    });
    json!({
        "rounds": options.rounds,
        "seconds": options.seconds,
        "tenants": options.tenants,
        "records": options.records,
        "figures": all.collect::<serde_json::Map<String, Value>>(),
        "durability": durability.collect::<serde_json::Map<_, _>>(),
    })
}
