//! Tenantry measured over HTTP: beside its peers, and beside itself at other
//! sizes. `cargo xtask bench` builds everything and runs this.

mod archive;
mod backup;
mod data;
mod growth;
mod http;
mod installed;
mod jobs;
mod load;
mod peers;
mod process;
mod subject;
mod table;
mod torture;
mod workload;

use std::net::SocketAddr;

use anyhow::Result;
use clap::Parser;

/// Measures Tenantry.
#[derive(Debug, Parser)]
enum Command {
    /// Beside PocketBase and a bare handler
    Peers(peers::Options),
    /// Beside itself, as one tenant grows and as tenants become many
    Growth(growth::Options),
    /// Very many schedules; hung webhooks and a very long queue beside others
    Jobs(jobs::Options),
    /// A store whose records were archived, beside one that never had them
    Archive(archive::Options),
    /// Backups beside requests
    Backup(backup::Options),
    /// Crashes and faults instead of figures
    #[command(subcommand)]
    Torture(torture::Options),
    /// The bare handler itself
    #[command(hide = true)]
    ServeBare {
        /// Where it listens
        address: SocketAddr,
    },
}

fn main() -> Result<()> {
    match Command::parse() {
        Command::Peers(options) => peers::run(&options),
        Command::Growth(options) => growth::run(&options),
        Command::Jobs(options) => jobs::run(&options),
        Command::Archive(options) => archive::run(&options),
        Command::Backup(options) => backup::run(&options),
        Command::Torture(options) => torture::run(&options),
        Command::ServeBare { address } => subject::serve_bare(address),
    }
}
