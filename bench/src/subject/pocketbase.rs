//! PocketBase as it comes: one collection with the tenant as a field and an index
//! that serves the list. Requests carry a superuser's token, so that both sides
//! check a token and neither evaluates a rule; lists ask for no total.

use std::{
    path::{Path, PathBuf},
    process::Command,
    rc::Rc,
};

use anyhow::{Result, bail};

use super::{Requests, Running, Setup, Subject, text};
use crate::{
    data::Minute,
    http::write_request,
    process::{Process, free_address},
};

const EMAIL: &str = "bench@example.com";
const PASSWORD: &str = "bench-password";
const COLLECTION: &str = r#"{
    "name": "ticket",
    "type": "base",
    "fields": [
        {"name": "tenant", "type": "text", "required": true},
        {"name": "subject", "type": "text", "required": true, "max": 200},
        {"name": "status", "type": "select", "required": true, "maxSelect": 1, "values": ["open", "pending", "closed"]},
        {"name": "opened_at", "type": "date", "required": true},
        {"name": "body", "type": "text"}
    ],
    "indexes": ["CREATE INDEX by_status ON ticket (tenant, status, opened_at)"]
}"#;

/// PocketBase.
pub struct PocketBase {
    binary: PathBuf,
}

impl PocketBase {
    /// This binary.
    pub fn new(binary: PathBuf) -> Self {
        Self { binary }
    }
}

struct Api {
    token: String,
}

fn tenant_name(tenant: usize) -> String {
    format!("t{tenant:04}")
}

impl Subject for PocketBase {
    fn name(&self) -> &str {
        "pocketbase"
    }

    fn durability(&self) -> &str {
        "WAL with synchronous=NORMAL: no flush for each commit"
    }

    fn start(&self, folder: &Path, _tenants: usize) -> Result<Running> {
        let dir = folder.join("pb_data");
        let command = |args: &[&str]| {
            let mut command = Command::new(&self.binary);
            command.args(args).arg("--dir").arg(&dir);
            command
        };
        let made = command(&["superuser", "upsert", EMAIL, PASSWORD]).output()?;
        if !made.status.success() {
            bail!("superuser: {}", String::from_utf8_lossy(&made.stderr));
        }
        let address = free_address()?;
        let serve = command(&["serve", "--http", &address.to_string()]);
        let process = Process::start(serve, address, &folder.join("log"))?;
        let mut setup = Setup::new(address)?;
        let login = format!(r#"{{"identity":"{EMAIL}","password":"{PASSWORD}"}}"#);
        let path = "/api/collections/_superusers/auth-with-password";
        let token = text(&setup.json("POST", path, "", &login)?["token"])?;
        setup.json("POST", "/api/collections", &token, COLLECTION)?;
        Ok(Running {
            process,
            requests: Rc::new(Api { token }),
        })
    }
}

impl Requests for Api {
    fn create(&self, out: &mut Vec<u8>, tenant: usize, members: &str) {
        let body = format!(r#"{{"tenant":"{}",{members}}}"#, tenant_name(tenant));
        let path = "/api/collections/ticket/records";
        write_request(out, "POST", path, &self.token, body.as_bytes());
    }

    fn get(&self, out: &mut Vec<u8>, _tenant: usize, id: &str) {
        let path = format!("/api/collections/ticket/records/{id}");
        write_request(out, "GET", &path, &self.token, b"");
    }

    fn update(&self, out: &mut Vec<u8>, _tenant: usize, id: &str, patch: &str) {
        let path = format!("/api/collections/ticket/records/{id}");
        write_request(out, "PATCH", &path, &self.token, patch.as_bytes());
    }

    fn list(&self, out: &mut Vec<u8>, tenant: usize, before: Option<Minute>) {
        // A date is stored, and compared, with a space between day and time.
        let before = before.map_or_else(String::new, |minute| {
            format!("%26%26opened_at%3C%27{}%27", minute.text('+'))
        });
        let path = format!(
            "/api/collections/ticket/records?perPage=50&skipTotal=1&sort=-opened_at&filter=(tenant=%27{}%27%26%26status=%27open%27{before})",
            tenant_name(tenant)
        );
        write_request(out, "GET", &path, &self.token, b"");
    }
}
