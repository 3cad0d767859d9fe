//! What is handed to those who install: the stripped binary with the console in it and
//! what belongs beside it, as a folder and as an archive with its checksum. The same
//! sources and tools make the same archive.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use crate::Result;
use crate::command::{cargo, output, program, run};
use crate::{notices, place, web};

/// Files that go along as they are, and the folder that they go to.
const FILES: [(&str, &str); 7] = [
    ("README.md", ""),
    ("CHANGELOG.md", ""),
    ("LICENSE", ""),
    ("LICENSE-APACHE", ""),
    ("LICENSE-MIT", ""),
    ("config.toml", ""),
    ("systemd/tenantry.service", "systemd"),
];
/// A shell's name and what its completion file is called.
const SHELLS: [(&str, &str); 3] = [
    ("bash", "tenantry"),
    ("zsh", "_tenantry"),
    ("fish", "tenantry.fish"),
];

/// Builds everything into `target/dist` and tells the sizes.
pub fn build() -> Result<()> {
    web::build()?;
    // Only the program itself is linked anew: the release profile keeps its symbols.
    run(&mut cargo(&[
        "rustc",
        "--release",
        "--package",
        "tenantry",
        "--bin",
        "tenantry",
        "--",
        "-C",
        "strip=symbols",
    ]))?;
    let binary = place::target()?.join("release/tenantry");
    let version = of_binary(&binary, &["--version"])?;
    let version = version
        .trim()
        .rsplit(' ')
        .next()
        .unwrap_or_default()
        .to_owned();
    let name = format!("tenantry-{version}-{}", host()?);
    let dist = place::target()?.join("dist");
    let folder = dist.join(&name);
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    }
    gather(&binary, &folder)?;
    let archive = archive(&dist, &name)?;
    for (what, path) in [("binary", folder.join("tenantry")), ("archive", archive)] {
        let bytes = fs::metadata(&path).map_err(|e| e.to_string())?.len();
        let mib = bytes as f64 / f64::from(1 << 20);
        println!("{what:8}{mib:>8.1} MiB  {}", path.display());
    }
    Ok(())
}

fn gather(binary: &Path, folder: &Path) -> Result<()> {
    copy(binary, &folder.join("tenantry"))?;
    let root = place::root();
    for (file, below) in FILES {
        let name = Path::new(file).file_name().unwrap_or_default();
        copy(&root.join(file), &folder.join(below).join(name))?;
    }
    for entry in fs::read_dir(root.join("docs"))
        .map_err(|e| format!("docs: {e}"))?
        .flatten()
    {
        if entry.path().extension().is_some_and(|e| e == "md") {
            copy(&entry.path(), &folder.join("docs").join(entry.file_name()))?;
        }
    }
    write(
        &folder.join("man/tenantry.1"),
        &of_binary(binary, &["man"])?,
    )?;
    for (shell, file) in SHELLS {
        let script = of_binary(binary, &["completions", shell])?;
        write(&folder.join("completions").join(file), &script)?;
    }
    write(&folder.join("THIRD-PARTY-LICENSES.txt"), &notices::all()?)
}

/// The archive and, beside it, its checksum as `sha256sum --check` reads it.
fn archive(dist: &Path, name: &str) -> Result<PathBuf> {
    let file = format!("{name}.tar.gz");
    let time = format!("--mtime=@{}", source_time()?);
    run(&mut program(
        "tar",
        dist,
        &[
            "--sort=name",
            "--owner=0",
            "--group=0",
            "--numeric-owner",
            "--mode=go=rX,u+rw",
            &time,
            "--use-compress-program=gzip -9n",
            "-cf",
            &file,
            name,
        ],
    ))?;
    let sum = output(&mut program("sha256sum", dist, &[&file]))?;
    write(&dist.join(format!("{file}.sha256")), &sum)?;
    Ok(dist.join(file))
}

/// The time that files in the archive have: `SOURCE_DATE_EPOCH`, or that of the commit.
fn source_time() -> Result<String> {
    match env::var("SOURCE_DATE_EPOCH") {
        Ok(time) => Ok(time),
        Err(_) => {
            let args = ["log", "-1", "--format=%ct"];
            output(&mut program("git", place::root(), &args)).map(|time| time.trim().to_owned())
        }
    }
}

fn host() -> Result<String> {
    let told = output(&mut program("rustc", place::root(), &["-vV"]))?;
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned)
        .ok_or_else(|| "rustc names no host".to_owned())
}

fn of_binary(binary: &Path, args: &[&str]) -> Result<String> {
    let mut command = Command::new(binary);
    output(command.args(args))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    make_folder_of(to)?;
    let copied = fs::copy(from, to);
    copied
        .map(drop)
        .map_err(|e| format!("{}: {e}", from.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    make_folder_of(path)?;
    fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
}

fn make_folder_of(path: &Path) -> Result<()> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))
}
