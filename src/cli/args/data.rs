//! Records in and out, and what they have to look like.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// `tenantry apply`
#[derive(Debug, Args)]
#[command(
    after_help = "Without a running server, apply builds new indexes before it ends. \
    A running server builds them in the background; --wait waits for that."
)]
pub struct Apply {
    /// The app file; - for standard input
    pub file: PathBuf,
    /// Show what would change, change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Drop entities that the file leaves out although they have records
    #[arg(long)]
    pub drop_data: bool,
    /// Wait until new indexes are built
    #[arg(long)]
    pub wait: bool,
}

/// `tenantry app`
#[derive(Debug, Subcommand)]
pub enum App {
    /// Print the applied app file
    Show,
    /// List the versions that were applied
    History,
    /// Apply an earlier version again
    Rollback {
        /// Its number, as history shows it
        version: u64,
    },
}

/// `tenantry import`
#[derive(Debug, Args)]
#[command(
    group = clap::ArgGroup::new("whose").required(true).multiple(false).args(["tenant", "tenant_field"]),
    after_help = "The format is told by the file's name (.csv; .ndjson, .jsonl, .json), plain or compressed \
    (.gz, .zst); say --format for anything else. Bad rows are skipped and listed with line and reason.\n\n\
    With --id-field an import can be repeated: a row whose record is there already updates it or \
    leaves it unchanged. Without it every row makes a new record.\n\n\
    Exit status: 0 when the file was read to its end, also with bad rows; 1 when it was not, or \
    when every row was bad."
)]
pub struct Import {
    /// The file; - for standard input
    pub file: PathBuf,
    /// Into this tenant
    #[arg(long, short)]
    pub tenant: Option<String>,
    /// Into the tenant that each row names in this field
    #[arg(long, value_name = "FIELD")]
    pub tenant_field: Option<String>,
    /// The tenant of rows that name none
    #[arg(
        long,
        value_name = "TENANT",
        requires = "tenant_field",
        conflicts_with = "tenant"
    )]
    pub tenant_default: Option<String>,
    /// Make tenants that are missing
    #[arg(long)]
    pub create_tenants: bool,
    /// The records' entity
    #[arg(long, short)]
    pub entity: String,
    /// The field with the record's id; it stays in the record
    #[arg(long, value_name = "FIELD")]
    pub id_field: Option<String>,
    /// The file's format
    #[arg(long)]
    pub format: Option<Format>,
    /// Write every bad row's line and reason here, as NDJSON
    #[arg(long, value_name = "FILE")]
    pub errors: Option<PathBuf>,
}

/// What `import` reads.
#[derive(Debug, Clone, Copy, ValueEnum, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line
    Ndjson,
    /// Comma-separated, with a header
    Csv,
}

/// `tenantry export`
#[derive(Debug, Args)]
#[command(
    after_help = "FILE appears only when the export is whole; until then it is FILE.partial."
)]
pub struct Export {
    /// Where to write; standard output where none is named
    pub file: Option<PathBuf>,
    /// Whose records
    #[arg(long, short)]
    pub tenant: String,
    /// Only this entity's
    #[arg(long, short)]
    pub entity: Option<String>,
}
