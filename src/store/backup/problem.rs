//! What can be wrong with a backup: each is told apart, with the place and what to do.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::store::engine::StoreError;

/// Why a backup was not made, or cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file is something else.
    #[error("{} is no backup of Tenantry: it does not begin as one.", .0.display())]
    Foreign(PathBuf),
    /// The file is of a format that came later.
    #[error("{} has the format {format:?}, which this version, {}, does not read. Install the version that made it, or a later one.", path.display(), env!("CARGO_PKG_VERSION"))]
    Newer {
        /// The file.
        path: PathBuf,
        /// What it says of its format.
        format: String,
    },
    /// The file ends before its end.
    #[error("{} was cut short: it ends at byte {at}, inside frame {frame}. Use another backup.", path.display())]
    CutShort {
        /// The file.
        path: PathBuf,
        /// Bytes that it has.
        at: u64,
        /// The frame, from 1.
        frame: u64,
    },
    /// Something in the file is not what was written.
    #[error("{} is damaged before byte {at}, in frame {frame}: {what}. Use another backup.", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Bytes that were read.
        at: u64,
        /// The frame, from 1.
        frame: u64,
        /// What is wrong.
        what: String,
    },
    /// The file is encrypted, and not for who asks.
    #[error("{} is encrypted: {what}.", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
        /// What is missing.
        what: String,
    },
    /// A recipient or an identity is none.
    #[error("{0}")]
    Keys(String),
    /// The disk failed, or is full.
    #[error("{} cannot be {what}: {source}.{}", path.display(), advice(source))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was to be done with it.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// Something would be overwritten, or is missing, or has no room.
    #[error("{0}")]
    Refused(String),
    /// It was told to stop.
    #[error("it was stopped")]
    Stopped,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl BackupError {
    /// The failure of a call on a file or a folder.
    pub fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { path, what, source }
    }
}

/// What to do about it, where that is known.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            " Make room there, or let [backup] folder name another disk."
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            " The user that runs the server has to be able to write there."
        }
        _ => "",
    }
}
