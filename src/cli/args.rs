//! The command line's grammar. Help texts live here, behaviour in `commands/`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, builder::PossibleValuesParser};

use crate::store::DiskEngine;

/// Tenants' records on an embedded store, over HTTP and from the shell.
#[derive(Debug, Parser)]
#[command(
    name = "tenantry",
    version,
    after_help = "Exit status: 0 it worked, 1 it failed, 2 wrong use (the command line or the configuration).\n\
        Commands work with the server running and without it."
)]
pub struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Configuration file [default: config.toml of this folder, where there is one]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Data folder (also TENANTRY_DATA) [default: data, beside the configuration file]
    #[arg(long, global = true, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Print results as JSON
    #[arg(long, global = true)]
    pub json: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make config.toml, app.toml, the store, the first operator and a tenant with an API key
    Init(Init),
    /// Run the server until SIGTERM
    Serve(Serve),
    /// Apply an app file: the entities, their schemas and indexes
    Apply(Apply),
    /// Tenants: customers' accounts
    #[command(subcommand)]
    Tenant(Tenant),
    /// Tenants' API keys
    #[command(subcommand)]
    Key(Key),
    /// Operators: the people who run this installation
    #[command(subcommand)]
    Operator(Operator),
    /// Jobs and their runs
    #[command(subcommand)]
    Job(Job),
    /// The archive tier: what leaves the hot one, comes back, is kept or erased
    #[command(subcommand)]
    Archive(Archive),
    /// Read records from NDJSON or CSV into one tenant or many
    Import(Import),
    /// Write a tenant's records as NDJSON, which import reads again
    Export(Export),
    /// The applied app file and its versions
    #[command(subcommand)]
    App(App),
    /// Backups of the whole store: make, list, verify, restore
    #[command(subcommand)]
    Backup(Backup),
    /// The store: its size, its health
    #[command(subcommand)]
    Store(Store),
    /// Look at everything that keeps the server from working well, and say what to do
    #[command(
        after_help = "Looks at the configuration, permissions, the port, the certificate, the disk and its syncs, \
        the clock, open files, the store and the last backup. Exit status 1 where anything fails. \
        `tenantry store check` reads every record besides."
    )]
    Doctor,
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the man page
    Man,
}

/// `tenantry init`
#[derive(Debug, Args)]
#[command(
    after_help = "Files that exist are kept. A store that has an operator is not touched. \
    Without a terminal, or with --yes, nothing is asked: a password is made and shown once."
)]
pub struct Init {
    /// The installation's folder
    #[arg(default_value = ".")]
    pub dir: PathBuf,
    /// Ask nothing
    #[arg(long, short)]
    pub yes: bool,
    /// The first operator's email address
    #[arg(long)]
    pub email: Option<String>,
    /// Read the operator's password from standard input's first line
    #[arg(long)]
    pub password_stdin: bool,
}

/// `tenantry serve`
#[derive(Debug, Args)]
pub struct Serve {
    /// Listen here instead of where the configuration says
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<String>,
    /// A server to look at, with generated data, in a folder of its own that goes when it
    /// ends, or in the one of --data, which stays until the next demo there
    #[arg(long)]
    pub demo: bool,
}

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

/// `tenantry tenant`
#[derive(Debug, Subcommand)]
pub enum Tenant {
    /// Make a tenant
    Create {
        /// Its slug: lower case letters, digits and hyphens
        tenant: String,
        /// Its name [default: the slug]
        #[arg(long)]
        name: Option<String>,
        /// Its time zone, such as Europe/Vienna
        #[arg(long)]
        timezone: Option<String>,
        /// Its language and region, such as de-AT
        #[arg(long)]
        locale: Option<String>,
        /// A note of yours; may be repeated
        #[arg(long, value_name = "KEY=VALUE")]
        meta: Vec<String>,
        /// Make an API key too and print it
        #[arg(long)]
        key: bool,
    },
    /// List all tenants
    List,
    /// Show a tenant
    Show {
        /// Its slug
        tenant: String,
    },
    /// Change a tenant: name=, timezone=, locale=, weight=, meta.KEY= (nothing after meta.KEY= removes it)
    Set {
        /// Its slug
        tenant: String,
        /// What to change
        #[arg(required = true, value_name = "FIELD=VALUE")]
        changes: Vec<String>,
    },
}

/// `tenantry key`
#[derive(Debug, Subcommand)]
pub enum Key {
    /// Make an API key; it is shown this once
    Create {
        /// Whose it is
        tenant: String,
        /// What it is for
        #[arg(long)]
        name: Option<String>,
        /// What it may do
        #[arg(long, value_delimiter = ',', default_values_t = [Scope::Read, Scope::Write])]
        scopes: Vec<Scope>,
        /// When it ends, RFC 3339 [default: never]
        #[arg(long, value_name = "TIME")]
        expires_at: Option<String>,
    },
    /// List a tenant's API keys
    List {
        /// Whose they are
        tenant: String,
    },
    /// Revoke an API key, at once
    Revoke {
        /// Whose it is
        tenant: String,
        /// The key's id, as list shows it
        key: String,
    },
}

