//! slowhttptest in its three modes against a server, and how others fare meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::Result;
use crate::command::{program, run};
use crate::instance::{Instance, exchange};
use crate::{place, tools};

/// Connections that are held.
const CONNECTIONS: &str = "1000";
/// How long each mode goes on, in seconds.
const SECONDS: &str = "30";
/// A request of the others waits no longer.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// The memory that a mode may take on top, in KiB.
const MEMORY_MAX_KIB: u64 = 128 << 10;

/// A mode: its name and its arguments.
const MODES: [(&str, &[&str]); 3] = [
    ("slow heads", &["-H", "-i", "2", "-x", "24"]),
    (
        "slow bodies",
        &["-B", "-i", "2", "-s", "8192", "-x", "10", "-t", "POST"],
    ),
    (
        "slow reading",
        &[
            "-X", "-n", "2", "-z", "32", "-w", "512", "-y", "1024", "-k", "3",
        ],
    ),
];

/// What others saw.
struct Seen {
    times: Vec<Duration>,
    failed: usize,
    memory_kib: u64,
}

/// `cargo xtask slow`
pub fn start() -> Result<()> {
    if tools::find("slowhttptest").is_none() {
        return Err("install slowhttptest (Debian: `apt-get install slowhttptest`)".to_owned());
    }
    let server = Instance::start("slow")?;
    let mut wrong = Vec::new();
    println!(
        "{:<14}{:>9}{:>8}{:>10}{:>10}{:>10}{:>12}",
        "", "served", "failed", "p50 ms", "p99 ms", "max ms", "memory MiB"
    );
    watched(&server, "nobody", || {
        std::thread::sleep(Duration::from_secs(5));
        Ok(())
    })?;
    for (name, args) in MODES {
        let before = server.memory_kib();
        let seen = watched(&server, name, || attack(&server, args))?;
        let grown = seen.memory_kib.saturating_sub(before);
        let late = seen.times.iter().any(|time| *time > WAIT_MAX);
        if seen.failed > 0 || late || grown > MEMORY_MAX_KIB {
            wrong.push(format!(
                "{name}: others were not served, or {grown} KiB more"
            ));
        }
    }
    server.finish()?;
    match wrong.is_empty() {
        true => Ok(()),
        false => Err(wrong.join("; ")),
    }
}

fn attack(server: &Instance, args: &[&str]) -> Result<()> {
    let url = format!("http://{}/openapi.json", server.address);
    let common = [
        "-c",
        CONNECTIONS,
        "-r",
        "200",
        "-l",
        SECONDS,
        "-p",
        "5",
        "-u",
        &url,
    ];
    let mut command = program("slowhttptest", &place::target()?, &[args, &common].concat());
    run(command.stdout(std::process::Stdio::null()))
}

/// Sends requests one after another while `during` goes on, and prints how they fared.
fn watched(server: &Instance, name: &str, during: impl FnOnce() -> Result<()>) -> Result<Seen> {
    let over = AtomicBool::new(false);
    let (done, mut seen) = std::thread::scope(|scope| {
        let watching = scope.spawn(|| watch(server, &over));
        let done = during();
        over.store(true, Ordering::Relaxed);
        (done, watching.join())
    });
    let mut seen = match &mut seen {
        Ok(seen) => std::mem::replace(
            seen,
            Seen {
                times: Vec::new(),
                failed: 0,
                memory_kib: 0,
            },
        ),
        Err(_) => return Err("the watching broke off".to_owned()),
    };
    done?;
    seen.times.sort_unstable();
    let at = |share: usize| {
        let place = (seen.times.len() * share / 100).min(seen.times.len().saturating_sub(1));
        seen.times
            .get(place)
            .copied()
            .unwrap_or_default()
            .as_secs_f64()
            * 1000.0
    };
    println!(
        "{name:<14}{:>9}{:>8}{:>10.1}{:>10.1}{:>10.1}{:>12.0}",
        seen.times.len(),
        seen.failed,
        at(50),
        at(99),
        at(100),
        seen.memory_kib as f64 / 1024.0
    );
    Ok(seen)
}

fn watch(server: &Instance, over: &AtomicBool) -> Seen {
    let request = format!(
        "GET /v1/tenants/demo/records/ticket HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {}\r\n\r\n",
        server.key
    );
    let mut seen = Seen {
        times: Vec::new(),
        failed: 0,
        memory_kib: 0,
    };
    while !over.load(Ordering::Relaxed) {
        let started = Instant::now();
        match exchange(&server.address, &request) {
            Ok(answer) if answer.starts_with("HTTP/1.1 200") => seen.times.push(started.elapsed()),
            _ => seen.failed += 1,
        }
        seen.memory_kib = seen.memory_kib.max(server.memory_kib());
        std::thread::sleep(Duration::from_millis(20));
    }
    seen
}
