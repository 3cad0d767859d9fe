//! The store and its backups.

use std::path::PathBuf;

use clap::{Subcommand, builder::PossibleValuesParser};

use crate::store::DiskEngine;

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
    /// Delete one for good, whatever keeps it
    Delete {
        /// Its id, as list shows it
        backup: String,
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
