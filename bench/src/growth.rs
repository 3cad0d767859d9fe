//! Tenantry beside itself: one tenant as it grows, and many tenants. Nothing may
//! become slower because there is more of it.

use std::{rc::Rc, time::Duration};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::{
    load::{Report, runtime},
    process::disk_mb,
    subject::{Running, Subject, Tenantry},
    table::{self, Rounds},
    workload::{self, Ids, Load},
};

/// `tenantry-bench growth`
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Records of the one tenant, ascending
    #[arg(long, value_delimiter = ',', default_values_t = [100, 10_000, 100_000, 1_000_000])]
    sizes: Vec<usize>,
    /// Tenants of the last measurement; 0 leaves it out
    #[arg(long, default_value_t = 5_000)]
    tenants: usize,
    /// Records of each of those tenants
    #[arg(long, default_value_t = 200)]
    records: usize,
    /// Rounds over all loads at each size
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of each load in a round
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Connections
    #[arg(long, default_value_t = 1)]
    connections: usize,
    /// Engines
    #[arg(long, value_delimiter = ',', default_values_t = ["sled".to_owned(), "fjall".to_owned()])]
    engines: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const LOADS: [Load; 4] = [Load::Get, Load::List, Load::Update, Load::Create];

/// A store of one size, running.
struct Size {
    name: String,
    running: Running,
    ids: Ids,
    folder: tempfile::TempDir,
    resident_mb: f64,
    /// p50 and p99 of each load.
    figures: Vec<(Rounds, Rounds)>,
}

/// Runs everything and prints it.
pub fn run(options: &Options) -> Result<()> {
    let mut all = serde_json::Map::new();
    for engine in &options.engines {
        let subject = Tenantry::new(engine)?;
        let mut sizes = Vec::new();
        for records in &options.sizes {
            sizes.push(filled(&subject, 1, *records)?);
        }
        if options.tenants > 0 {
            let records = options.tenants * options.records;
            sizes.push(filled(&subject, options.tenants, records)?);
        }
        // What makes a store larger comes when all else is measured.
        let (creating, others): (Vec<_>, _) =
            (0..LOADS.len()).partition(|load| LOADS[*load] == Load::Create);
        for loads in [others, creating] {
            // Sizes take turns, so that what the machine does meanwhile meets them all.
            for round in 0..options.rounds {
                eprintln!("{engine}: round {} of {}", round + 1, options.rounds);
                for at in 0..sizes.len() {
                    let at = (at + round) % sizes.len();
                    measure(&mut sizes[at], &loads, options)?;
                }
            }
        }
        match options.json {
            true => drop(all.insert(engine.clone(), report(&sizes))),
            false => print(engine, &sizes),
        }
    }
    if options.json {
        println!("{}", Value::Object(all));
    }
    Ok(())
}

fn filled(subject: &Tenantry, tenants: usize, records: usize) -> Result<Size> {
    eprintln!("{}: {tenants} tenants, {records} records", subject.name());
    let folder = tempfile::tempdir()?;
    let running = subject.start(folder.path(), tenants)?;
    let filled = workload::fill(&running, tenants, records);
    let (ids, _) = runtime()?.block_on(filled).context("filling")?;
    Ok(Size {
        name: match tenants {
            1 => format!("{records} records"),
            _ => format!("{tenants} tenants, {records} records"),
        },
        resident_mb: running.process.resident_mb()?,
        running,
        ids: Rc::clone(&ids),
        folder,
        figures: vec![Default::default(); LOADS.len()],
    })
}

fn measure(size: &mut Size, loads: &[usize], options: &Options) -> Result<()> {
    let time = Duration::from_secs_f64(options.seconds);
    for load in loads {
        let kind = LOADS[*load];
        let run = workload::run(&size.running, kind, &size.ids, options.connections, time);
        let report: Report = runtime()?.block_on(run)?;
        let (p50, p99) = &mut size.figures[*load];
        p50.push(report.percentile_ms(0.5));
        p99.push(report.percentile_ms(0.99));
    }
    Ok(())
}

fn print(engine: &str, sizes: &[Size]) {
    for (at, load) in LOADS.iter().enumerate() {
        let head = format!("tenantry/{engine}, {}", load.name());
        let words = [
            &head,
            "p50 ms",
            "p99 ms",
            "p50 x the smallest",
            "p99 x the smallest",
        ];
        let mut rows = vec![words.map(str::to_owned).to_vec()];
        for size in sizes {
            let (p50, p99) = &size.figures[at];
            let (first_p50, first_p99) = &sizes[0].figures[at];
            rows.push(vec![
                size.name.clone(),
                format!("{:.3}", p50.median()),
                format!("{:.3}", p99.median()),
                p50.over(first_p50).spread(),
                p99.over(first_p99).spread(),
            ]);
        }
        table::print(&rows);
    }
    let words = ["", "MB resident, filled", "MB resident, now", "MB on disk"];
    let mut rows = vec![words.map(str::to_owned).to_vec()];
    for size in sizes {
        let now = size.running.process.resident_mb().unwrap_or(f64::NAN);
        rows.push(vec![
            size.name.clone(),
            format!("{:.0}", size.resident_mb),
            format!("{now:.0}"),
            format!("{:.0}", disk_mb(size.folder.path())),
        ]);
    }
    table::print(&rows);
}

fn report(sizes: &[Size]) -> Value {
    let sizes = sizes.iter().map(|size| {
        let loads = LOADS.iter().zip(&size.figures).map(|(load, (p50, p99))| {
            let figures = json!({"p50_ms": p50.json(), "p99_ms": p99.json()});
            (load.name().to_owned(), figures)
        });
        json!({
            "size": size.name,
            "resident_mb": size.resident_mb,
            "disk_mb": disk_mb(size.folder.path()),
            "loads": loads.collect::<serde_json::Map<_, _>>(),
        })
    });
    sizes.collect()
}
