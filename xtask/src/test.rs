//! Every check and test, in the order in which a mistake is found cheapest.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use crate::Result;
use crate::command::{cargo, program, run, run_counting};
use crate::tally::{Runner, Tally};
use crate::{place, tools, web};

/// What the steps share.
#[derive(Default)]
struct Bench {
    tally: Tally,
    chromium: PathBuf,
    /// `PATH` with the tools that were unpacked for the tests.
    path: OsString,
}

type Step = (&'static str, fn(&mut Bench) -> Result<()>);

const STEPS: [Step; 9] = [
    ("tools", prepare),
    ("format", |_| run(&mut cargo(&["fmt", "--all", "--check"]))),
    ("clippy", clippy),
    ("licences", licences),
    ("web build", |_| web::build()),
    ("web check", |_| web::npm(&["run", "--silent", "check"])),
    ("web tests", web_tests),
    ("rust tests", rust_tests),
    ("browser tests", browser_tests),
];

/// Runs the steps up to the first that fails. The last line is the sum of what
/// the runners counted.
pub fn run_all() -> ExitCode {
    let mut bench = Bench::default();
    let mut times = Vec::new();
    let mut failure = None;
    for (name, step) in STEPS {
        println!("\n== {name}");
        let start = Instant::now();
        let done = step(&mut bench);
        times.push((name, start.elapsed()));
        if let Err(why) = done {
            failure = Some((name, why));
            break;
        }
    }
    print_times(&times);
    let Some((name, why)) = failure else {
        println!("{}", bench.tally);
        return ExitCode::SUCCESS;
    };
    println!("FAILED in the step \"{name}\": {why}");
    println!("{}, stopped at {name}", bench.tally);
    ExitCode::FAILURE
}

fn print_times(times: &[(&str, Duration)]) {
    println!();
    let total = times.iter().map(|(_, time)| *time).sum();
    for (name, time) in times.iter().chain([&("total", total)]) {
        println!("{name:<14}{:>8.1} s", time.as_secs_f64());
    }
    println!();
}

fn prepare(bench: &mut Bench) -> Result<()> {
    web::install()?;
    bench.chromium = tools::need_chromium()?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = tools::find_promtool()?
        .into_iter()
        .chain(std::env::split_paths(&path));
    bench.path = std::env::join_paths(folders).map_err(|e| e.to_string())?;
    Ok(())
}

fn clippy(_: &mut Bench) -> Result<()> {
    run(&mut cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))
}

/// Advisories are left out: they change by the day, and these tests should not.
fn licences(_: &mut Bench) -> Result<()> {
    if tools::find("cargo-deny").is_none() {
        println!("skipped: cargo-deny is not installed (`cargo install cargo-deny --locked`)");
        return Ok(());
    }
    run(&mut cargo(&[
        "deny", "check", "bans", "licenses", "sources",
    ]))
}

fn web_tests(bench: &mut Bench) -> Result<()> {
    let mut command = program("npm", &place::web(), &["run", "--silent", "test"]);
    run_counting(&mut command, Runner::Vitest, &mut bench.tally)
}

fn rust_tests(bench: &mut Bench) -> Result<()> {
    let with_path = |mut command: Command, bench: &Bench| {
        command.env("PATH", &bench.path);
        command
    };
    if tools::find("cargo-nextest").is_none() {
        let all = cargo(&["test", "--workspace", "--no-fail-fast"]);
        let mut all = with_path(all, bench);
        return run_counting(&mut all, Runner::CargoTest, &mut bench.tally);
    }
    let all = cargo(&["nextest", "run", "--workspace", "--no-fail-fast"]);
    let mut all = with_path(all, bench);
    run_counting(&mut all, Runner::Nextest, &mut bench.tally)?;
    // nextest leaves the examples in the documentation to cargo.
    let mut examples = cargo(&["test", "--package", "tenantry", "--doc"]);
    run_counting(&mut examples, Runner::CargoTest, &mut bench.tally)
}

fn browser_tests(bench: &mut Bench) -> Result<()> {
    let mut command = in_browser(bench, &["run", "--silent", "e2e"])?;
    run_counting(&mut command, Runner::Vitest, &mut bench.tally)
}

/// npm with what the browser tests need.
fn in_browser(bench: &Bench, args: &[&str]) -> Result<Command> {
    // With the tests' own features of the dependencies: what they built is used again.
    run(&mut cargo(&["build", "--workspace", "--all-targets"]))?;
    let mut command = program("npm", &place::web(), args);
    command
        .env("PATH", &bench.path)
        .env("CHROMIUM", &bench.chromium)
        .env("TENANTRY_BIN", place::target()?.join("debug/tenantry"));
    Ok(command)
}

/// Writes a picture of every page of the console, in both themes and widths, into
/// `web/screenshots`.
pub fn screenshots() -> Result<()> {
    let mut bench = Bench::default();
    prepare(&mut bench)?;
    web::build()?;
    let folder = place::web().join("screenshots");
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let args = ["run", "--silent", "e2e", "--", "e2e/pages.test.ts"];
    run(in_browser(&bench, &args)?.env("SCREENSHOTS", &folder))?;
    println!("{}", folder.display());
    Ok(())
}
