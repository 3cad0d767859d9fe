//! Programs that are neither cargo's nor npm's: found, or installed from
//! Debian's packages where that can be done without asking anyone.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use crate::Result;
use crate::command::{cargo, program, run};
use crate::place;

const NODE_MIN: (u32, u32) = (20, 19);

/// The path of a program that can be called by its name.
pub fn find(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

/// Whether everything must run: on CI nothing is left out quietly.
pub fn is_strict() -> bool {
    env::var("CI").is_ok_and(|ci| !ci.is_empty() && ci != "false")
}

/// Node.js and npm, new enough for the page's build.
pub fn need_node() -> Result<()> {
    let (major, minor) = NODE_MIN;
    let need = format!("web/ needs Node.js {major}.{minor} or newer with npm");
    if find("npm").is_none() {
        return Err(format!("{need}; npm was not found"));
    }
    let said = output("node", &["--version"]).ok_or(format!("{need}; node was not found"))?;
    let mut numbers = said
        .trim_start_matches('v')
        .split('.')
        .map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(a)), Some(Ok(b))) if (a, b) >= NODE_MIN => Ok(()),
        _ => Err(format!("{need}; found {said}")),
    }
}

/// Chromium for the browser tests: `$CHROMIUM`, the system's, or Debian's package.
pub fn need_chromium() -> Result<PathBuf> {
    if let Some(path) = env::var_os("CHROMIUM") {
        return Ok(path.into());
    }
    if let Some(path) = find("chromium") {
        return Ok(path);
    }
    apt_get(&["install", "--no-install-recommends", "chromium"]).map_err(|why| {
        format!(
            "the browser tests need Chromium: install it (Debian: `apt-get install chromium`) \
             or name one in CHROMIUM; {why}"
        )
    })?;
    find("chromium").ok_or_else(|| "the package chromium brought no chromium".to_owned())
}

/// Whether cargo-deny is there. It takes minutes to build, so that only CI installs it
/// where it is missing.
pub fn find_cargo_deny() -> Result<bool> {
    if find("cargo-deny").is_some() {
        return Ok(true);
    }
    let args = ["install", "--quiet", "--locked", "cargo-deny"];
    if !is_strict() {
        println!(
            "skipped: cargo-deny is not installed (`cargo {}`)",
            args.join(" ")
        );
        return Ok(false);
    }
    run(&mut cargo(&args))?;
    Ok(true)
}

/// The folder of `promtool`, or `None` where it is to be had nowhere. Debian's
/// package would also start a server, so it is unpacked below `target/` only.
pub fn find_promtool() -> Result<Option<PathBuf>> {
    if let Some(path) = find("promtool") {
        return Ok(path.parent().map(Path::to_path_buf));
    }
    let folder = place::target()?.join("tools/prometheus");
    let programs = folder.join("usr/bin");
    if programs.join("promtool").is_file() {
        return Ok(Some(programs));
    }
    match unpack_debian("prometheus", &folder) {
        Ok(()) => Ok(Some(programs)),
        Err(why) => {
            let what = format!("no promtool (Debian: package prometheus): {why}");
            if is_strict() {
                return Err(what);
            }
            println!("{what}; the test of /metrics with it will be skipped");
            Ok(None)
        }
    }
}

fn unpack_debian(package: &str, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let download = || {
        run(&mut program(
            "apt-get",
            folder,
            &["-qq", "download", package],
        ))
    };
    if find("apt-get").is_none() {
        return Err("there is no apt-get".to_owned());
    }
    // A new machine may have no lists of packages yet.
    if download().is_err() {
        apt_get(&["update"])?;
        download()?;
    }
    for entry in fs::read_dir(folder).map_err(|e| e.to_string())?.flatten() {
        let archive = entry.file_name().to_string_lossy().into_owned();
        if archive.ends_with(".deb") {
            run(&mut program(
                "dpkg-deb",
                folder,
                &["--extract", &archive, "."],
            ))?;
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(())
}

/// `apt-get` as root, by `sudo` where that asks for no password.
fn apt_get(args: &[&str]) -> Result<()> {
    if find("apt-get").is_none() {
        return Err("there is no apt-get".to_owned());
    }
    let prefix: &[&str] = if output("id", &["-u"]).as_deref() == Some("0") {
        &[]
    } else if output("sudo", &["-n", "true"]).is_some() {
        &["sudo", "-n"]
    } else {
        return Err("installing it takes root".to_owned());
    };
    let call = |args: &[&str]| {
        let fixed = [
            "env",
            "DEBIAN_FRONTEND=noninteractive",
            "apt-get",
            "-qq",
            "-y",
        ];
        let words = [prefix, &fixed, args].concat();
        run(&mut program(words[0], place::root(), &words[1..]))
    };
    if args != ["update"] {
        call(&["update"])?;
    }
    call(args)
}

/// What a program printed, where it succeeded.
fn output(name: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(name)
        .args(args)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(text)
}
