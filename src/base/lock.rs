//! The lock of a data folder: one process at a time has the store open.
//!
//! The lock is `flock` on `DATA/LOCK`, which the kernel lets go of when its holder
//! dies, however it dies. The file's text says who holds it; text left by a dead
//! holder means nothing.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Clock, SystemClock};

/// The lock file in a data folder.
pub const LOCK_FILE: &str = "LOCK";
/// More than a holder ever writes.
const TEXT_BYTES_MAX: u64 = 4_096;

/// Why a data folder could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error("the data folder {} is in use by {holder}", data.display())]
    Held {
        /// The folder.
        data: PathBuf,
        /// Who.
        holder: Holder,
    },
    /// The lock file cannot be opened.
    #[error("cannot lock the data folder {}: {source}", data.display())]
    Io {
        /// The folder.
        data: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Who holds a lock, as far as its file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holder {
    /// The process.
    pub pid: Option<u32>,
    /// The command, such as `serve`.
    pub command: Option<String>,
    /// Since when, RFC 3339.
    pub since: Option<String>,
}

impl Holder {
    fn parse(text: &str) -> Self {
        let value = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
                .map(str::to_owned)
        };
        Self {
            pid: value("pid").and_then(|pid| pid.parse().ok()),
            command: value("command"),
            since: value("since"),
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.command {
            Some(command) => write!(f, "`tenantry {command}`")?,
            None => write!(f, "another process")?,
        }
        match (self.pid, &self.since) {
            (Some(pid), Some(since)) => write!(f, " (process {pid}, since {since})"),
            (Some(pid), None) => write!(f, " (process {pid})"),
            _ => Ok(()),
        }
    }
}

/// A locked data folder; dropping it unlocks.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Locks `data` for `command`, or says who has it. The folder must exist.
    pub fn acquire(data: &Path, command: &str) -> Result<Self, LockError> {
        let failed = |source| LockError::Io {
            data: data.to_owned(),
            source,
        };
        let mut options = OpenOptions::new();
        // Not truncated when opened: until the lock is ours the text is the holder's.
        options.read(true).write(true).create(true).mode(0o600);
        let mut file = options
            .truncate(false)
            .open(data.join(LOCK_FILE))
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::Held {
                    data: data.to_owned(),
                    holder: holder(&mut file),
                });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        write_holder(&mut file, command).map_err(failed)?;
        Ok(Self { file })
    }

    /// The same, waiting up to `patience` for another holder to finish. `meanwhile`
    /// is called between attempts and ends the wait with `Ok(Err(..))` when it has something.
    pub fn acquire_within<T>(
        data: &Path,
        command: &str,
        patience: Duration,
        mut meanwhile: impl FnMut() -> Option<T>,
    ) -> Result<Result<Self, T>, LockError> {
        const STEP: Duration = Duration::from_millis(50);
        let deadline = std::time::Instant::now() + patience;
        loop {
            match Self::acquire(data, command) {
                Err(LockError::Held { .. }) if std::time::Instant::now() < deadline => {
                    if let Some(instead) = meanwhile() {
                        return Ok(Err(instead));
                    }
                    std::thread::sleep(STEP);
                }
                other => return other.map(Ok),
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The text goes before the lock does, so that a reader finds no former holder.
        let _ = self.file.set_len(0);
        let _ = self.file.unlock();
    }
}

fn holder(file: &mut File) -> Holder {
    let mut text = String::new();
    let read = file.take(TEXT_BYTES_MAX).read_to_string(&mut text);
    read.map(|_| Holder::parse(&text)).unwrap_or_default()
}

fn write_holder(file: &mut File, command: &str) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    let text = format!(
        "pid {}\ncommand {command}\nsince {}\n",
        std::process::id(),
        SystemClock.now().to_rfc3339()
    );
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn the_second_learns_who_the_first_is() {
        let dir = tempfile::tempdir().unwrap();
        let first = Lock::acquire(dir.path(), "serve").unwrap();
        let error = Lock::acquire(dir.path(), "apply").unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("is in use by `tenantry serve` (process "),
            "{text}"
        );
        drop(first);
        Lock::acquire(dir.path(), "apply").unwrap();
    }

    #[test]
    fn what_a_dead_holder_left_is_harmless() {
        let dir = tempfile::tempdir().unwrap();
        for text in [
            "pid 1\ncommand serve\nsince 2026\n",
            "\u{0}\u{0} nonsense",
            "",
        ] {
            std::fs::write(dir.path().join(LOCK_FILE), text).unwrap();
            Lock::acquire(dir.path(), "apply").unwrap();
        }
        assert_eq!(Holder::parse("nonsense"), Holder::default());
        assert_eq!(Holder::default().to_string(), "another process");
    }

    #[test]
    fn waiting_ends_when_something_else_turns_up() {
        let dir = tempfile::tempdir().unwrap();
        let _held = Lock::acquire(dir.path(), "serve").unwrap();
        let mut calls = 0;
        let got = Lock::acquire_within(dir.path(), "apply", Duration::from_secs(5), || {
            calls += 1;
            (calls == 2).then_some("a server")
        });
        assert_eq!(got.unwrap().err(), Some("a server"));
        let none = || None::<()>;
        let got = Lock::acquire_within(dir.path(), "apply", Duration::ZERO, none);
        assert!(matches!(got, Err(LockError::Held { .. })));
    }
}