/// What a key may do.
#[derive(Debug, Clone, Copy, ValueEnum, PartialEq, Eq)]
pub enum Scope {
    /// Read records
    Read,
    /// Write, archive and restore records
    Write,
    /// The tenant's own keys and settings
    Admin,
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        })
    }
}

/// `tenantry operator`
#[derive(Debug, Subcommand)]
pub enum Operator {
    /// Add an operator
    Add(Person),
    /// List the operators
    List,
    /// Set an operator's password
    Passwd(Person),
    /// Remove an operator and end their sessions
    Remove {
        /// The email address
        email: String,
    },
}

/// An operator and where the password comes from.
#[derive(Debug, Args)]
#[command(
    after_help = "The password is asked for on a terminal. Without one, and without \
    --password-stdin, it is made and shown once."
)]
pub struct Person {
    /// The email address
    pub email: String,
    /// Read the password from standard input's first line
    #[arg(long)]
    pub password_stdin: bool,
}

/// `tenantry job`
#[derive(Debug, Subcommand)]
pub enum Job {
    /// List the jobs that the app file declares
    List,
    /// Show a job
    Show {
        /// Its name
        job: String,
    },
    /// Queue runs now
    Run {
        /// The job
        job: String,
        #[command(flatten)]
        whom: Whom,
        /// Wait until they are over; exit status 1 where one did not succeed
        #[arg(long)]
        wait: bool,
    },
    /// Queue the schedule's slots of a range of dates, where they have no run yet
    Backfill {
        /// The job
        job: String,
        #[command(flatten)]
        whom: Whom,
        /// The first moment: RFC 3339, or a date (midnight UTC)
        #[arg(long, value_name = "TIME")]
        from: String,
        /// The first moment behind the range
        #[arg(long, value_name = "TIME")]
        to: String,
    },
    /// List runs, those queued last first
    Runs {
        /// Of this job
        #[arg(long)]
        job: Option<String>,
        /// Of this tenant; ~ is the installation
        #[arg(long, short)]
        tenant: Option<String>,
        /// queued, running, succeeded, failed, timed_out, cancelled, skipped or dead
        #[arg(long)]
        state: Option<String>,
        /// How many
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Print a run and its log
    Log {
        /// The run, as runs shows it
        run: String,
        /// Go on until the run is over
        #[arg(long, short)]
        follow: bool,
    },
    /// Cancel a run
    Cancel {
        /// The run
        run: String,
    },
    /// Have a run that did not succeed wait for another attempt, from its checkpoint
    Retry {
        /// The run
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        run: Option<String>,
        /// All runs of this job in the state of --state
        #[arg(long, value_name = "JOB")]
        all: Option<String>,
        /// Which runs --all means
        #[arg(long, default_value = "dead", requires = "all")]
        state: String,
    },
    /// Pause a job, a tenant's jobs, a tenant's job, or everything
    Pause {
        /// The job
        job: Option<String>,
        /// For this tenant only
        #[arg(long, short)]
        tenant: Option<String>,
        /// Everything
        #[arg(long, conflicts_with_all = ["job", "tenant"], required_unless_present_any = ["job", "tenant"])]
        everything: bool,
        /// Why
        #[arg(long)]
        reason: Option<String>,
    },
    /// End a pause
    Resume {
        /// The job
        job: Option<String>,
        /// For this tenant only
        #[arg(long, short)]
        tenant: Option<String>,
        /// Everything
        #[arg(long, conflicts_with_all = ["job", "tenant"], required_unless_present_any = ["job", "tenant"])]
        everything: bool,
    },
    /// List what is paused
    Pauses,
    /// Print what a tenant's receiver checks a webhook's signatures with
    Secret {
        /// The job
        job: String,
        /// The tenant
        tenant: String,
        /// Make a new one; the one before signs too for a day
        #[arg(long)]
        rotate: bool,
    },
}

/// `tenantry archive`
#[derive(Debug, Subcommand)]
pub enum Archive {
    /// What the rules would move and erase now, and how much smaller the hot tier would be
    Plan {
        /// For this tenant; may be repeated [default: all]
        #[arg(long, short)]
        tenant: Vec<String>,
        /// What the rules of this app file would do that are not applied yet
        #[arg(long, short, value_name = "APP_FILE")]
        file: Option<PathBuf>,
    },
    /// Carry out the rules now and wait; or, with --entity, archive what a query names
    Run {
        /// For this tenant; may be repeated [default: all]
        #[arg(long, short)]
        tenant: Vec<String>,
        /// Erase archived records whose purge_after is over, instead of archiving
        #[arg(long)]
        purge: bool,
        /// Archive this entity's records that --where names, whatever its rule says
        #[arg(long, short, conflicts_with = "purge", requires = "tenant")]
        entity: Option<String>,
        /// The filters of a list, as in 'status=closed&closed_at[lt]=2026-01-01' [default: all]
        #[arg(long = "where", value_name = "QUERY", requires = "entity")]
        query: Option<String>,
    },
    /// What there is of each entity in both tiers, and how far it is compressed
    Status {
        /// For this tenant; may be repeated [default: all]
        #[arg(long, short)]
        tenant: Vec<String>,
    },
    /// Bring a record back, or the archived ones that a query names
    Restore {
        /// The tenant
        tenant: String,
        /// The entity
        entity: String,
        /// The record
        #[arg(required_unless_present = "query", conflicts_with = "query")]
        id: Option<String>,
        /// The filters of a list, as in 'status=closed'; '' for all
        #[arg(long = "where", value_name = "QUERY")]
        query: Option<String>,
    },
    /// List what purges erased
    Receipts {
        /// The tenant
        tenant: String,
    },
    /// Legal holds: what they cover is neither deleted nor purged
    #[command(subcommand)]
    Hold(Hold),
}

/// `tenantry archive hold`
#[derive(Debug, Subcommand)]
pub enum Hold {
    /// Set one on a tenant, an entity or a record; prints its id
    Set {
        /// The tenant
        tenant: String,
        /// The entity [default: all of the tenant]
        #[arg(long, short)]
        entity: Option<String>,
        /// The record [default: all of the entity]
        #[arg(long, requires = "entity")]
        record: Option<String>,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// List those in force
    List {
        /// The tenant
        tenant: String,
        /// Those that were lifted, instead
        #[arg(long)]
        lifted: bool,
    },
    /// Lift one; who did, when and why is kept
    Lift {
        /// The tenant
        tenant: String,
        /// The hold, as list shows it
        hold: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
}

/// For whom.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Whom {
    /// For this tenant; may be repeated
    #[arg(long, short)]
    pub tenant: Vec<String>,
    /// For everybody that the job is for
    #[arg(long)]
    pub all: bool,
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

/// `tenantry backup`
#[derive(Debug, Subcommand)]
pub enum Backup {
    /// Make one now, as of one moment, beside everything that the server does
    Create {
        /// Verify it when it is made
        #[arg(long)]
        verify: bool,
    },
    /// List those that are there, and why they stay
    List,
    /// Restore one into a scratch store and check that
    #[command(
        after_help = "A backup of the installation's own folder is named by its id, and what comes of it is noted there.\nThe scratch store of any other file is made in TMPDIR.\n\nExit status: 0 it is whole, 1 it is not, or could not be tried."
    )]
    Verify {
        /// Its id, as list shows it, or a file
        backup: String,
        /// The file with the secret key of age that opens it [default: identity in the configuration]
        #[arg(long, value_name = "FILE")]
        identity: Option<PathBuf>,
    },
    /// Make a store of one, only without a running server; or bring one tenant back, at any time
    #[command(
        after_help = "With --tenant: records, legal holds, receipts and settings come back; API keys and runs of jobs do not.\n\nWithout: API keys, operators and passwords are as they were then: what was revoked since is valid again. Nobody is signed in."
    )]
    Restore {
        /// Its id, as list shows it, or a file
        backup: String,
        /// Over the store that is there, which is kept beside the new one
        #[arg(long, conflicts_with = "tenant")]
        overwrite: bool,
        /// Only this tenant, beside those that are there
        #[arg(long, short)]
        tenant: Option<String>,
        /// Under this name
        #[arg(long = "as", value_name = "TENANT", requires = "tenant")]
        name: Option<String>,
        /// The file with the secret key of age that opens it [default: identity in the configuration]
        #[arg(long, value_name = "FILE")]
        identity: Option<PathBuf>,
    },
}

