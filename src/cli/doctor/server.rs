//! The server and what it was given: its folder, address, certificate, store.

use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::finding::Finding;
use crate::base::{Clock as _, Lock, LockError, SystemClock};
use crate::cli::client::{ApiError, Target};
use crate::cli::server::STORE_FOLDER;
use crate::cli::session::{self, Session};
use crate::config::{Config, Setting, TlsFiles};
use crate::http::tls::Certificates;

/// A certificate should have been renewed by then.
const RENEWED_BEFORE_MS: i64 = 14 * 86_400_000;
const CONNECTING: Duration = Duration::from_secs(3);

/// Who may look into the data folder.
pub fn permissions(data: &Path) -> Finding {
    const CHECK: &str = "permissions";
    let path = data.display();
    let mode = match fs::metadata(data) {
        Ok(meta) => meta.mode() & 0o7777,
        Err(error) => {
            let advice = "`tenantry init` makes it; --data or --config names another";
            return Finding::fail(CHECK, format!("{path}: {error}"), advice);
        }
    };
    let found = format!("{path} has the mode {mode:04o}");
    match mode & 0o077 {
        0 => Finding::ok(CHECK, found),
        _ => Finding::warn(
            CHECK,
            found + ": others than its owner get in",
            format!("`chmod 700 {path}`"),
        ),
    }
}

/// The server in this folder, as far as it runs.
#[derive(Default)]
pub struct Running {
    /// Its process, where it says so.
    pub pid: Option<u32>,
    /// Where it was told to listen, where it says so.
    listen: Option<SocketAddr>,
}

/// Whether a server runs, of which version, and with which settings.
pub fn running(config: &Config) -> (Option<Running>, Finding) {
    const CHECK: &str = "server";
    const OURS: &str = env!("CARGO_PKG_VERSION");
    if !session::running(&config.data).unwrap_or(false) {
        return (None, Finding::ok(CHECK, "not running"));
    }
    let mut running = Running::default();
    if let Err(LockError::Held { holder, .. }) = Lock::acquire(&config.data, "doctor") {
        running.pid = holder.pid;
    }
    let number = running
        .pid
        .map_or_else(String::new, |pid| format!(", process {pid}"));
    let asked = match asked(config) {
        Ok(asked) => asked,
        Err(error) => {
            let found = format!("it runs{number} and does not answer: {error:#}");
            let advice = "look at its log (`journalctl -u tenantry`) and restart it";
            return (Some(running), Finding::fail(CHECK, found, advice));
        }
    };
    running.listen = asked.listen;
    let found = format!("version {} runs{number}", asked.version);
    let finding = if asked.version != OURS {
        let advice = "restart it, so that the installed version runs";
        Finding::warn(CHECK, format!("{found}; this is {OURS}"), advice)
    } else if !asked.differing.is_empty() {
        let keys = asked.differing.join(", ");
        Finding::warn(
            CHECK,
            format!("{found}, with other settings than those read here: {keys}"),
            "restart it to take the file's settings; what its unit or a flag sets has to be in this command's environment too",
        )
    } else {
        Finding::ok(CHECK, found)
    };
    (Some(running), finding)
}

/// What a server says of itself.
struct Asked {
    version: String,
    /// Settings that it has other than they were read here.
    differing: Vec<&'static str>,
    listen: Option<SocketAddr>,
}

fn asked(config: &Config) -> anyhow::Result<Asked> {
    let session = Session::open(config, "doctor")?;
    let health = session.get(&Target::new("/healthz"))?;
    let settings = session.get(&Target::new("/v1/config"))?;
    session.close()?;
    let items = settings["items"].as_array().map(Vec::as_slice);
    let items = items.unwrap_or_default();
    let listen = items.iter().find(|item| item["key"] == "server.listen");
    Ok(Asked {
        version: health["version"].as_str().unwrap_or("?").to_owned(),
        differing: differing(&config.settings, items),
        listen: listen.and_then(|item| item["value"].as_str()?.parse().ok()),
    })
}

fn differing(here: &[Setting], there: &[Value]) -> Vec<&'static str> {
    let value = |key: &str| there.iter().find(|i| i["key"] == key).map(|i| &i["value"]);
    here.iter()
        .filter(|setting| value(setting.key).is_some_and(|v| *v != setting.value))
        .map(|setting| setting.key)
        .collect()
}

