//! Crashes and faults of the real binary: power cuts, SIGKILL under load, a disk that
//! fails. Everything that the server acknowledged is written down by the one who asked
//! (`ledger`) and looked for afterwards. `cargo xtask torture` builds and runs this.

mod faults;
mod injector;
mod kill;
mod ledger;
mod movers;
mod power;
mod rig;
mod volume;
mod writers;

use anyhow::{Result, bail};

/// Which disaster.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Options {
    /// The disk's image is copied while the server is frozen, and opened: a power cut (needs root)
    Power(power::Options),
    /// SIGKILL under load of requests, jobs and archive moves
    Kill(kill::Options),
    /// Syncs, writes and reads fail, the disk fills up, under the running server (needs root and strace)
    Faults(faults::Options),
}

/// Runs it; an error where anything was lost.
pub fn run(options: &Options) -> Result<()> {
    match options {
        Options::Power(options) => power::run(options),
        Options::Kill(options) => kill::run(options),
        Options::Faults(options) => faults::run(options),
    }
}

/// The engines that are named, or both.
#[derive(Debug, Clone, clap::Args)]
struct Engines {
    /// Engines
    #[arg(long, value_delimiter = ',', default_values_t = ["sled".to_owned(), "fjall".to_owned()])]
    engine: Vec<String>,
}

/// Lines of one round's failures that are printed.
const SHOWN: usize = 8;

/// What rounds came to: each one's line is printed, the sum at the end.
struct Tally {
    what: String,
    rounds: usize,
    failed: usize,
}

impl Tally {
    fn new(what: String) -> Self {
        Self {
            what,
            rounds: 0,
            failed: 0,
        }
    }

    /// Counts a round: what it saw, and what was wrong.
    fn round(&mut self, name: &str, saw: &str, wrong: &[String]) {
        self.rounds += 1;
        self.failed += usize::from(!wrong.is_empty());
        let verdict = if wrong.is_empty() { "ok" } else { "FAILED" };
        println!("{} {name}: {verdict}; {saw}", self.what);
        for line in wrong.iter().take(SHOWN) {
            println!("    {line}");
        }
        if wrong.len() > SHOWN {
            println!("    and {} more", wrong.len() - SHOWN);
        }
    }

    /// The sum; an error where a round failed.
    fn sum(self) -> Result<()> {
        let Self {
            what,
            rounds,
            failed,
        } = self;
        println!("{what}: {rounds} rounds, {failed} failed");
        match (rounds, failed) {
            (0, _) => bail!("{what}: no rounds"),
            (_, 0) => Ok(()),
            _ => bail!("{what}: {failed} of {rounds} rounds failed"),
        }
    }
}

/// Runs all of them, also behind one that failed, and answers the first failure.
fn each<T>(of: &[T], mut run: impl FnMut(&T) -> Result<()>) -> Result<()> {
    let results: Vec<_> = of.iter().map(&mut run).collect();
    results.into_iter().collect()
}
