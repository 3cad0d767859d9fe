//! A server with its tenants, its disk and its clock: what was asked of it, what it
//! answered, and what is there. `life.rs` starts it, `events.rs` is what happens to it.

mod events;
mod life;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tenantry::{
    app::App,
    base::{Clock, Instant, ManualClock},
    service::Error,
};

use self::life::{Life, drive};
use crate::{
    checks::{self, Ledger, Looked},
    dice::Dice,
    disk::Disk,
    model::{
        Model,
        state::{Ask, Seen},
    },
    requests::{self, Answer},
    trace::Trace,
};

pub const TENANTS: [&str; 3] = ["acme", "acme-2", "zeta"];
/// 2026-03-01T00:00:00Z
const START: Instant = Instant(1_772_323_200_000);
/// Steps after which whatever is under way hangs.
const DRAIN_MAX: usize = 20_000;
/// Every second life is watched: the looks fill the caches, so the others go without.
const WATCHED: u64 = 2;
/// What is waited for is over after this: pauses of two milliseconds up to two seconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Request(usize),
    /// Only its bytes are looked at.
    Look(usize),
    /// Moves records of a tenant; purges, too.
    Mover(usize, bool),
    /// Works at a report.
    Attempt,
    Upkeep,
}

type Key = (u64, Kind);

/// A defect, in words.
pub type Defect = String;

pub struct World {
    pub dice: Dice,
    pub disk: Arc<Disk>,
    clock: Arc<ManualClock>,
    /// How far the clock was moved, in either direction.
    moved_ms: i64,
    pub models: Vec<Model>,
    pub ledger: Ledger,
    pub trace: Trace,
    life: Option<Life>,
    /// Whether everything is looked at after each group of writes.
    watched: bool,
    number: u64,
    /// Idempotent requests that were made: tenant, request, how far the clock was.
    repeatable: Vec<(usize, Ask, i64)>,
    /// How far the clock was when the key of each idempotent request was first used.
    keyed: BTreeMap<u64, i64>,
    pub crashes: usize,
}

impl World {
    pub fn new(seed: u64, trace: Trace) -> Self {
        Self {
            dice: Dice::new(seed),
            watched: seed.is_multiple_of(WATCHED),
            disk: Arc::default(),
            clock: Arc::new(ManualClock::new(START)),
            moved_ms: 0,
            models: TENANTS.iter().map(|_| Model::new()).collect(),
            ledger: Ledger::default(),
            trace,
            life: None,
            number: 0,
            repeatable: Vec::new(),
            keyed: BTreeMap::new(),
            crashes: 0,
        }
    }

    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    pub fn app(&self) -> Arc<App> {
        self.life.as_ref().unwrap().app.clone()
    }

    /// Lives through so many steps, and then looks at everything.
    pub async fn live(&mut self, steps: usize) -> Result<(), Defect> {
        self.start().await?;
        for _ in 0..steps {
            self.step().await?;
            if self.watched
                && std::mem::take(&mut self.life().wrote)
                && !self.disk.is_cut()
                && !self.disk.has_failed()
            {
                self.look_between().await?;
            }
            // A store that takes no writes is restarted before long.
            if self.disk.has_failed() && self.dice.percent(3) {
                self.disk.cut();
            }
            if self.disk.is_cut() {
                self.crash().await?;
            }
            tokio::task::yield_now().await;
        }
        self.look().await
    }

    /// The process ends in the middle of everything, and another one starts.
    pub async fn crash(&mut self) -> Result<(), Defect> {
        self.crashes += 1;
        self.life = None;
        self.disk = self.disk.restart(self.dice.percent(50));
        for model in &mut self.models {
            model.crash();
        }
        self.trace.say(|| "crash".into());
        self.start().await?;
        self.look().await
    }

