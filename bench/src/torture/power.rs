//! Power cuts: the store lies on a mounted image, the server is frozen under load, the
//! image is copied without the mount being synced, and the copy is mounted and opened.
//!
//! What the system kept in memory and had not given to the device is lost, as it is
//! when the power goes. A device that keeps writes in a cache of its own and loses them
//! is not simulated: whatever reached it counts as written.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::{Engines, Tally, each, rig::Rig, volume::Volume};
use crate::{
    data::Numbers,
    subject::{TICKET, Tenantry},
};

/// `torture power`
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Power cuts of each engine
    #[arg(long, default_value_t = 50)]
    rounds: usize,
    #[command(flatten)]
    engines: Engines,
    /// Where images are made; a file system in memory is quick
    #[arg(long, default_value = "/dev/shm")]
    folder: std::path::PathBuf,
    /// The binary whose sled syncs as it comes, to show that these rounds can fail: at
    /// least one of them has to
    #[arg(long)]
    unsynced: bool,
}

const IMAGE_MB: u64 = 1024;

/// Cuts the power of each engine.
pub fn run(options: &Options) -> Result<()> {
    if options.unsynced {
        return unsynced(options);
    }
    each(&options.engines.engine, |engine| {
        let mut tally = Tally::new(format!("power cuts, {engine}"));
        let binary = Tenantry::new(engine)?;
        cuts(options, binary, &[], &mut tally)?;
        tally.sum()
    })
}

/// Has to fail in at least one round.
fn unsynced(options: &Options) -> Result<()> {
    let mut tally = Tally::new("power cuts, sled without a real fsync".into());
    // A store that does not open ends the rounds early; a fresh one takes its place.
    while tally.rounds < options.rounds {
        let binary = Tenantry::built_as("tenantry-unsynced", "sled")?;
        let env = [("TENANTRY_UNSYNCED", "the data may be lost")];
        cuts(options, binary, &env, &mut tally)?;
    }
    let Tally {
        what,
        rounds,
        failed,
    } = &tally;
    println!("{what}: {rounds} rounds, {failed} lost something or did not open");
    match tally.failed {
        0 => bail!("nothing was lost without a sync: these rounds cannot fail"),
        _ => Ok(()),
    }
}

/// Rounds on one store, until it does not open or all are done.
fn cuts(
    options: &Options,
    binary: Tenantry,
    env: &[(&str, &str)],
    tally: &mut Tally,
) -> Result<()> {
    let folder =
        tempfile::tempdir_in(&options.folder).with_context(|| format!("{:?}", options.folder))?;
    let mut volume = Volume::new(folder.path(), IMAGE_MB)?;
    let mut rig = Rig::new(binary, TICKET, &volume.mounted_at, env)?;
    let mut numbers = Numbers::new(tally.rounds as u64 + 1);
    while tally.rounds < options.rounds {
        let time = Duration::from_millis(30 + numbers.below(500) as u64);
        let mut answered = 0;
        let cut = |process: &mut crate::process::Process| {
            process.freeze()?;
            volume.cut(|| process.kill())
        };
        answered += rig.load(time, cut)?;
        let name = format!("{:2}", tally.rounds + 1);
        let began = Instant::now();
        if let Err(error) = rig.bench.start() {
            let log =
                std::fs::read_to_string(rig.bench.folder.path().join("log")).unwrap_or_default();
            let wrong = [format!("does not open: {error:#}"), log];
            tally.round(&name, &format!("{answered} writes acknowledged"), &wrong);
            break;
        }
        let opened = began.elapsed().as_millis();
        let wrong = rig.wrong()?;
        let saw = format!(
            "{answered} writes acknowledged in {} ms, opened in {opened} ms",
            time.as_millis()
        );
        tally.round(&name, &saw, &wrong);
    }
    // Before the file system goes.
    drop(rig);
    Ok(())
}
