//! `tenantry doctor`: what an operator would look at one after the other when
//! something is odd, or before the first customer comes. It changes nothing; it works
//! with the server running and without it.

mod backup;
mod disk;
mod finding;
mod machine;
mod server;

use std::process::ExitCode;

use anyhow::Result;

use self::finding::{Finding, Status, as_json, as_text};
use super::{Context, FAILED, WrongConfig};
use crate::base::owner;
use crate::config::{Config, Origin};

/// Looks at everything, tells it, and answers whether anything failed.
pub fn run(context: &Context) -> Result<ExitCode> {
    let findings = match context.config() {
        Ok(config) => of(&config),
        Err(error) => unreadable(error)?,
    };
    let json = as_json(&findings);
    context.out.result(&json, || as_text(&findings))?;
    let failed = findings.iter().any(|f| f.status == Status::Fail);
    Ok(ExitCode::from(if failed { FAILED } else { 0 }))
}

/// Everything wrong with the configuration; without one there is nothing to look at.
fn unreadable(error: anyhow::Error) -> Result<Vec<Finding>> {
    let WrongConfig(problems) = error.downcast::<WrongConfig>()?;
    let advice = "set it right; `tenantry init` in an empty folder writes a file with every key and its default";
    let tell = |problem: &crate::config::ConfigProblem| {
        Finding::fail("configuration", problem.to_string(), advice)
    };
    Ok(problems.iter().map(tell).collect())
}

fn of(config: &Config) -> Vec<Finding> {
    let mut findings = vec![configuration(config)];
    // The server acts as the folder's owner: what it can do is to be seen.
    if let Err(error) = owner::act_as_owner(&config.data) {
        let advice = "run it as the data folder's owner, or as root";
        findings.push(Finding::fail("permissions", error.to_string(), advice));
        return findings;
    }
    let permissions = server::permissions(&config.data);
    let there = permissions.status != Status::Fail;
    findings.push(permissions);
    if !there {
        findings.push(server::port(config, None));
        findings.push(server::certificate(config));
        return findings;
    }
    let (running, finding) = server::running(config);
    findings.push(finding);
    findings.extend([
        server::port(config, running.as_ref()),
        server::certificate(config),
        disk::space(&config.data),
        disk::mount(&config.data),
        disk::sync_speed(&config.data),
        machine::clock(config),
        machine::open_files(config, running.and_then(|server| server.pid)),
        server::store(config),
        backup::backup(config),
    ]);
    findings
}

fn configuration(config: &Config) -> Finding {
    let set = config
        .settings
        .iter()
        .filter(|s| s.origin != Origin::Default);
    let from = match &config.file {
        Some(file) => file.display().to_string(),
        None => "no file".to_owned(),
    };
    Finding::ok(
        "configuration",
        format!(
            "{from}; {} of {} settings are not the defaults",
            set.count(),
            config.settings.len()
        ),
    )
}
