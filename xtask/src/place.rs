//! Where things are.

use std::path::{Path, PathBuf};

use crate::Result;

/// The repository's root: the folder above this package.
pub fn root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

/// The folder of the page's sources.
pub fn web() -> PathBuf {
    root().join("web")
}

/// The folder that cargo builds into, wherever a setting put it: this program
/// stands two levels below it.
pub fn target() -> Result<PathBuf> {
    let program = std::env::current_exe().map_err(|e| format!("where am I: {e}"))?;
    let target = program.ancestors().nth(2);
    target
        .map(Path::to_path_buf)
        .ok_or_else(|| format!("{} is not in a target folder", program.display()))
}
