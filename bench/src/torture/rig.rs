//! A server under load, and the comparison of what it has with what it acknowledged.

use std::{path::Path, process::Command, time::Duration};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::{
    ledger::{Known, Name, content, number_of},
    writers::Shared,
};
use crate::{
    installed::Bench,
    load::runtime,
    process::Process,
    subject::{Setup, Tenantry, text},
};

pub const TENANTS: usize = 3;

/// A server, and those who write to it.
pub struct Rig {
    pub bench: Bench,
    pub shared: Shared,
}

impl Rig {
    /// Starts one in a fresh folder within `parent`.
    pub fn new(tenantry: Tenantry, app: &str, parent: &Path, env: &[(&str, &str)]) -> Result<Self> {
        let bench = Bench::within(tenantry, app, parent, env)?;
        let names = || (0..TENANTS).map(|tenant| format!("t{tenant}"));
        bench.tenants(names())?;
        let key = |name: String| {
            let path = format!("/v1/tenants/{name}/keys");
            let made = bench.ask("POST", &path, r#"{"scopes":["read","write"]}"#)?;
            text(&made["key"])
        };
        let keys = names().map(key).collect::<Result<_>>()?;
        Ok(Self {
            shared: Shared::new(keys),
            bench,
        })
    }

    pub fn process(&mut self) -> Result<&mut Process> {
        self.bench.process.as_mut().context("no server")
    }

    /// Writes so many records besides those of the writers, a hundred at once.
    pub fn fill(&mut self, records: usize) -> Result<()> {
        let mut setup = self.bench.setup()?;
        let mut ledger = self.shared.ledger.borrow_mut();
        for first in (0..records).step_by(100) {
            let numbers = first..records.min(first + 100);
            let put = |n: usize| {
                let data = content(n as u64);
                json!({"op": "put", "entity": "ticket", "id": format!("f{n:06}"), "data": data})
            };
            let operations: Vec<Value> = numbers.clone().map(put).collect();
            let body = json!({ "operations": operations }).to_string();
            setup.json("POST", "/v1/tenants/t0/batch", &self.shared.keys[0], &body)?;
            for n in numbers {
                ledger.acknowledge(&(0, format!("f{n:06}")), Some(n as u64));
            }
        }
        Ok(())
    }

    /// Loads the server for a time and then does something to it; gives the writes
    /// that were acknowledged. `meanwhile` runs beside the writers.
    pub fn load(
        &mut self,
        time: Duration,
        then: impl FnOnce(&mut Process) -> Result<()>,
    ) -> Result<u64> {
        self.load_beside(time, std::future::pending(), then)
    }

    /// As [`Rig::load`], with something else going on beside the writers.
    pub fn load_beside(
        &mut self,
        time: Duration,
        beside: impl Future<Output = ()>,
        then: impl FnOnce(&mut Process) -> Result<()>,
    ) -> Result<u64> {
        let before = self.shared.ledger.borrow().acknowledged;
        let shared = self.shared.clone();
        let process = self.process()?;
        let address = process.address;
        let mut done = Ok(());
        let end = async {
            // Only the time ends it.
            let _ = tokio::time::timeout(time, async {
                beside.await;
                std::future::pending::<()>().await;
            })
            .await;
            done = then(process);
        };
        runtime()?.block_on(shared.write(address, end));
        done?;
        Ok(self.shared.ledger.borrow().acknowledged - before)
    }

    /// Everything that is wrong: a record that is not as it was acknowledged, a count
    /// that is not that of the records, whatever `store check` finds.
    pub fn wrong(&mut self) -> Result<Vec<String>> {
        let found = self.found()?;
        let mut wrong: Vec<String> = found.iter().filter_map(Found::wrong).collect();
        for Found { name, state, .. } in &found {
            if let Ok(state) = state {
                self.shared.ledger.borrow_mut().found(name, *state);
            }
        }
        let mut setup = self.bench.setup()?;
        for tenant in 0..TENANTS {
            let path = format!("/v1/tenants/t{tenant}/records/ticket?count=true&limit=1");
            let (status, page) = setup.ask("GET", &path, &self.shared.keys[tenant], "")?;
            let living = self.shared.ledger.borrow().living(tenant);
            if status != 200 || page["count"] != living {
                wrong.push(format!(
                    "{living} records of t{tenant} were found, the list says {page}"
                ));
            }
        }
        wrong.extend(self.check()?);
        Ok(wrong)
    }

    /// Asks for every record that was ever written.
    pub fn found(&self) -> Result<Vec<Found>> {
        let mut setup = self.bench.setup()?;
        let ledger = self.shared.ledger.borrow();
        let ask = |(name, known): (&Name, &Known)| {
            Ok(Found {
                name: name.clone(),
                known: known.clone(),
                state: state_of(&mut setup, &self.shared.keys[name.0], name)?,
            })
        };
        ledger.records().map(ask).collect()
    }

    /// The status and the body of a `GET` that needs no credentials.
    pub fn probe(&self, path: &str) -> Result<(u16, Value)> {
        self.bench.setup()?.ask("GET", path, "", "")
    }

    /// What `store check` finds, through the running server or without one.
    pub fn check(&self) -> Result<Vec<String>> {
        let mut check: Command = self.bench.tenantry.command(self.bench.folder.path());
        check.envs(self.bench.env.iter().cloned());
        let output = check.args(["store", "check", "--json"]).output()?;
        let found: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let Some(problems) = found["problems"].as_array() else {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Ok(vec![format!("store check: {said}")]);
        };
        if problems.is_empty() && !output.status.success() {
            bail!("store check failed and named no problem: {found}");
        }
        let line = |problem: &Value| format!("store check: {problem}");
        Ok(problems.iter().map(line).collect())
    }
}

/// What is there of a record, beside what is known of it.
pub struct Found {
    pub name: Name,
    known: Known,
    /// Its number, none where there is no record; or the answer that tells neither.
    pub state: Result<Option<u64>, String>,
}

impl Found {
    /// Whether the answer was that it cannot be told for now.
    pub fn is_refused(&self) -> bool {
        self.state.as_ref().is_err_and(|why| why.starts_with("503"))
    }

    /// What is wrong: it was lost, or cannot be read.
    pub fn wrong(&self) -> Option<String> {
        let Self { name, known, state } = self;
        match state {
            Ok(state) if known.allows(*state) => None,
            Ok(state) => Some(format!("{name:?} LOST: found {state:?}; {known:?}")),
            Err(why) => Some(format!("{name:?}: {why}; {known:?}")),
        }
    }
}

fn state_of(
    setup: &mut Setup,
    key: &str,
    (tenant, id): &Name,
) -> Result<Result<Option<u64>, String>> {
    let path = format!("/v1/tenants/t{tenant}/records/ticket/{id}");
    let (status, record) = setup.ask("GET", &path, key, "")?;
    Ok(match status {
        404 => Ok(None),
        200 => match number_of(&record["data"]) {
            Some(number) => Ok(Some(number)),
            None => Err(format!("nothing that was ever written: {record}")),
        },
        other => Err(format!("{other}: {record}")),
    })
}
