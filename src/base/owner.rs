//! Who acts on a data folder: always its owner.
//!
//! A file that root leaves in a service's folder is one that the service cannot
//! open at its next start. So root becomes the folder's owner before it touches
//! anything, and any other user is refused.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid, User, geteuid, setgid, setgroups, setuid};

/// Why this user cannot act on the folder.
#[derive(Debug, thiserror::Error)]
pub enum OwnerError {
    /// The folder is somebody else's.
    #[error(
        "{} belongs to {owner} and you are {caller}; run this as {owner}, for example with `sudo -u {sudo}`",
        path.display()
    )]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// Its owner.
        owner: String,
        /// The effective user.
        caller: String,
        /// How sudo names the owner.
        sudo: String,
    },
    /// The folder cannot be looked at.
    #[error("cannot look at {}: {source}", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Root could not become the owner.
    #[error("cannot become {owner}, the owner of {}: {source}", path.display())]
    Switch {
        /// The folder.
        path: PathBuf,
        /// Its owner.
        owner: String,
        /// Why.
        source: io::Error,
    },
}

/// Makes this process act as the owner of `data`. Call it before any thread is
/// started and any file is made, and after opening what only the caller can read.
///
/// Where the folder does not exist yet, root becomes the owner of the nearest
/// folder above it that does; any other user goes on and the system decides.
pub fn act_as_owner(data: &Path) -> Result<(), OwnerError> {
    let (path, meta) = nearest(data)?;
    let (owner, caller) = (Uid::from_raw(meta.uid()), geteuid());
    if owner == caller {
        return Ok(());
    }
    if caller.is_root() {
        return switch(owner, Gid::from_raw(meta.gid())).map_err(|source| OwnerError::Switch {
            path: path.to_owned(),
            owner: name(owner),
            source: source.into(),
        });
    }
    if path != data {
        return Ok(());
    }
    Err(OwnerError::Foreign {
        path: path.to_owned(),
        owner: name(owner),
        caller: name(caller),
        sudo: user(owner).map_or_else(|| format!("#{owner}"), |user| user.name),
    })
}

fn nearest(data: &Path) -> Result<(&Path, std::fs::Metadata), OwnerError> {
    let mut path = data;
    loop {
        let looked = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        match (std::fs::metadata(looked), path.parent()) {
            (Ok(meta), _) => return Ok((path, meta)),
            (Err(error), Some(parent)) if error.kind() == io::ErrorKind::NotFound => path = parent,
            (Err(source), _) => {
                return Err(OwnerError::Io {
                    path: path.to_owned(),
                    source,
                });
            }
        }
    }
}

/// Groups first: after `setuid` there is no right left to change them. An owner
/// without an account (a service manager's passing user) has the folder's group.
fn switch(owner: Uid, folder_group: Gid) -> nix::Result<()> {
    let group = user(owner).map_or(folder_group, |user| user.gid);
    setgroups(&[group])?;
    setgid(group)?;
    setuid(owner)
}

fn user(uid: Uid) -> Option<User> {
    User::from_uid(uid).ok().flatten()
}

fn name(uid: Uid) -> String {
    user(uid).map_or_else(
        || format!("the user {uid}"),
        |user| format!("{} (user {uid})", user.name),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn ones_own_folder_and_one_that_is_not_there_yet_are_fine() {
        let dir = tempfile::tempdir().unwrap();
        act_as_owner(dir.path()).unwrap();
        act_as_owner(&dir.path().join("not/there/yet")).unwrap();
    }

    #[test]
    fn a_foreign_folder_is_refused() {
        if geteuid().is_root() {
            // Root would switch, for this whole process; tests/cli.rs looks at that.
            return;
        }
        let error = act_as_owner(Path::new("/")).unwrap_err();
        assert!(error.to_string().contains("/ belongs to root"), "{error}");
    }
}
