//! The licences of everything that is in the binary: they ask to be handed on with it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{env, fs};

use crate::Result;
use crate::command::{cargo, output, program};
use crate::place;

/// How files are called in which a package keeps its licence.
const NAMES: [&str; 4] = ["LICENSE", "LICENCE", "COPYING", "NOTICE"];

/// The licence texts of all packages, crates first, then the console's.
pub fn all() -> Result<String> {
    let mut text =
        "What is in the binary besides Tenantry's own code, and its licences.\n".to_owned();
    let told = output(&mut cargo(&[
        "tree",
        "--package",
        "tenantry",
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--format",
        "{p}|{l}",
    ]))?;
    let crates: BTreeSet<&str> = told.lines().collect();
    for line in crates {
        let (package, license) = line.split_once('|').unwrap_or((line, ""));
        let mut words = package.split(' ');
        let (Some(name), Some(version)) = (words.next(), words.next()) else {
            continue;
        };
        let version = version.trim_start_matches('v');
        // Our own, and lines that repeat another's.
        if name == "tenantry" || line.ends_with("(*)") {
            continue;
        }
        let license = license.trim_end_matches(" (*)");
        let folder = source_of(&format!("{name}-{version}"))?;
        append(&mut text, &format!("{name} {version} ({license})"), &folder)?;
    }
    let web = place::web();
    let told = output(&mut program(
        "npm",
        &web,
        &["ls", "--omit=dev", "--all", "--parseable"],
    ))?;
    for folder in told.lines().map(Path::new).filter(|folder| *folder != web) {
        let name = folder
            .strip_prefix(web.join("node_modules"))
            .unwrap_or(folder);
        append(&mut text, &name.to_string_lossy(), folder)?;
    }
    Ok(text)
}

fn append(text: &mut String, title: &str, folder: &Path) -> Result<()> {
    let entries = fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.is_file() && is_licence(path));
    files.sort();
    text.push_str(&format!("\n{}\n{title}\n", "=".repeat(80)));
    for file in files {
        let bytes = fs::read(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        text.push_str(&format!(
            "\n{}\n",
            String::from_utf8_lossy(&bytes).trim_end()
        ));
    }
    Ok(())
}

fn is_licence(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.to_ascii_uppercase();
    NAMES.iter().any(|start| name.starts_with(start))
}

/// Where cargo keeps a crate's source.
fn source_of(name: &str) -> Result<PathBuf> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
    let registries = home.unwrap_or_default().join("registry/src");
    let entries =
        fs::read_dir(&registries).map_err(|e| format!("{}: {e}", registries.display()))?;
    entries
        .flatten()
        .map(|entry| entry.path().join(name))
        .find(|path| path.is_dir())
        .ok_or_else(|| format!("the source of {name} is not in {}", registries.display()))
}
