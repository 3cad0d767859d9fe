//! Tenantry as a user has it: the release binary and its defaults.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    rc::Rc,
};

use anyhow::{Result, bail};
use serde_json::Value;

use super::{Requests, Running, Setup, Subject, text};
use crate::{
    data::Minute,
    http::write_request,
    process::{Process, free_address},
};

/// The entity that is written and read.
pub const TICKET: &str = r#"
[entity.ticket.schema]
required = ["subject", "status", "opened_at"]
properties.subject = { type = "string", maxLength = 200 }
properties.status = { enum = ["open", "pending", "closed"] }
properties.opened_at = { type = "string", format = "date-time" }
properties.body = { type = "string" }

[[entity.ticket.index]]
name = "by_status"
fields = ["status", "opened_at"]
"#;

/// Tenantry on one of its engines.
pub struct Tenantry {
    binary: PathBuf,
    engine: String,
    name: String,
}

impl Tenantry {
    /// The binary beside our own.
    pub fn new(engine: &str) -> Result<Self> {
        Self::built_as("tenantry", engine)
    }

    /// A binary of this name beside our own.
    pub fn built_as(file: &str, engine: &str) -> Result<Self> {
        let binary = std::env::current_exe()?.with_file_name(file);
        if !binary.exists() {
            bail!(
                "{} is missing; `cargo xtask bench` or `cargo xtask torture` builds it",
                binary.display()
            );
        }
        Ok(Self {
            binary,
            engine: engine.into(),
            name: format!("tenantry/{engine}"),
        })
    }

    /// The binary, in a folder of its own and with nothing of the environment's.
    pub fn command(&self, folder: &Path) -> Command {
        let mut command = Command::new(&self.binary);
        command.current_dir(folder);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("TENANTRY_") {
                command.env_remove(name);
            }
        }
        command.env("TENANTRY_STORE__ENGINE", &self.engine);
        command
    }

    fn serve(&self, folder: &Path, env: &[(&str, &str)]) -> Result<Process> {
        let address = free_address()?;
        let mut serve = self.command(folder);
        serve.envs(env.iter().copied());
        serve.args(["serve", "--listen", &address.to_string()]);
        Process::start(serve, address, &folder.join("log"))
    }
}

struct Api {
    /// An API key for each tenant.
    keys: Vec<String>,
}

/// A tenant's name.
fn slug(tenant: usize) -> String {
    format!("t{tenant:04}")
}

impl Subject for Tenantry {
    fn name(&self) -> &str {
        &self.name
    }

    fn durability(&self) -> &str {
        "on disk (fsync) before the answer"
    }

    fn start(&self, folder: &Path, tenants: usize) -> Result<Running> {
        let made = self
            .command(folder)
            .args(["init", "--yes", "--json"])
            .output()?;
        if !made.status.success() {
            bail!("init: {}", String::from_utf8_lossy(&made.stderr));
        }
        let made: Value = serde_json::from_slice(&made.stdout)?;
        fs::write(folder.join("bench.toml"), TICKET)?;
        let applied = self
            .command(folder)
            .args(["apply", "bench.toml"])
            .output()?;
        if !applied.status.success() {
            bail!("apply: {}", String::from_utf8_lossy(&applied.stderr));
        }
        let process = self.serve(folder, &[])?;
        let mut setup = Setup::new(process.address)?;
        let login = setup.json("POST", "/v1/auth/login", "", &made["operator"].to_string())?;
        let token = text(&login["token"])?;
        let mut keys = Vec::new();
        for tenant in 0..tenants {
            let id = slug(tenant);
            let wanted = format!(r#"{{"id":"{id}"}}"#);
            setup.json("POST", "/v1/tenants", &token, &wanted)?;
            let path = format!("/v1/tenants/{id}/keys");
            let made = setup.json("POST", &path, &token, "{}")?;
            keys.push(text(&made["key"])?);
        }
        Ok(Running {
            process,
            requests: Rc::new(Api { keys }),
        })
    }

    fn restart_uncached(&self, folder: &Path, before: Running) -> Result<Option<Running>> {
        drop(before.process);
        let process = self.serve(folder, &[("TENANTRY_STORE__RECORD_CACHE_BYTES", "0")])?;
        Ok(Some(Running {
            process,
            requests: before.requests,
        }))
    }
}

impl Requests for Api {
    fn create(&self, out: &mut Vec<u8>, tenant: usize, members: &str) {
        let path = format!("/v1/tenants/{}/records/ticket", slug(tenant));
        let body = format!("{{{members}}}");
        write_request(out, "POST", &path, &self.keys[tenant], body.as_bytes());
    }

    fn get(&self, out: &mut Vec<u8>, tenant: usize, id: &str) {
        let path = format!("/v1/tenants/{}/records/ticket/{id}", slug(tenant));
        write_request(out, "GET", &path, &self.keys[tenant], b"");
    }

    fn update(&self, out: &mut Vec<u8>, tenant: usize, id: &str, patch: &str) {
        let path = format!("/v1/tenants/{}/records/ticket/{id}", slug(tenant));
        write_request(out, "PATCH", &path, &self.keys[tenant], patch.as_bytes());
    }

    fn list(&self, out: &mut Vec<u8>, tenant: usize, before: Option<Minute>) {
        let before = before.map_or_else(String::new, |minute| {
            format!("&opened_at[lt]={}", minute.text('T'))
        });
        let path = format!(
            "/v1/tenants/{}/records/ticket?status=open&order=-opened_at&limit=50{before}",
            slug(tenant)
        );
        write_request(out, "GET", &path, &self.keys[tenant], b"");
    }
}