/// Whether the address is free for a server, or taken by the running one.
pub fn port(config: &Config, running: Option<&Running>) -> Finding {
    const CHECK: &str = "port";
    let Some(running) = running else {
        let address = config.server.listen;
        return match TcpListener::bind(address) {
            Ok(_) => Finding::ok(CHECK, format!("{address} is free")),
            Err(error) => Finding::fail(
                CHECK,
                format!("{address}: {error}"),
                cannot_bind(&error, address),
            ),
        };
    };
    let address = running.listen.unwrap_or(config.server.listen);
    if address.port() == 0 {
        return Finding::ok(CHECK, "any that is free");
    }
    match TcpStream::connect_timeout(&reachable(address), CONNECTING) {
        Ok(_) => Finding::ok(CHECK, format!("{address} takes connections")),
        Err(error) => Finding::fail(
            CHECK,
            format!("{address} takes no connection: {error}"),
            "look at the server's log (`journalctl -u tenantry`) and restart it",
        ),
    }
}

fn cannot_bind(error: &std::io::Error, address: SocketAddr) -> String {
    match error.kind() {
        ErrorKind::AddrInUse => format!(
            "`ss -ltnp 'sport = :{}'` tells who has it; [server] listen chooses another",
            address.port()
        ),
        ErrorKind::PermissionDenied => "ports below 1024 take a right: AmbientCapabilities=CAP_NET_BIND_SERVICE in the unit, or a port above".to_owned(),
        _ => "`ip address` lists this machine's addresses".to_owned(),
    }
}

/// Where one connects to what listens everywhere.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// What clients think of the certificate.
pub fn certificate(config: &Config) -> Finding {
    const CHECK: &str = "certificate";
    let Some(files) = &config.tls.files else {
        let listen = config.server.listen;
        return match listen.ip().to_canonical().is_loopback() {
            true => Finding::ok(CHECK, "none: plain HTTP, for this machine only"),
            false => Finding::warn(
                CHECK,
                format!("none: plain HTTP on {listen}"),
                "set tls.certificate and tls.key, unless something else keeps this network private",
            ),
        };
    };
    let certificate = match Certificates::load(files) {
        Ok((_, certificate)) => certificate,
        Err(error) => {
            let advice = "put both files in place, then `systemctl reload tenantry`";
            return Finding::fail(CHECK, error.to_string(), advice);
        }
    };
    let now = SystemClock.now();
    let until = certificate.not_after.to_rfc3339();
    let found = format!("for {} until {until}", certificate.names.join(", "));
    let renew = "renew it and `systemctl reload tenantry`; docs/deploy.md has the hook for certbot";
    if let Some(trouble) = certificate.trouble(now) {
        return Finding::fail(CHECK, trouble, renew);
    }
    if certificate.not_after < now.plus_ms(RENEWED_BEFORE_MS) {
        return Finding::warn(CHECK, found, renew);
    }
    match open_key(files) {
        Some(mode) => Finding::warn(
            CHECK,
            format!("{found}; its key has the mode {mode:04o}: everybody here can read it"),
            format!("`chmod 600 {}`", files.key.display()),
        ),
        None => Finding::ok(CHECK, found),
    }
}

/// The key's mode, where everybody can read it.
fn open_key(files: &TlsFiles) -> Option<u32> {
    let mode = fs::metadata(&files.key).ok()?.mode() & 0o7777;
    (mode & 0o007 != 0).then_some(mode)
}

/// Whether the store opens and takes writes. That every byte of it is right only
/// `store check` can tell.
pub fn store(config: &Config) -> Finding {
    const CHECK: &str = "store";
    let folder = config.data.join(STORE_FOLDER);
    let Ok(format) = fs::read_to_string(folder.join("FORMAT")) else {
        let found = format!("there is none in {}", folder.display());
        return Finding::warn(CHECK, found, "`tenantry init` makes one");
    };
    let engine = format.split_whitespace().nth(1).unwrap_or("?").to_owned();
    match ready(config) {
        Ok(()) => Finding::ok(CHECK, format!("{engine}: it opens and takes writes")),
        Err(error) => Finding::fail(
            CHECK,
            format!("{error:#}"),
            "look at the disk, restart the server, then run `tenantry store check`; if that finds damage, restore a backup",
        ),
    }
}

/// Opens the store, where no server has it open, and asks whether it serves.
fn ready(config: &Config) -> anyhow::Result<()> {
    let session = Session::open(config, "doctor")?;
    let readiness = session.get(&Target::new("/readyz"));
    let read = session.get(&Target::new("/v1/tenants").query("limit", "1"));
    session.close()?;
    readiness.map_err(not_ready)?;
    read.map(drop)
}

/// An answer of `/readyz` that says why not.
fn not_ready(error: anyhow::Error) -> anyhow::Error {
    let reasons = error.downcast_ref::<ApiError>().map(|api| {
        let reasons = api.problem["reasons"].as_array();
        let reasons = reasons.map(Vec::as_slice).unwrap_or_default();
        let reasons: Vec<_> = reasons.iter().filter_map(Value::as_str).collect();
        reasons.join("; ")
    });
    match reasons.filter(|text| !text.is_empty()) {
        Some(text) => anyhow::anyhow!(text),
        None => error,
    }
}
