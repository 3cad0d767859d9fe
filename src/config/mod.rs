//! The configuration: `config.toml` < environment < flags.
//!
//! [`Config::load`] gathers the three sources into one map, reads every key with
//! its type and bounds, and either gives a [`Config`] that needs no further check
//! or every problem at once. Nothing above this module reads the environment.

mod load;
mod problem;
mod reader;
mod server;
mod sources;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;
pub use problem::{ConfigProblem, Origin};
pub use sources::{Flags, Sources};

use crate::domain::retention::Keep;

/// The configuration file's usual name.
pub const FILE_NAME: &str = "config.toml";

/// The commented default configuration, as `tenantry init` writes it. A test
/// asserts that it equals the defaults.
pub const COMMENTED_DEFAULT: &str = include_str!("../../config.toml");

/// Everything that can be set, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The file that was read, where there was one.
    pub file: Option<PathBuf>,
    /// The data folder, absolute.
    pub data: PathBuf,
    /// The listener and its time limits.
    pub server: Server,
    /// The certificate that the listener shows.
    pub tls: Tls,
    /// The engine and its memory.
    pub store: StoreConfig,
    /// The sizes of everything that clients send or ask for.
    pub limits: Limits,
    /// Sessions and passwords.
    pub auth: Auth,
    /// How much runs at once, and what is kept of it.
    pub jobs: Jobs,
    /// Where backups go, and which of them stay.
    pub backup: Backup,
    /// Which other origins may call from a browser.
    pub cors: Cors,
    /// What is logged and how.
    pub log: Log,
    /// Every setting as it stands, with where it came from.
    pub settings: Vec<Setting>,
}

/// A setting as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Its key, as `section.key`.
    pub key: &'static str,
    /// Its value.
    pub value: serde_json::Value,
    /// Where it came from.
    pub origin: Origin,
}

/// `[server]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Where the server listens.
    pub listen: SocketAddr,
    /// Whether that may be plain HTTP where other machines can reach it.
    pub allow_plain_http: bool,
    /// Threads that answer requests; never 0 here (0 in the file means one for each core).
    pub workers: usize,
    /// A client's time to send a request's head.
    pub request_timeout_ms: u64,
    /// A client's time to send the next part of a body.
    pub body_timeout_ms: u64,
    /// How long an idle connection is kept.
    pub keep_alive_s: u64,
    /// How long requests may finish after SIGTERM.
    pub shutdown_grace_s: u64,
    /// Connections at once.
    pub connections_max: usize,
    /// Connections at once from one address; 0 means no limit.
    pub connections_per_address_max: usize,
    /// Proxies that are believed about their clients.
    pub trusted_proxies: Vec<IpNet>,
    /// The header in which they tell.
    pub proxy_header: ProxyHeader,
}

/// The header in which proxies tell whom they speak for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProxyHeader {
    /// `X-Forwarded-For`, with `X-Forwarded-Proto`.
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// `[tls]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The files; none is plain HTTP.
    pub files: Option<TlsFiles>,
    /// How long browsers are told to come by TLS only; 0 tells them nothing.
    pub hsts_max_age_s: u64,
}

/// A certificate and its key, both in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, then those between it and the authority's own.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// `[store]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// The engine's name, or `auto`: the one that the store was made with.
    pub engine: String,
    /// The engine's own cache.
    pub cache_bytes: u64,
    /// The committer's cache of records.
    pub record_cache_bytes: u64,
    /// Batches that may wait to be committed.
    pub queue_batches_max: usize,
}

/// `[limits]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// A request's body, streamed imports left out.
    pub body_bytes_max: usize,
    /// Items of a list that asks for no number.
    pub page_items_default: usize,
    /// The most a list may ask for.
    pub page_items_max: usize,
    /// A page of a list ends here.
    pub page_bytes_max: usize,
    /// Operations of one batch.
    pub batch_operations_max: usize,
    /// A line of an import.
    pub import_line_bytes_max: usize,
    /// Bad lines that an import's answer lists.
    pub import_errors_max: usize,
    /// Tenants of the installation.
    pub tenants_max: u64,
    /// API keys of one tenant.
    pub keys_per_tenant_max: usize,
    /// How long an `Idempotency-Key` is remembered.
    pub idempotency_hours: u64,
}

/// `[auth]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// How long a session lasts.
    pub session_hours: u64,
    /// argon2id: memory of one hash.
    pub argon2_memory_kib: u32,
    /// argon2id: passes over that memory.
    pub argon2_passes: u32,
    /// argon2id: lanes.
    pub argon2_threads: u32,
    /// Hashes computed at once.
    pub hash_threads: usize,
    /// Sign-ins that may wait for a hash.
    pub hash_queue_max: usize,
    /// The wait after the first failed sign-in; it doubles with each further one.
    pub login_delay_ms_first: u64,
    /// The longest such wait.
    pub login_delay_ms_max: u64,
}

/// `[jobs]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jobs {
    /// Runs that work at once; never 0 here (0 in the file means one for each core).
    pub cpu_slots: usize,
    /// Runs that wait for a network at once.
    pub io_slots: usize,
    /// Runs of one tenant at once.
    pub running_per_tenant_max: usize,
    /// Runs that one tenant may have waiting.
    pub queued_per_tenant_max: usize,
    /// How late a missed slot may still run.
    pub missed_window_hours: u64,
    /// Failed runs in a row after which a job is paused for a tenant; 0 is never.
    pub pause_after_failures: u32,
    /// How long runs may go on after SIGTERM.
    pub grace_s: u64,
    /// How long a process may be silent before its runs are taken over.
    pub lease_s: u64,
    /// Runs that succeeded, were cancelled or skipped: kept of each job and tenant.
    pub history_runs: usize,
    /// And for how long.
    pub history_days: u64,
    /// How long failed runs are kept, up to ten times `history_runs`.
    pub history_failure_days: u64,
    /// A run's log.
    pub log_bytes_max: usize,
    /// Whether webhooks may go to private addresses and over plain HTTP.
    pub allow_private_addresses: bool,
}

/// `[backup]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// The folder of the backups, absolute.
    pub folder: PathBuf,
    /// Which of those that a job made are kept, and of those made by hand.
    pub keep: Keep,
    /// Public keys of age that every backup is encrypted for; empty: none is encrypted.
    pub recipients: Vec<String>,
    /// The file with the secret key that opens encrypted ones, absolute, for verifying.
    pub identity: Option<PathBuf>,
    /// Whether the job verifies what it made.
    pub verify: bool,
}

/// `[cors]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    /// Origins (`https://app.example.com`) whose pages may call; empty is none.
    pub origins: Vec<String>,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// How a line looks.
    pub format: LogFormat,
    /// What is logged, in `tracing_subscriber::EnvFilter`'s words.
    pub filter: String,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}
