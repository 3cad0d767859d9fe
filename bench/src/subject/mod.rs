//! Who is measured. A subject is started fresh, and says how its requests look.

mod bare;
mod pocketbase;
mod tenantry;

use std::{net::SocketAddr, path::Path, rc::Rc, time::Duration};

use anyhow::{Context as _, Result};
use serde_json::Value;

pub use bare::{Bare, serve as serve_bare};
pub use pocketbase::PocketBase;
pub use tenantry::{TICKET, Tenantry};

use crate::{
    data::Minute,
    http::{Connection, write_request},
    load::runtime,
    process::Process,
};

/// No answer takes longer.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// How a subject's requests look. Tenants are numbered.
pub trait Requests {
    /// Creates a ticket from these members.
    fn create(&self, out: &mut Vec<u8>, tenant: usize, members: &str);
    /// Gets a ticket.
    fn get(&self, out: &mut Vec<u8>, tenant: usize, id: &str);
    /// Patches a ticket.
    fn update(&self, out: &mut Vec<u8>, tenant: usize, id: &str, patch: &str);
    /// Lists a tenant's 50 newest open tickets; those opened before a minute of a
    /// day, where one is given.
    fn list(&self, out: &mut Vec<u8>, tenant: usize, before: Option<Minute>);
}

/// A started subject.
pub struct Running {
    /// Its process.
    pub process: Process,
    /// Its requests.
    pub requests: Rc<dyn Requests>,
}

/// Someone to measure.
pub trait Subject {
    /// The name in tables.
    fn name(&self) -> &str;
    /// What it promises of a write that it answered.
    fn durability(&self) -> &str;
    /// Starts it on a fresh folder with tenants, none of which has a ticket.
    fn start(&self, folder: &Path, tenants: usize) -> Result<Running>;
    /// Starts it again on what it wrote, keeping no records in memory, where it can.
    fn restart_uncached(&self, folder: &Path, before: Running) -> Result<Option<Running>> {
        let _ = (folder, before);
        Ok(None)
    }
}

/// One request at a time, for setting things up.
pub struct Setup {
    runtime: tokio::runtime::Runtime,
    connection: Connection,
}

impl Setup {
    /// Connects.
    pub fn new(address: SocketAddr) -> Result<Self> {
        let runtime = runtime()?;
        let connection = runtime.block_on(Connection::open(address))?;
        Ok(Self {
            runtime,
            connection,
        })
    }

    /// Asks, and gives the status with the answer's JSON, which is null where there is none.
    pub fn ask(
        &mut self,
        method: &str,
        path: &str,
        token: &str,
        body: &str,
    ) -> Result<(u16, Value)> {
        let mut request = Vec::new();
        write_request(&mut request, method, path, token, body.as_bytes());
        let asked = self.connection.call(&request);
        let limited = async { tokio::time::timeout(ANSWER_MAX, asked).await };
        let answered = self.runtime.block_on(limited);
        let status = answered.with_context(|| format!("{method} {path} hangs"))??;
        let said = serde_json::from_slice(&self.connection.body);
        Ok((status, said.unwrap_or_default()))
    }

    /// Asks, and reads the answer's JSON.
    pub fn json(&mut self, method: &str, path: &str, token: &str, body: &str) -> Result<Value> {
        let mut request = Vec::new();
        write_request(&mut request, method, path, token, body.as_bytes());
        self.runtime.block_on(self.connection.succeed(&request))?;
        let said = String::from_utf8_lossy(&self.connection.body);
        serde_json::from_str(&said).with_context(|| format!("{method} {path}: {said}"))
    }
}

/// A text member of an answer.
pub fn text(value: &Value) -> Result<String> {
    Ok(value.as_str().context("no text")?.to_owned())
}
