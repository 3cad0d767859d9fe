//! Unix sockets in the data folder: how commands reach the running server.
//!
//! A socket's address holds at most 107 bytes of path, and data folders can lie
//! deeper. Such a folder is opened first and the socket is then named through
//! `/proc/self/fd/N/`, which is short whatever the folder is called.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, fchmod};
use socket2::{Domain, SockAddr, Socket, Type};

/// The server's socket in its data folder.
pub const SERVER_SOCKET: &str = "tenantry.sock";

/// The longest path that fits a socket's address.
const PATH_BYTES_MAX: usize = 107;
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 128;

/// Listens on the server's socket in `data`, which only the owner can open.
/// Whoever calls this holds the folder's lock: a socket left by a dead process is replaced.
pub fn bind(data: &Path) -> io::Result<UnixListener> {
    bind_at(&data.join(SERVER_SOCKET))
}

/// Listens on a socket at `path`, which only the owner can open; replaces what is there.
pub fn bind_at(path: &Path) -> io::Result<UnixListener> {
    remove_if_there(path)?;
    let short = ShortPath::of(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // On Linux the file takes the mode the socket has when it is bound. Changing
    // the file afterwards would leave a moment in which others can connect.
    fchmod(&socket, Mode::S_IRUSR | Mode::S_IWUSR)?;
    socket.bind(&SockAddr::unix(&short.path)?)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Connects to the server's socket in `data`; `None` where no server answers.
pub fn connect(data: &Path) -> io::Result<Option<UnixStream>> {
    match connect_at(&data.join(SERVER_SOCKET)) {
        Ok(stream) => Ok(Some(stream)),
        Err(error) => match error.kind() {
            // Refused: the file of a server that was killed.
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(None),
            _ => Err(error),
        },
    }
}

/// Connects to the socket at `path`.
pub fn connect_at(path: &Path) -> io::Result<UnixStream> {
    UnixStream::connect(&ShortPath::of(path)?.path)
}

/// Removes the socket at `path`; one that is not there is fine.
pub fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A path that fits a socket's address, and the open folder that it goes through.
struct ShortPath {
    path: PathBuf,
    _folder: Option<File>,
}

impl ShortPath {
    fn of(path: &Path) -> io::Result<Self> {
        if path.as_os_str().len() <= PATH_BYTES_MAX {
            let path = path.to_owned();
            return Ok(Self {
                path,
                _folder: None,
            });
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        };
        let folder = File::open(parent)?;
        let through = format!("/proc/self/fd/{}", folder.as_raw_fd());
        Ok(Self {
            path: Path::new(&through).join(name),
            _folder: Some(folder),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::io::{Read, Write};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn talks(data: &Path) {
        let listener = bind(data).unwrap();
        let mode = std::fs::metadata(data.join(SERVER_SOCKET)).unwrap();
        assert_eq!(mode.permissions().mode() & 0o777, 0o600);
        let mut client = connect(data).unwrap().expect("a server");
        let (mut server, _) = listener.accept().unwrap();
        client.write_all(b"hello").unwrap();
        drop(client);
        let mut heard = String::new();
        server.read_to_string(&mut heard).unwrap();
        assert_eq!(heard, "hello");
    }

    #[test]
    fn only_the_owner_can_open_the_socket() {
        talks(tempfile::tempdir().unwrap().path());
    }

    #[test]
    fn a_path_too_long_for_an_address_works() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a".repeat(120)).join("b".repeat(120));
        std::fs::create_dir_all(&deep).unwrap();
        talks(&deep);
    }

    #[test]
    fn nobody_answers_on_what_a_dead_server_left() {
        let dir = tempfile::tempdir().unwrap();
        assert!(connect(dir.path()).unwrap().is_none());
        drop(bind(dir.path()).unwrap());
        assert!(dir.path().join(SERVER_SOCKET).exists());
        assert!(connect(dir.path()).unwrap().is_none());
        talks(dir.path());
    }
}
