//! Jobs and the archive.

use std::path::PathBuf;

use clap::{Args, Subcommand};

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
