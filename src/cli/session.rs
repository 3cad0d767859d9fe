//! How a command reaches the store, without the user needing to know which way:
//! the running server's socket, or, when no server runs, the same server inside
//! this process on a private socket for the time of the command.

use std::fs::DirBuilder;
use std::io;
use std::ops::Deref;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::client::Client;
use super::server::{self, InProcess};
use crate::base::{Lock, owner, socket};
use crate::config::Config;

/// How long a command waits for another one to be done with the store.
const PATIENCE: Duration = Duration::from_secs(10);

/// A way to the store; derefs to the client.
pub struct Session {
    client: Client,
    own: Option<Own>,
}

/// What a command has to put away that serves itself.
struct Own {
    server: Option<Box<dyn InProcess>>,
    socket: PathBuf,
    // Last, so that the folder is unlocked when all else is done.
    _lock: Lock,
}

impl Session {
    /// Acts as the data folder's owner and connects, or serves itself. `command`
    /// is what others are told while this one has the store.
    pub fn open(config: &Config, command: &str) -> Result<Self> {
        Self::open_within(config, command, PATIENCE)
    }

    fn open_within(config: &Config, command: &str, patience: Duration) -> Result<Self> {
        owner::act_as_owner(&config.data)?;
        if !config.data.is_dir() {
            bail!(
                "there is no data folder at {}; `tenantry init` makes one, --data or --config names another",
                config.data.display()
            );
        }
        if running(&config.data)? {
            return Self::to_server(config);
        }
        let mut told = false;
        let lock = Lock::acquire_within(&config.data, command, patience, || {
            if !told {
                eprintln!("waiting for another command to be done with the store");
                told = true;
            }
            // A server that is just starting has the lock before it has its socket.
            running(&config.data).unwrap_or(false).then_some(())
        })?;
        match lock {
            Err(()) => Self::to_server(config),
            Ok(lock) => Self::in_process(config, lock),
        }
    }

    /// Whether a running server answers, rather than this process itself.
    pub fn is_remote(&self) -> bool {
        self.own.is_none()
    }

    /// Puts everything away and says whether that worked: what was written is on
    /// disk before, but an orderly end makes the next start fast.
    pub fn close(mut self) -> Result<()> {
        self.own.take().map_or(Ok(()), Own::close)
    }

    fn to_server(config: &Config) -> Result<Self> {
        let client = Client::new(&config.data.join(socket::SERVER_SOCKET))?;
        Ok(Self { client, own: None })
    }

    fn in_process(config: &Config, lock: Lock) -> Result<Self> {
        sweep(&config.data)?;
        let path = config.data.join(format!("cli-{}.sock", std::process::id()));
        let listener = socket::bind_at(&path)
            .with_context(|| format!("cannot listen on {}", path.display()))?;
        let mut own = Own {
            server: None,
            socket: path.clone(),
            _lock: lock,
        };
        own.server = Some(server::serve_socket(config, listener)?);
        let client = Client::new(&path)?;
        Ok(Self {
            client,
            own: Some(own),
        })
    }
}

impl Deref for Session {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Own {
    fn close(mut self) -> Result<()> {
        self.server.take().map_or(Ok(()), |server| server.stop())
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            let _ = server.stop();
        }
        let _ = socket::remove_if_there(&self.socket);
    }
}

/// Makes the data folder, for its owner alone, where it is not there yet.
pub fn make_data_folder(data: &Path) -> Result<()> {
    owner::act_as_owner(data)?;
    let made = DirBuilder::new().recursive(true).mode(0o700).create(data);
    made.with_context(|| format!("cannot make the data folder {}", data.display()))
}

/// Whether a server answers in this folder.
pub fn running(data: &Path) -> Result<bool> {
    let stream = socket::connect(data).with_context(|| {
        format!(
            "cannot open the running server's socket in {}",
            data.display()
        )
    })?;
    Ok(stream.is_some())
}

/// Removes the private sockets of commands that were killed; the lock is ours, so
/// no living one has any.
fn sweep(data: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(data)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if name.is_some_and(|name| name.starts_with("cli-") && name.ends_with(".sock")) {
            socket::remove_if_there(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use serde_json::json;

    use super::*;
    use crate::cli::client::Target;
    use crate::cli::testing::{FakeServer, answer};
    use crate::config::{Flags, Sources};

    fn config(data: &Path) -> Config {
        let flags = Flags {
            data: Some(data.to_owned()),
            listen: None,
        };
        let sources = Sources {
            flags,
            ..Sources::default()
        };
        Config::load(sources).unwrap()
    }

    #[test]
    fn a_running_server_is_asked() {
        let server = FakeServer::start(|_| answer(200, &json!({"version": 1})));
        let session = Session::open(&config(server.dir.path()), "apply").unwrap();
        assert!(session.is_remote());
        assert_eq!(session.get(&Target::new("/v1/app")).unwrap()["version"], 1);
        session.close().unwrap();
    }

    #[test]
    fn a_folder_in_use_is_refused_with_its_holders_name() {
        let dir = tempfile::tempdir().unwrap();
        let _lock = Lock::acquire(dir.path(), "import").unwrap();
        let opened = Session::open_within(&config(dir.path()), "apply", Duration::ZERO);
        let error = opened.err().expect("refused").to_string();
        assert!(error.contains("`tenantry import` (process "), "{error}");
    }

    #[test]
    fn a_missing_folder_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let opened = Session::open(&config(&dir.path().join("no")), "apply");
        let error = opened.err().expect("refused").to_string();
        assert!(error.contains("there is no data folder at"), "{error}");
    }

    #[test]
    fn sockets_of_killed_commands_are_swept() {
        let dir = tempfile::tempdir().unwrap();
        drop(socket::bind_at(&dir.path().join("cli-1.sock")).unwrap());
        drop(socket::bind(dir.path()).unwrap());
        sweep(dir.path()).unwrap();
        assert!(!dir.path().join("cli-1.sock").exists());
        assert!(dir.path().join(socket::SERVER_SOCKET).exists());
    }
}
