//! The command line's grammar. Help texts live here, behaviour in `commands/`.

mod data;
mod people;
mod store;
mod work;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use self::{
    data::{App, Apply, Export, Format, Import},
    people::{Key, Operator, Person, Tenant},
    store::{Backup, Store},
    work::{Archive, Hold, Job, Whom},
};

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
    /// Backups of the whole store: make, list, verify, delete, restore
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
