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

const STEPS: [Step; 10] = [
    ("tools", prepare),
    ("format", |_| run(&mut cargo(&["fmt", "--all", "--check"]))),
    ("clippy", clippy),
    ("licences", licences),
    ("unit file", unit_file),
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

/// Advisories change by the day, and these tests should not: they are told, where the
/// database can be reached, and fail nothing.
fn licences(_: &mut Bench) -> Result<()> {
    if !tools::find_cargo_deny()? {
        return Ok(());
    }
    run(&mut cargo(&[
        "deny", "check", "bans", "licenses", "sources",
    ]))?;
    let advisories = run(&mut cargo(&["deny", "check", "advisories"]));
    if let Err(why) = advisories {
        println!("advisories: {why}; look above, it is no failure of this test");
    }
    Ok(())
}

/// What systemd says of the unit.
fn unit_file(_: &mut Bench) -> Result<()> {
    if tools::find("systemd-analyze").is_none() {
        println!("skipped: systemd-analyze is not installed (Debian: package systemd)");
        return Ok(());
    }
    // `verify` looks for the program where the unit has it installed.
    let folder = place::target()?.join("unit");
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let (unit, copy) = ("systemd/tenantry.service", folder.join("tenantry.service"));
    let text = std::fs::read_to_string(place::root().join(unit)).map_err(|e| e.to_string())?;
    let text = text.replace("/usr/local/bin/tenantry", "/bin/true");
    std::fs::write(&copy, text).map_err(|e| e.to_string())?;
    let copy = copy.to_string_lossy();
    let analyze = |args: &[&str]| program("systemd-analyze", place::root(), args);
    run(&mut analyze(&["verify", "--man=no", &copy]))?;
    // Ten times the exposure, which may be 2.0 at most.
    let security = [
        "security",
        "--offline=true",
        "--no-pager",
        "--threshold=20",
        unit,
    ];
    run(&mut analyze(&security))
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
