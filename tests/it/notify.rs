//! What systemd is told: a socket of ours in its place.

use std::{io, os::unix::net::UnixDatagram, time::Duration};

use nix::{sys::signal::Signal, unistd::Pid};

use crate::server::Server;

struct Manager {
    socket: UnixDatagram,
    _dir: tempfile::TempDir,
    path: String,
}

impl Manager {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let timeout = Some(Duration::from_secs(30));
        socket.set_read_timeout(timeout).unwrap();
        Self {
            path: path.to_str().unwrap().to_owned(),
            _dir: dir,
            socket,
        }
    }

    fn next(&self) -> io::Result<String> {
        let mut bytes = [0; 4096];
        let length = self.socket.recv(&mut bytes)?;
        Ok(String::from_utf8(bytes[..length].to_vec()).unwrap())
    }

    /// The next message that is no sign of life.
    fn next_but_watchdog(&self) -> String {
        loop {
            match self.next().unwrap() {
                message if message.trim() == "WATCHDOG=1" => {}
                message => return message,
            }
        }
    }
}

#[tokio::test]
async fn readiness_life_and_the_end_are_told() {
    let manager = Manager::new();
    let mut server = Server::start_with(&[
        ("NOTIFY_SOCKET", &manager.path),
        ("WATCHDOG_USEC", "400000"),
    ])
    .await;
    let ready = manager.next_but_watchdog();
    assert!(ready.starts_with("READY=1\n"), "{ready}");
    assert!(
        ready.contains(&format!("STATUS=serving {}", server.url)),
        "{ready}"
    );
    for _ in 0..3 {
        assert_eq!(manager.next().unwrap().trim(), "WATCHDOG=1");
    }
    server.stop();
    assert_eq!(manager.next_but_watchdog().trim(), "STOPPING=1");
    manager.socket.set_nonblocking(true).unwrap();
    while let Ok(message) = manager.next() {
        assert_eq!(message.trim(), "WATCHDOG=1", "told after the end");
    }
}

#[tokio::test]
async fn without_a_watchdog_there_is_no_sign_of_life_and_sighup_harms_nothing() {
    let manager = Manager::new();
    let mut server = Server::start_with(&[("NOTIFY_SOCKET", &manager.path)]).await;
    assert!(manager.next().unwrap().starts_with("READY=1\n"));
    nix::sys::signal::kill(Pid::from_raw(server.pid()), Signal::SIGHUP).unwrap();
    server.wait_for_log("nothing to read anew").await;
    server.stop();
    assert_eq!(manager.next().unwrap().trim(), "STOPPING=1");
}