/// `tenantry store`
#[derive(Debug, Subcommand)]
pub enum Store {
    /// Keys and bytes of each tree, disk used, space amplification
    Stats,
    /// Read everything and compare: records, index rows, counters
    #[command(
        after_help = "Exit status: 0 nothing is wrong (or all of it was repaired), 1 something is."
    )]
    Check {
        /// Rebuild index rows and counters from the records
        #[arg(long)]
        repair: bool,
        /// Also list the records that no longer fit their entity's schema
        #[arg(long)]
        schema: bool,
    },
    /// Copy the store into a fresh, smaller one; only without a running server
    Compact,
    /// Copy the store into one of another engine; only without a running server
    #[command(
        after_help = "Every key is copied and compared before the switch. The store before is kept beside\nthe new one until --drop-old, but what is written from then on is only in the new one."
    )]
    Convert {
        /// The engine of the new store
        #[arg(long, value_name = "ENGINE", value_parser = engines(), required_unless_present = "drop_old")]
        to: Option<String>,
        /// Remove the store that an earlier conversion kept
        #[arg(long, conflicts_with = "to")]
        drop_old: bool,
    },
}

fn engines() -> PossibleValuesParser {
    PossibleValuesParser::new(DiskEngine::ALL.map(DiskEngine::name))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_grammar_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn import_needs_one_way_to_name_the_tenant() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' '));
        parse("tenantry import -t acme -e ticket -").unwrap();
        parse("tenantry import --tenant-field c --tenant-default x -e ticket f.csv").unwrap();
        assert!(parse("tenantry import -e ticket f.csv").is_err());
        assert!(parse("tenantry import -t a --tenant-field c -e ticket f.csv").is_err());
        assert!(parse("tenantry import -t a --tenant-default x -e ticket f.csv").is_err());
    }
}
