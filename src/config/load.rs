//! Every key with its default and its bounds, in one place a section, and the
//! rules between keys. `config.toml` says the same in sentences.

use std::path::Path;

use super::reader::Reader;
use super::sources::{Sources, gather};
use super::{
    Auth, Backup, Config, ConfigProblem, Cors, Jobs, Limits, Log, LogFormat, StoreConfig, server,
};
use crate::domain::retention::Keep;

/// The engines that `[store] engine` can name.
const ENGINES: [&str; 3] = ["auto", "sled", "fjall"];
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

impl Config {
    /// Reads all sources; either a configuration without a mistake or every mistake.
    pub fn load(sources: Sources) -> Result<Self, Vec<ConfigProblem>> {
        let mut problems = Vec::new();
        let entries = gather(&sources, &mut problems);
        let mut reader = Reader::new(entries, problems);
        let config = Self::read(&mut reader, &sources);
        let problems = reader.finish();
        if problems.is_empty() {
            Ok(config)
        } else {
            Err(problems)
        }
    }

    pub(super) fn read(reader: &mut Reader, sources: &Sources) -> Self {
        let file = sources.file.as_deref();
        let data = reader.path("data", Path::new("data"), file);
        let mut config = Self {
            file: sources.file.clone(),
            backup: backup(reader, &data, file),
            data,
            server: server::server(reader),
            tls: server::tls(reader, file),
            store: store(reader),
            limits: limits(reader),
            auth: auth(reader),
            jobs: jobs(reader),
            cors: cors(reader),
            log: log(reader),
            settings: Vec::new(),
        };
        config.settings = reader.settings();
        server::check(reader, &config);
        config
    }
}

pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn store(r: &mut Reader) -> StoreConfig {
    StoreConfig {
        engine: r.parsed(
            "store.engine",
            ENGINES[0].to_owned(),
            &format!("one of {ENGINES:?}"),
            |text| ENGINES.contains(&text).then(|| text.to_owned()),
        ),
        cache_bytes: r.integer("store.cache_bytes", 256 * MIB, 8 * MIB..=(MIB * MIB)),
        record_cache_bytes: r.integer("store.record_cache_bytes", 64 * MIB, 0..=(MIB * MIB)),
        queue_batches_max: r.integer("store.queue_batches_max", 4_096, 1..=1_000_000),
    }
}

fn limits(r: &mut Reader) -> Limits {
    let limits = Limits {
        body_bytes_max: r.integer("limits.body_bytes_max", 8 << 20, 1 << 10..=1 << 30),
        page_items_default: r.integer("limits.page_items_default", 50, 1..=10_000),
        page_items_max: r.integer("limits.page_items_max", 500, 1..=10_000),
        page_bytes_max: r.integer("limits.page_bytes_max", 1 << 20, 1 << 10..=64 << 20),
        batch_operations_max: r.integer("limits.batch_operations_max", 100, 1..=10_000),
        import_line_bytes_max: r.integer(
            "limits.import_line_bytes_max",
            1 << 20,
            1 << 10..=16 << 20,
        ),
        import_errors_max: r.integer("limits.import_errors_max", 1_000, 1..=100_000),
        tenants_max: r.integer("limits.tenants_max", 100_000, 1..=100_000_000),
        keys_per_tenant_max: r.integer("limits.keys_per_tenant_max", 100, 1..=100_000),
        idempotency_hours: r.integer("limits.idempotency_hours", 24, 1..=8_760),
    };
    if limits.page_items_default > limits.page_items_max {
        r.conflict(
            "limits.page_items_default",
            format!(
                "expected at most limits.page_items_max ({}), found {}",
                limits.page_items_max, limits.page_items_default
            ),
        );
    }
    limits
}

