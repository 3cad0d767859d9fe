//! PLACEHOLDER, to be replaced at the merge: the four places where the command
//! line meets the layers that other branches write. Each function says which
//! call takes its place; nothing else in `cli/` names those layers.

use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::path::Path;

use anyhow::{Result, bail};

use crate::base::Lock;
use crate::config::Config;

/// The server inside this process.
pub trait InProcess: Send {
    /// Finishes what runs, flushes, closes the store.
    fn stop(self: Box<Self>) -> Result<()>;
}

/// The app file that `init` writes: `crate::domain::EXAMPLE_APP`.
pub const EXAMPLE_APP: &str = r#"# The entities of this app.
[entity.ticket]
title = "subject"

[entity.ticket.schema]
required = ["subject", "status", "opened_at"]
properties.subject = { type = "string", maxLength = 200 }
properties.status = { enum = ["open", "pending", "closed"] }
properties.opened_at = { type = "string", format = "date-time" }

[[entity.ticket.index]]
name = "by_status"
fields = ["status", "opened_at"]
"#;

/// Builds the app and serves it on `listener` until stopped:
/// `Ok(Box::new(crate::http::serve_socket(config, listener)?))`. The caller holds
/// the folder's lock.
pub fn serve_socket(_config: &Config, _listener: UnixListener) -> Result<Box<dyn InProcess>> {
    bail!("this build has no server inside")
}

/// Serves on `config.server.listen` and on the data folder's socket until SIGTERM
/// or SIGINT: `crate::http::serve(config, ready)`. `ready` is called with the
/// bound address when requests are answered on both. The lock is held meanwhile.
pub fn serve(
    _config: &Config,
    _lock: Lock,
    _ready: Box<dyn FnOnce(SocketAddr) + Send>,
) -> Result<()> {
    bail!("this build has no server inside")
}

/// Copies the store into a fresh, small one: `crate::store::compact(dir)`. The
/// caller holds the folder's lock. Answers the bytes on disk before and after.
pub fn compact(_store: &Path) -> Result<(u64, u64)> {
    bail!("this build has no server inside")
}
