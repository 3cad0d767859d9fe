//! `tenantry serve`: takes the data folder's lock and runs the server.

use std::time::Duration;

use anyhow::{Result, bail};

use super::demo;
use crate::base::{Lock, LockError, owner};
use crate::cli::args::Serve;
use crate::cli::output::note;
use crate::cli::{Context, server};
use crate::config::Config;

/// How long the server waits for a command that has the store.
const PATIENCE: Duration = Duration::from_secs(10);
/// What the lock says while the server runs.
const NAME: &str = "serve";

pub fn run(context: &Context, serve: Serve) -> Result<()> {
    if serve.demo {
        return demo::run(context, serve.listen);
    }
    let config = context.config_with(serve.listen)?;
    owner::act_as_owner(&config.data)?;
    if !config.data.is_dir() {
        bail!(
            "there is no data folder at {}; `tenantry init` makes one, --data or --config names another",
            config.data.display()
        );
    }
    let lock = lock(&config)?;
    let ready = |url: &str| note(format_args!("listening on {url}"));
    server::serve(&config, lock, Box::new(ready))
}

/// Another server is told of at once; a command is waited for.
pub fn lock(config: &Config) -> Result<Lock> {
    let patience = match Lock::acquire(&config.data, NAME) {
        Ok(lock) => return Ok(lock),
        Err(LockError::Held { holder, .. }) if holder.command.as_deref() != Some(NAME) => PATIENCE,
        Err(error) => return Err(error.into()),
    };
    let never = || None::<std::convert::Infallible>;
    match Lock::acquire_within(&config.data, NAME, patience, never)? {
        Ok(lock) => Ok(lock),
        Err(never) => match never {},
    }
}
