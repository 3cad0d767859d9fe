//! System calls of a running process that fail, by strace.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

const PATIENCE: Duration = Duration::from_secs(10);

/// An strace that is attached; detaches where it goes out of scope.
pub struct Injector(Child);

impl Injector {
    /// Has these calls of the process fail on the files below `folder`, from now on.
    pub fn attach(pid: u32, what: &str, folder: &Path) -> Result<Self> {
        let (calls, _) = what.split_once(':').context("what fails, and how")?;
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-o", "/dev/null", "-p", &pid.to_string()]);
        strace.args([
            "-e",
            &format!("trace={calls}"),
            "-e",
            &format!("inject={what}"),
        ]);
        for file in files(folder)? {
            strace.arg("-P").arg(file);
        }
        let strace = strace.stdin(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut attached = Self(strace.context("strace; this needs it installed")?);
        let began = Instant::now();
        while !is_traced(pid)? {
            if let Some(status) = attached.0.try_wait()? {
                bail!("strace ended with {status}; may this process be traced?");
            }
            if began.elapsed() > PATIENCE {
                bail!("strace does not attach");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(attached)
    }
}

/// Whether every thread has a tracer.
fn is_traced(pid: u32) -> Result<bool> {
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end meanwhile.
        let Ok(status) = fs::read_to_string(task?.path().join("status")) else {
            continue;
        };
        if status.lines().any(|line| line == "TracerPid:\t0") {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The regular files below a folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => all.extend(files(&entry.path())?),
            false => all.push(entry.path()),
        }
    }
    Ok(all)
}

impl Drop for Injector {
    fn drop(&mut self) {
        // SIGTERM has strace detach; SIGKILL would as well, the threads go on.
        let pid = self.0.id().to_string();
        let _ = Command::new("kill").args(["-s", "TERM", &pid]).status();
        let _ = self.0.wait();
    }
}
