//! Builds what is to be crashed, as the tests build it, and what crashes it.

use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::Result;
use crate::command::{cargo, run};
use crate::place;

/// Builds and then becomes the program.
pub fn start(args: &[String]) -> Result<()> {
    let built = place::target()?.join("debug");
    if args.iter().any(|arg| arg == "--unsynced") {
        run(&mut cargo(&[
            "build",
            "--package",
            "tenantry",
            "--features",
            "unsynced",
        ]))?;
        // The next build puts the real one in its place.
        let (from, to) = (built.join("tenantry"), built.join("tenantry-unsynced"));
        std::fs::copy(&from, &to).map_err(|why| format!("{}: {why}", to.display()))?;
    }
    run(&mut cargo(&[
        "build",
        "--package",
        "tenantry",
        "--package",
        "tenantry-bench",
    ]))?;
    let mut torture = Command::new(built.join("tenantry-bench"));
    let why = torture.arg("torture").args(args).exec();
    Err(format!(
        "{}: {why}",
        torture.get_program().to_string_lossy()
    ))
}