    /// Polls one task, and hears what it has to say.
    fn poll(&mut self) -> Result<(), Defect> {
        let life = self.life.as_mut().unwrap();
        let stepped = life.tasks.step(&self.dice);
        // What is answered while the power goes is heard by nobody.
        let Some(((number, kind), Some(answer))) = stepped.filter(|_| !self.disk.is_cut()) else {
            return Ok(());
        };
        self.trace
            .say(|| format!("{number} {:?} {}", answer.seen, answer.text));
        let life = self.life.as_ref().unwrap();
        let unsteady = self.disk.has_failed() || life.by_hand.is_out_of_step();
        if !life.faulted && answer.seen == Seen::Unknown {
            return Err(format!("{number} failed without a fault: {}", answer.text));
        }
        match kind {
            Kind::Request(at) => {
                self.is_its_own(at, &answer)?;
                let told = self.models[at].end(number, &answer.seen, unsteady);
                told.map_err(|why| format!("{}, request {number}: {why}", TENANTS[at]))
            }
            Kind::Look(at) => self.is_its_own(at, &answer),
            Kind::Mover(at, purges) => {
                self.models[at].move_ends(purges);
                self.is_its_own(at, &answer)
            }
            Kind::Attempt | Kind::Upkeep => Ok(()),
        }
    }

    /// No byte of another tenant's is in an answer.
    fn is_its_own(&self, at: usize, answer: &Answer) -> Result<(), Defect> {
        for other in TENANTS.iter().filter(|tenant| **tenant != TENANTS[at]) {
            if answer.text.contains(&requests::mark(other)) {
                return Err(format!(
                    "{} was answered with {other}'s: {}",
                    TENANTS[at], answer.text
                ));
            }
        }
        Ok(())
    }

    /// Lets everything under way come to its end.
    async fn drain(&mut self) -> Result<(), Defect> {
        for _ in 0..DRAIN_MAX {
            if self.disk.is_cut() || self.life().tasks.is_empty() {
                return Ok(());
            }
            let life = self.life.as_mut().unwrap();
            match self.dice.below(3) {
                0 => drop(life.by_hand.prepare()),
                1 => drop(life.by_hand.apply()),
                _ if self.dice.percent(5) => tokio::time::advance(PATIENCE).await,
                _ => self.poll()?,
            }
            tokio::task::yield_now().await;
        }
        let hang: Vec<Key> = self.life().tasks.keys().collect();
        Err(format!("these hang: {hang:?}"))
    }

    /// When nothing is under way, holds everything against the models.
    pub async fn look(&mut self) -> Result<(), Defect> {
        self.drain().await?;
        if self.disk.is_cut() || self.disk.has_failed() {
            return Box::pin(self.crash()).await;
        }
        let mut life = self.life.take().unwrap();
        life.faulted = false;
        // Nothing fails any more until it is planned again.
        self.disk.calm();
        let looked = drive(&mut life.by_hand, checks::look(&life.app, &self.disk, 7)).await;
        self.life = Some(life);
        self.compare(looked)
    }

    /// Between two groups of writes nothing is half done: holds everything that is there
    /// against the models, whatever is under way.
    async fn look_between(&mut self) -> Result<(), Defect> {
        let planned = self.disk.calm();
        let watcher = self.life().watcher.clone();
        let looking = checks::look(&watcher, &self.disk, 500);
        let looked = tokio::time::timeout(PATIENCE, looking).await;
        self.disk.resume(planned);
        let looked = looked.map_err(|_| "who only looks waits for somebody")?;
        self.compare(looked)
    }

    fn compare(&mut self, looked: Result<Looked, Error>) -> Result<(), Defect> {
        let looked =
            looked.map_err(|error| format!("the look failed: {error} {:?}", error.cause))?;
        for (model, (tenant, found)) in self
            .models
            .iter_mut()
            .zip(TENANTS.iter().zip(&looked.tenants))
        {
            let held = model.is(&found.records, &found.holds);
            held.map_err(|why| format!("{tenant}: {why}"))?;
        }
        self.ledger.compare(&looked)?;
        let (records, runs) = (looked.records(), looked.runs.len());
        self.trace
            .say(|| format!("look: {records} records, {runs} runs"));
        Ok(())
    }
}
