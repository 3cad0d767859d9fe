//! What `tenantry doctor` sees.

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt, path::Path};

use serde_json::Value as Json;

use crate::server::{Server, command, text};

struct Seen {
    items: Vec<Json>,
    code: Option<i32>,
}

/// Runs the doctor, and holds its exit status against what it says.
fn look(data: &Path, env: &[(&str, &str)]) -> Seen {
    let mut doctor = command(data, &["doctor", "--json"]);
    let output = doctor.envs(env.iter().copied()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    let seen: Json = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{told}"));
    let seen = Seen {
        items: seen["items"].as_array().unwrap().clone(),
        code: output.status.code(),
    };
    let failed = seen.items.iter().any(|item| item["status"] == "fail");
    assert_eq!(seen.code, Some(i32::from(failed)), "{:#?}", seen.items);
    for item in &seen.items {
        assert_eq!(item["advice"].is_null(), item["status"] == "ok", "{item}");
    }
    seen
}

impl Seen {
    /// The status of a check and what was found.
    fn of(&self, check: &str) -> (String, String) {
        let item = self.items.iter().find(|item| item["check"] == check);
        let item = item.unwrap_or_else(|| panic!("no {check}: {:#?}", self.items));
        (text(&item["status"]), text(&item["found"]))
    }

    fn is(&self, check: &str, status: &str, part: &str) {
        let (was, found) = self.of(check);
        assert_eq!(was, status, "{check}: {found}");
        assert!(found.contains(part), "{check}: {found}");
    }
}

#[tokio::test]
async fn a_new_installation_is_looked_at_with_the_server_and_without_it() {
    let mut server = Server::start().await;
    let with = look(&server.data(), &[]);
    let pid = format!("process {}", server.pid());
    // It was started with a flag that this command did not get.
    with.is("server", "warn", &pid);
    with.is("server", "warn", "server.listen");
    with.is("store", "ok", "sled");
    assert!(with.of("open files").1.starts_with("the server may have"));
    let listen = server.url.trim_start_matches("http://").to_owned();
    let same = look(
        &server.data(),
        &[("TENANTRY_SERVER__LISTEN", "127.0.0.1:0")],
    );
    same.is("server", "ok", &pid);

    server.stop();
    let without = look(&server.data(), &[("TENANTRY_SERVER__LISTEN", &listen)]);
    without.is("server", "ok", "not running");
    without.is("port", "ok", "is free");
    without.is("store", "ok", "sled");
    without.is("permissions", "ok", "0700");
    without.is("certificate", "ok", "this machine only");
    without.is("last backup", "warn", "none in");
    for check in [
        "configuration",
        "disk space",
        "file system",
        "disk sync",
        "clock",
    ] {
        without.of(check);
    }
    let mut create = command(&server.data(), &["backup", "create", "--verify"]);
    assert!(create.output().unwrap().status.success());
    look(&server.data(), &[]).is("last backup", "ok", "0 hours old, found whole");
    // On a port that was named.
    let mut named = command(&server.data(), &["serve", "--listen", &listen]);
    let mut named = named.stderr(std::process::Stdio::null()).spawn().unwrap();
    let mut port = (String::new(), String::new());
    for _ in 0..200 {
        port = look(&server.data(), &[]).of("port");
        if port.1.contains("takes connections") {
            break;
        }
    }
    assert_eq!(
        port,
        ("ok".to_owned(), format!("{listen} takes connections"))
    );
    let pid = nix::unistd::Pid::from_raw(named.id().cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert!(named.wait().unwrap().success());
    // It left nothing there.
    let names = fs::read_dir(server.data()).unwrap();
    let mut names: Vec<_> = names.map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["LOCK", "backups", "store"]);
}

#[tokio::test]
async fn what_is_wrong_is_told() {
    let mut server = Server::start().await;
    server.stop();
    let data = server.data();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let store = data.join("store");
    let format = fs::read_to_string(store.join("FORMAT")).unwrap();
    fs::write(store.join("FORMAT"), "99 sled\n").unwrap();
    let far = std::time::SystemTime::now() + std::time::Duration::from_secs(3_600);
    let file = fs::File::open(store.join("FORMAT")).unwrap();
    file.set_modified(far).unwrap();
    let seen = look(
        &data,
        &[
            ("TENANTRY_SERVER__LISTEN", &address),
            ("TENANTRY_TLS__CERTIFICATE", "/no/cert.pem"),
            ("TENANTRY_TLS__KEY", "/no/key.pem"),
        ],
    );
    seen.is("permissions", "warn", "0755");
    seen.is("port", "fail", &address);
    seen.is("certificate", "fail", "tls.key: /no/key.pem cannot be read");
    seen.is("store", "fail", "newer version");
    seen.is("clock", "fail", "before the newest change");

    fs::write(store.join("FORMAT"), format).unwrap();
    look(&data, &[]).is("store", "ok", "sled");

    let none = look(&server.dir.path().join("none"), &[]);
    none.is("permissions", "fail", "No such file");

    let wrong = [
        ("TENANTRY_SERVER__WORKERS", "many"),
        ("TENANTRY_SERVER__LISTEN", "0.0.0.0:80"),
    ];
    let seen = look(&data, &wrong);
    assert_eq!(seen.items.len(), 2, "{:#?}", seen.items);
    seen.is("configuration", "fail", "TENANTRY_SERVER__");
}
