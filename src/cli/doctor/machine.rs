//! The machine: its clock, and how many files the server may have open.

use std::fs;
use std::process::{Command, Stdio};

use chrono::Utc;

use super::disk::newest_change_s;
use super::finding::Finding;
use crate::config::Config;

/// 2026-01-01: before this version was made.
const EARLIEST_S: i64 = 1_767_225_600;
/// A file may be so much newer than the clock.
const AHEAD_S: i64 = 60;
/// What the engine, the log and upkeep open beside connections.
const FILES_BESIDE: u64 = 1_024;

/// Whether the time of day is right, as far as this machine knows.
pub fn clock(config: &Config) -> Finding {
    const CHECK: &str = "clock";
    const SYNC: &str = "let the clock be set over the network (Debian: `apt-get install chrony`)";
    let now = Utc::now().timestamp();
    let shown = Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    if now < EARLIEST_S {
        return Finding::fail(CHECK, format!("it says {shown}"), SYNC);
    }
    let newest = newest_change_s(&config.data).unwrap_or(now);
    if newest > now + AHEAD_S {
        let found = format!(
            "it says {shown}, {} s before the newest change in the data folder",
            newest - now
        );
        let advice = "the clock was set back; set it right before the server starts: jobs, sessions and expiries go by it";
        return Finding::fail(CHECK, found, advice);
    }
    match synchronised() {
        Some(true) => Finding::ok(CHECK, format!("{shown}, set over the network")),
        Some(false) => Finding::warn(CHECK, format!("{shown}, set by nobody"), SYNC),
        None => Finding::ok(CHECK, format!("{shown}; who sets it is not known here")),
    }
}

/// What systemd knows of the kernel's clock, whichever program sets it.
fn synchronised() -> Option<bool> {
    let output = Command::new("timedatectl")
        .args(["show", "--property=NTPSynchronized", "--value"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    match String::from_utf8_lossy(&output.stdout).trim() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

/// Whether every connection finds a file descriptor: of the running server, or of
/// one that would be started here.
pub fn open_files(config: &Config, server: Option<u32>) -> Finding {
    let of_server = server.and_then(limit_of);
    let limit = of_server.or_else(|| {
        let own = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        Some(own.current.unwrap_or(u64::MAX))
    });
    let limit = limit.unwrap_or(u64::MAX);
    let whose = match of_server {
        Some(_) => "the server",
        None => "a server started here",
    };
    judge_files(limit, whose, config.server.connections_max as u64)
}

fn judge_files(limit: u64, whose: &str, connections: u64) -> Finding {
    const CHECK: &str = "open files";
    let need = connections + FILES_BESIDE;
    let found =
        format!("{whose} may have {limit}; {connections} connections and the store want {need}");
    if limit >= need {
        return Finding::ok(CHECK, found);
    }
    let advice = format!(
        "raise it (systemd: LimitNOFILE={need}; a shell: `ulimit -n {need}`) or lower server.connections_max"
    );
    match limit < FILES_BESIDE {
        true => Finding::fail(CHECK, found, advice),
        false => Finding::warn(CHECK, found, advice),
    }
}

fn limit_of(pid: u32) -> Option<u64> {
    soft_limit(&fs::read_to_string(format!("/proc/{pid}/limits")).ok()?)
}

/// `Max open files            1024                 524288               files`
fn soft_limit(limits: &str) -> Option<u64> {
    let line = limits
        .lines()
        .find_map(|l| l.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::super::finding::Status;
    use super::*;

    #[test]
    fn the_limit_is_held_against_the_connections() {
        let limits = fs::read_to_string("/proc/self/limits").unwrap();
        let own = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        assert_eq!(soft_limit(&limits), Some(own.unwrap_or(u64::MAX)));
        for (limit, status) in [
            (256, Status::Fail),
            (4_096, Status::Warn),
            (5_120, Status::Ok),
        ] {
            assert_eq!(judge_files(limit, "x", 4_096).status, status, "{limit}");
        }
    }
}
