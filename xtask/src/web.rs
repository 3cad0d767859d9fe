//! The page: npm's packages, then Vite into `web/dist`.

use std::path::{Path, PathBuf};
use std::time::SystemTime;
use std::{fs, io};

use crate::Result;
use crate::command::{program, run};
use crate::{place, tools};

/// What the page is made of, next to `web/src`.
const INPUTS: [&str; 8] = [
    "src",
    "index.html",
    "package.json",
    "package-lock.json",
    "vite.config.ts",
    "svelte.config.js",
    "openapi.json",
    "../Cargo.toml",
];
/// The lock file that the installed packages were made from.
const STAMP: &str = "node_modules/.installed-lock.json";

/// Builds the page where it is older than what it is made of.
pub fn build() -> Result<()> {
    install()?;
    let web = place::web();
    if is_fresh(&web) {
        println!("web/dist is up to date");
        return Ok(());
    }
    npm(&["run", "--silent", "build"])
}

/// `npm ci`, unless the installed packages come from this very lock file.
pub fn install() -> Result<()> {
    let web = place::web();
    let read = |name: &str| fs::read(web.join(name));
    let lock = read("package-lock.json").map_err(|e| format!("web/package-lock.json: {e}"))?;
    if read(STAMP).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    tools::need_node()?;
    // None of the packages needs its install script, and one that comes along needs it least.
    npm(&["ci", "--ignore-scripts"])?;
    fs::write(web.join(STAMP), lock).map_err(|e| format!("web/{STAMP}: {e}"))
}

/// Runs npm in `web/`.
pub fn npm(args: &[&str]) -> Result<()> {
    run(&mut program("npm", &place::web(), args))
}

fn is_fresh(web: &Path) -> bool {
    let built = fs::metadata(web.join("dist/index.html")).and_then(|file| file.modified());
    let changed = INPUTS
        .iter()
        .map(|name| newest(&web.join(name)))
        .collect::<io::Result<Vec<_>>>();
    match (built, changed) {
        (Ok(built), Ok(changed)) => changed.iter().all(|at| *at < built),
        _ => false,
    }
}

/// The latest change of a file, or of a folder and everything below it.
fn newest(path: &Path) -> io::Result<SystemTime> {
    let own = fs::metadata(path)?;
    let mut latest = own.modified()?;
    if own.is_dir() {
        let below: Vec<PathBuf> = fs::read_dir(path)?
            .map(|entry| entry.map(|e| e.path()))
            .collect::<io::Result<_>>()?;
        for path in below {
            latest = latest.max(newest(&path)?);
        }
    }
    Ok(latest)
}
