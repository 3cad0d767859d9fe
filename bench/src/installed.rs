//! An installation of our own in a folder, for benchmarks that use more than requests.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::{
    process::{Process, free_address},
    subject::{Setup, Tenantry, text},
};

/// A server in a folder, with an app file applied, and an operator's session.
pub struct Bench {
    pub process: Option<Process>,
    pub folder: tempfile::TempDir,
    pub tenantry: Tenantry,
    who: String,
    pub token: String,
    /// Settings of the server, as `TENANTRY_SECTION__KEY`.
    pub env: Vec<(String, String)>,
}

impl Bench {
    pub fn new(engine: &str, app: &str) -> Result<Self> {
        Self::within(Tenantry::new(engine)?, app, &std::env::temp_dir(), &[])
    }

    /// In a fresh folder within `parent`, with settings of its own.
    pub fn within(
        tenantry: Tenantry,
        app: &str,
        parent: &Path,
        env: &[(&str, &str)],
    ) -> Result<Self> {
        let folder = tempfile::tempdir_in(parent)?;
        let own = env.iter().map(|(k, v)| ((*k).into(), (*v).into()));
        let made = done(
            tenantry
                .command(folder.path())
                .args(["init", "--yes", "--json"])
                .envs(env.iter().copied()),
        )?;
        let made: Value = serde_json::from_slice(&made)?;
        let mut bench = Self {
            process: None,
            folder,
            tenantry,
            who: made["operator"].to_string(),
            token: String::new(),
            env: own.collect(),
        };
        bench.start()?;
        bench.apply(app)?;
        Ok(bench)
    }

    pub fn start(&mut self) -> Result<Duration> {
        let address = free_address()?;
        let mut serve = self.tenantry.command(self.folder.path());
        serve.env("TENANTRY_JOBS__ALLOW_PRIVATE_ADDRESSES", "true");
        serve.envs(self.env.iter().cloned());
        serve.args(["serve", "--listen", &address.to_string()]);
        let began = Instant::now();
        self.process = Some(Process::start(
            serve,
            address,
            &self.folder.path().join("log"),
        )?);
        let took = began.elapsed();
        let login = self
            .setup()?
            .json("POST", "/v1/auth/login", "", &self.who)?;
        self.token = text(&login["token"])?;
        Ok(took)
    }

    /// Ends the server; what it acknowledged is on disk.
    pub fn stop(&mut self) -> Result<()> {
        self.process = None;
        Ok(())
    }

    pub fn process(&self) -> Result<&Process> {
        self.process.as_ref().context("no server")
    }

    pub fn setup(&self) -> Result<Setup> {
        Setup::new(self.process()?.address)
    }

    pub fn ask(&self, method: &str, path: &str, body: &str) -> Result<Value> {
        self.setup()?.json(method, path, &self.token, body)
    }

    pub fn apply(&self, app: &str) -> Result<()> {
        let file = self.folder.path().join("bench.toml");
        fs::write(&file, app)?;
        let mut apply = self.tenantry.command(self.folder.path());
        done(apply.arg("apply").arg(file)).map(drop)
    }

    pub fn tenants(&self, names: impl Iterator<Item = String>) -> Result<()> {
        let mut setup = self.setup()?;
        for name in names {
            let wanted = json!({ "id": name }).to_string();
            setup.json("POST", "/v1/tenants", &self.token, &wanted)?;
        }
        Ok(())
    }
}

/// Runs a command that has to succeed, and gives what it printed.
pub fn done(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output()?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(output.stdout)
}