fn auth(r: &mut Reader) -> Auth {
    let auth = Auth {
        session_hours: r.integer("auth.session_hours", 12, 1..=8_760),
        argon2_memory_kib: r.integer("auth.argon2_memory_kib", 19_456, 8..=(4 * KIB * KIB) as u32),
        argon2_passes: r.integer("auth.argon2_passes", 2, 1..=1_000),
        argon2_threads: r.integer("auth.argon2_threads", 1, 1..=64),
        hash_threads: r.integer("auth.hash_threads", 1, 1..=64),
        hash_queue_max: r.integer("auth.hash_queue_max", 64, 1..=10_000),
        login_delay_ms_first: r.integer("auth.login_delay_ms_first", 250, 0..=60_000),
        login_delay_ms_max: r.integer("auth.login_delay_ms_max", 30_000, 0..=3_600_000),
    };
    if auth.login_delay_ms_first > auth.login_delay_ms_max {
        r.conflict(
            "auth.login_delay_ms_first",
            format!(
                "expected at most auth.login_delay_ms_max ({}), found {}",
                auth.login_delay_ms_max, auth.login_delay_ms_first
            ),
        );
    }
    if auth.argon2_memory_kib < 8 * auth.argon2_threads {
        r.conflict(
            "auth.argon2_memory_kib",
            format!(
                "expected at least 8 times auth.argon2_threads, which is {}",
                8 * auth.argon2_threads
            ),
        );
    }
    auth
}

fn jobs(r: &mut Reader) -> Jobs {
    Jobs {
        cpu_slots: match r.integer("jobs.cpu_slots", 0, 0..=1_024) {
            0 => cores(),
            slots => slots,
        },
        io_slots: r.integer("jobs.io_slots", 64, 1..=10_000),
        running_per_tenant_max: r.integer("jobs.running_per_tenant_max", 1, 1..=1_000),
        queued_per_tenant_max: r.integer("jobs.queued_per_tenant_max", 100_000, 1..=10_000_000),
        missed_window_hours: r.integer("jobs.missed_window_hours", 24, 0..=8_760),
        pause_after_failures: r.integer("jobs.pause_after_failures", 10, 0..=10_000),
        grace_s: r.integer("jobs.grace_s", 10, 0..=3_600),
        lease_s: r.integer("jobs.lease_s", 30, 5..=3_600),
        history_runs: r.integer("jobs.history_runs", 20, 1..=10_000),
        history_days: r.integer("jobs.history_days", 7, 1..=3_650),
        history_failure_days: r.integer("jobs.history_failure_days", 30, 1..=3_650),
        log_bytes_max: r.integer("jobs.log_bytes_max", 64 << 10, 1 << 10..=256 << 10),
        allow_private_addresses: r.boolean("jobs.allow_private_addresses", false),
    }
}

fn backup(r: &mut Reader, data: &Path, file: Option<&Path>) -> Backup {
    Backup {
        folder: r.path("backup.folder", &data.join("backups"), file),
        keep: Keep {
            daily: r.integer("backup.keep_daily", 7, 0..=3_660),
            weekly: r.integer("backup.keep_weekly", 4, 0..=520),
            monthly: r.integer("backup.keep_monthly", 12, 0..=1_200),
            manual: r.integer("backup.keep_manual", 0, 0..=10_000),
        },
        recipients: r.texts(
            "backup.recipients",
            20,
            "public keys of age such as \"age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\"",
            is_recipient,
        ),
        identity: r.optional_path("backup.identity", file),
        verify: r.boolean("backup.verify", true),
    }
}

/// Roughly what a public key of age looks like; it is read when the server starts.
fn is_recipient(text: &str) -> bool {
    let key = text.strip_prefix("age1").unwrap_or_default();
    key.len() == 58
        && key
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

fn cors(r: &mut Reader) -> Cors {
    Cors {
        origins: r.texts(
            "cors.origins",
            100,
            "origins such as \"https://app.example.com\", lower case, without a path",
            is_origin,
        ),
    }
}

/// What a browser sends as `Origin`: scheme, host, perhaps a port, nothing else.
/// `*` is none: sessions travel by cookie, so each origin is named.
fn is_origin(text: &str) -> bool {
    let Some(host) = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))
    else {
        return false;
    };
    !host.is_empty()
        && host.len() <= 260
        && host
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.:[]".contains(&b))
}

fn log(r: &mut Reader) -> Log {
    Log {
        format: r.parsed(
            "log.format",
            LogFormat::Text,
            "\"text\" or \"json\"",
            |text| match text {
                "text" => Some(LogFormat::Text),
                "json" => Some(LogFormat::Json),
                _ => None,
            },
        ),
        filter: r.parsed(
            "log.filter",
            "info".to_owned(),
            "a filter such as \"info\" or \"tenantry=debug,info\"",
            |text| {
                let parsed = tracing_subscriber::EnvFilter::builder().parse(text);
                parsed.ok().map(|_| text.to_owned())
            },
        ),
    }
}
