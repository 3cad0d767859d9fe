//! The server is killed under load of requests, jobs and archive moves, and started again.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{
    Engines, Tally, each,
    movers::{self, Moving},
    rig::Rig,
};
use crate::{
    data::Numbers,
    process::Process,
    subject::{TICKET, Tenantry},
};

/// `torture kill`
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Kills of each engine
    #[arg(long, default_value_t = 50)]
    rounds: usize,
    #[command(flatten)]
    engines: Engines,
}

/// Kills each engine's server.
pub fn run(options: &Options) -> Result<()> {
    each(&options.engines.engine, |engine| {
        let mut tally = Tally::new(format!("kills, {engine}"));
        let app = format!("{TICKET}{}", movers::APP);
        let mut rig = Rig::new(Tenantry::new(engine)?, &app, &std::env::temp_dir(), &[])?;
        let mut moving = Moving::new(&rig)?;
        let mut numbers = Numbers::new(7);
        for round in 1..=options.rounds {
            moving.more(&rig)?;
            let time = Duration::from_millis(50 + numbers.below(900) as u64);
            let beside = Moving::about(rig.process()?.address, rig.bench.token.clone());
            let answered = rig.load_beside(time, beside, Process::kill)?;
            let began = Instant::now();
            rig.bench.start()?;
            let started = began.elapsed().as_millis();
            let mut wrong = rig.wrong()?;
            wrong.extend(moving.wrong(&rig)?);
            let saw = format!(
                "{answered} writes acknowledged in {} ms, serves again after {started} ms",
                time.as_millis()
            );
            tally.round(&format!("{round:2}"), &saw, &wrong);
        }
        // Whatever the kills broke off comes to its end.
        Moving::settled(&rig)?;
        let mut wrong = rig.wrong()?;
        wrong.extend(moving.wrong(&rig)?);
        tally.round("end", "every run has ended", &wrong);
        tally.sum()
    })
}
