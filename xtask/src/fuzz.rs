//! Long runs of the fuzzer: `cargo fuzz` on the targets of `fuzz/`, one after another.

use std::fs;

use crate::Result;
use crate::command::{program, run};
use crate::{place, tools};

/// What there is to fuzz; `fuzz/fuzz_targets` has a file for each.
const TARGETS: [&str; 5] = ["keys", "cursors", "queries", "app_files", "import_rows"];
const SECONDS_USUAL: &str = "600";

/// `cargo xtask fuzz [TARGET|all] [SECONDS]`
pub fn start(args: &[String]) -> Result<()> {
    let wanted = args.first().map_or("all", String::as_str);
    let seconds = args.get(1).map_or(SECONDS_USUAL, String::as_str);
    if wanted != "all" && !TARGETS.contains(&wanted) || seconds.parse::<u32>().is_err() {
        return Err(format!(
            "usage: cargo xtask fuzz [all|{}] [SECONDS]",
            TARGETS.join("|")
        ));
    }
    if tools::find("cargo-fuzz").is_none() {
        return Err("`cargo install cargo-fuzz --locked` first".to_owned());
    }
    // The same versions of everything as the server has.
    let (ours, its) = (
        place::root().join("Cargo.lock"),
        place::root().join("fuzz/Cargo.lock"),
    );
    fs::copy(&ours, &its).map_err(|e| format!("{}: {e}", its.display()))?;
    for target in TARGETS
        .iter()
        .filter(|name| wanted == "all" || **name == wanted)
    {
        fuzz(target, seconds)?;
    }
    Ok(())
}

fn fuzz(target: &str, seconds: &str) -> Result<()> {
    println!("\n== {target}, {seconds} s");
    // What is found stays out of the repository; the kept corpus is where it begins.
    let found = place::target()?.join("fuzz").join(target);
    fs::create_dir_all(&found).map_err(|e| format!("{}: {e}", found.display()))?;
    let kept = format!("fuzz/corpus/{target}");
    let (found, time) = (
        found.to_string_lossy(),
        format!("-max_total_time={seconds}"),
    );
    // Without a sanitizer it builds with the stable compiler; the code is all safe.
    let args = [
        "fuzz",
        "run",
        "-s",
        "none",
        target,
        &found,
        &kept,
        "--",
        &time,
        "-timeout=10",
        "-rss_limit_mb=2048",
        "-max_len=4096",
        "-print_final_stats=1",
    ];
    run(&mut program("cargo", place::root(), &args))
}
