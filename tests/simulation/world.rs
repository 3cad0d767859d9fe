//! A server with its tenants, its disk and its clock, and everything that happens to it.

use std::{collections::BTreeMap, future::Future, pin::pin, sync::Arc, task::Poll, time::Duration};

use tenantry::{
    app::App,
    base::{Clock, Instant, ManualClock, Random},
    config::{Config, Sources},
    domain::{AppFile, TenantSlug, job::RunId},
    jobs::attempt::{Workshop, attempt},
    service::{Caller, Error, apps::ApplyOptions, archive::Way, expiry},
    store::{ByHand, CommitterOptions, OpenStore, engine::Stored},
};

use crate::{
    app_file::{APP, LARGER},
    checks::Ledger,
    dice::Dice,
    disk::{Call, Disk, Fault},
    model::{
        Model,
        state::{Ask, Seen},
    },
    requests::{self, Answer},
    tasks::Tasks,
    trace::Trace,
};

pub const TENANTS: [&str; 3] = ["acme", "acme-2", "zeta"];
/// 2026-03-01T00:00:00Z
const START: Instant = Instant(1_772_323_200_000);
/// Under way at once.
const TASKS_MAX: usize = 6;
/// Steps after which whatever is under way hangs.
const DRAIN_MAX: usize = 20_000;
/// What is waited for is over after this: pauses of two milliseconds up to two seconds.
const PATIENCE: Duration = Duration::from_secs(5);
/// An answer is remembered for a day.
const EXPIRY_MS: i64 = 23 * 3_600_000;
/// A key of an idempotent request is not used again when the clock moved by more.
const KEYS_MS_MAX: i64 = 20 * 3_600_000;

/// What a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Request(usize),
    /// Only its bytes are looked at.
    Look(usize),
    /// Moves records of a tenant; purges, too.
    Mover(usize, bool),
    Upkeep,
}

type Key = (u64, Kind);

/// A defect, in words.
pub type Defect = String;

/// One life of the process, from its start to its end.
pub struct Life {
    pub app: Arc<App>,
    by_hand: ByHand,
    /// The attempts' own world; the second one is that of another process, which takes
    /// the first for gone.
    workshops: [Arc<Workshop>; 2],
    tasks: Tasks<Key, Answer>,
    /// Whether anything failed on purpose.
    faulted: bool,
}

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

    /// Starts the process on the disk as it is.
    async fn start(&mut self) -> Result<(), Defect> {
        let stored: Arc<dyn Stored> = self.disk.clone();
        let opened = OpenStore::by_hand(stored, CommitterOptions::default(), self.dice.number());
        let (store, mut by_hand) = opened.map_err(|error| format!("does not open: {error}"))?;
        let mut config = Config::load(Sources::default()).unwrap();
        config.auth.argon2_memory_kib = 64;
        config.jobs.history_runs = 10_000;
        let apps = [self.dice.number(), self.dice.number()].map(|seed| {
            let (config, store) = (config.clone(), store.clone());
            App::build_with(config, store, self.clock.clone(), Random::seeded(seed))
        });
        let mut workshops = Vec::new();
        let mut first = None;
        for app in apps {
            let app = drive(&mut by_hand, app).await.map_err(told("starts"))?;
            let (runs, records) = (app.runs.clone(), app.records.clone());
            let (archive, metrics) = (app.archive.clone(), app.job_metrics.clone());
            let workshop = Workshop::new(runs, records, archive, metrics).map_err(told("jobs"))?;
            workshops.push(Arc::new(workshop));
            first.get_or_insert(Arc::new(app));
        }
        let app = first.unwrap();
        let begun = async {
            if app.apps.current().entity("ticket").is_err() {
                apply(&app, APP).await?;
            }
            for tenant in TENANTS {
                let slug: TenantSlug = tenant.parse().unwrap();
                app.tenants.ensure(&Caller::Local, &slug, tenant).await?;
            }
            app.runs.load_pauses().await?;
            app.runs.rescue(|_| true).await
        };
        drive(&mut by_hand, begun).await.map_err(told("begins"))?;
        self.life = Some(Life {
            app,
            by_hand,
            workshops: workshops.try_into().ok().unwrap(),
            tasks: Tasks::new(),
            faulted: false,
        });
        self.trace.say(|| "start".into());
        Ok(())
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

    async fn step(&mut self) -> Result<(), Defect> {
        let choices: [(usize, fn(&mut Self)); 10] = [
            (16, Self::request),
            (3, Self::look_at_list),
            (3, Self::mover),
            (5, Self::beat),
            (10, Self::attempt),
            (3, Self::upkeep),
            (6, Self::move_clock),
            (1, Self::plan_fault),
            (24, Self::prepare),
            (50, Self::apply),
        ];
        match self.dice.below(300) {
            at if at < 120 => {
                let chosen = self.dice.weighted(&choices);
                chosen(self);
                Ok(())
            }
            at if at < 292 => self.poll(),
            at if at < 298 => {
                tokio::time::advance(PATIENCE).await;
                Ok(())
            }
            298 => self.look().await,
            _ if self.dice.percent(60) => Ok(()),
            _ => {
                self.disk.cut();
                Ok(())
            }
        }
    }

    fn life(&mut self) -> &mut Life {
        self.life.as_mut().unwrap()
    }

    fn has_room(&mut self) -> bool {
        self.life().tasks.keys().count() < TASKS_MAX
    }

    fn spawn(&mut self, kind: Kind, future: impl Future<Output = Answer> + 'static) -> u64 {
        self.number += 1;
        let number = self.number;
        self.life().tasks.spawn((number, kind), future);
        number
    }

    fn request(&mut self) {
        if !self.has_room() {
            return;
        }
        let at = self.dice.below(TENANTS.len());
        let tenant = TENANTS[at];
        let again: Vec<(Ask, i64)> = self
            .repeatable
            .iter()
            .filter(|(of, _, moved_ms)| *of == at && self.moved_ms - moved_ms < KEYS_MS_MAX)
            .map(|(_, ask, moved_ms)| (ask.clone(), *moved_ms))
            .collect();
        let (ask, asked_ms) = match !again.is_empty() && self.dice.percent(10) {
            true => self.dice.pick(&again).clone(),
            false => {
                let (state, now) = (self.models[at].any(), self.now().to_rfc3339());
                let ask = requests::ask(&self.dice, tenant, state, self.number + 1, &now);
                (ask, self.moved_ms)
            }
        };
        let hold = match &ask {
            Ask::Lift(reason) => self.models[at].any().holds[reason].id.clone(),
            _ => None,
        };
        let (app, asked) = (self.app(), ask.clone());
        let carried = requests::carry_out(app, tenant.into(), asked, hold);
        let number = self.spawn(Kind::Request(at), carried);
        self.models[at].begin(number, &ask);
        if let Ask::Write(_, Some(_)) = &ask {
            self.keyed.insert(number, asked_ms);
            self.repeatable.push((at, ask.clone(), asked_ms));
        }
        self.trace.say(|| format!("{number} {tenant}: {ask:?}"));
    }

    fn look_at_list(&mut self) {
        if self.has_room() {
            let at = self.dice.below(TENANTS.len());
            let query = requests::query(&self.dice);
            self.trace.say(|| format!("{} ?{query}", TENANTS[at]));
            let listed = requests::list(self.app(), TENANTS[at].into(), query);
            self.spawn(Kind::Look(at), listed);
        }
    }

    fn mover(&mut self) {
        if !self.has_room() {
            return;
        }
        let at = self.dice.below(TENANTS.len());
        let name = requests::name(&self.dice, self.models[at].any());
        let way = *self.dice.pick(&[Way::Archive, Way::Restore]);
        self.trace
            .say(|| format!("{} {way:?} {name:?}", TENANTS[at]));
        let moved = requests::move_one(self.app(), TENANTS[at].into(), name, way);
        self.models[at].move_begins(false);
        self.spawn(Kind::Mover(at, false), moved);
    }

    /// A heartbeat; or two at once, as of two processes.
    fn beat(&mut self) {
        let now = self.now();
        for _ in 0..1 + self.dice.below(2) {
            if self.has_room() {
                let workshop = self
                    .dice
                    .pick(&self.life.as_ref().unwrap().workshops)
                    .clone();
                let ticked = async move { upkept(workshop.runs.tick(now).await) };
                let number = self.spawn(Kind::Upkeep, ticked);
                self.trace.say(|| format!("{number} beat"));
            }
        }
    }

    /// An attempt at a run that waits, in one of the two processes.
    fn attempt(&mut self) {
        if !self.has_room() {
            return;
        }
        let now = self.now();
        let app = self.app();
        // Reads are answered at once.
        let Some(Ok(queue)) = futures_util::FutureExt::now_or_never(app.runs.queue()) else {
            return;
        };
        let waiting = queue
            .into_values()
            .flat_map(|queue| queue.into_values().flatten());
        let ready: Vec<RunId> = waiting
            .filter(|run| run.ready_at <= now)
            .map(|run| run.id)
            .collect();
        if ready.is_empty() {
            return;
        }
        let id = self.dice.pick(&ready).clone();
        let workshop = self
            .dice
            .pick(&self.life.as_ref().unwrap().workshops)
            .clone();
        let at = TENANTS
            .iter()
            .position(|tenant| *tenant == id.owner.as_str())
            .unwrap();
        let (moves, purges) = match id.job.as_str() {
            "tidy" => (true, false),
            "purge" => (true, true),
            _ => (false, false),
        };
        let kind = match moves {
            true => Kind::Mover(at, purges),
            false => Kind::Upkeep,
        };
        let run = id.to_string();
        let attempted = async move {
            let made = attempt(&workshop, &id).await;
            if made.is_err() {
                // As the dispatcher does.
                workshop.runs.live.end(&id);
            }
            upkept(made)
        };
        let number = self.spawn(kind, attempted);
        if moves {
            self.models[at].move_begins(purges);
        }
        self.trace.say(|| format!("{number} attempt at {run}"));
    }

    /// One of the small pieces of work that go on by themselves.
    fn upkeep(&mut self) {
        if !self.has_room() {
            return;
        }
        let app = self.app();
        let what = self.dice.below(4);
        let larger = self.dice.percent(50);
        let other = self.life().workshops[1].clone();
        let kept = async move {
            match what {
                0 => upkept(app.apps.work_step().await),
                1 => upkept(expiry::sweep(&app.core).await),
                2 => upkept(apply(&app, if larger { LARGER } else { APP }).await),
                // Another process takes this one for gone.
                _ => upkept(other.runs.rescue(|_| true).await),
            }
        };
        let number = self.spawn(Kind::Upkeep, kept);
        self.trace.say(|| format!("{number} upkeep {what}"));
    }

    fn move_clock(&mut self) {
        let (minute, hour) = (60_000_i64, 3_600_000);
        let by = match self.dice.below(10) {
            0..=3 => self.dice.below(5_000) as i64,
            4..=6 => minute * self.dice.below(120) as i64,
            7 => 24 * hour * (1 + self.dice.below(20) as i64),
            8 => -minute * self.dice.below(10) as i64,
            _ => -hour * self.dice.below(8) as i64,
        };
        // No answer expires while somebody waits for it.
        let waiting = self.life.as_ref().unwrap().tasks.keys();
        let late = |(number, _): Key| {
            let asked = self.keyed.get(&number);
            asked.is_some_and(|at| self.moved_ms + by.abs() - at > EXPIRY_MS)
        };
        if waiting.into_iter().any(late) {
            return;
        }
        self.moved_ms += by.abs();
        self.clock.advance_ms(by);
        self.trace.say(|| format!("clock {by}"));
    }

    fn plan_fault(&mut self) {
        let (call, fault) = *self.dice.pick(&[
            (Call::Apply, Fault::Fail),
            (Call::Apply, Fault::FailSync),
            (Call::Apply, Fault::Panic),
            (Call::Apply, Fault::Cut),
            (Call::Apply, Fault::CutBehind),
            (Call::Get, Fault::Fail),
            (Call::Get, Fault::Cut),
            (Call::Scan, Fault::Fail),
            (Call::Scan, Fault::Cut),
        ]);
        let nth = self.dice.below(if call == Call::Apply { 4 } else { 60 });
        self.disk.plan(call, nth, fault);
        self.life().faulted = true;
        self.trace.say(|| format!("fault {call:?} {nth} {fault:?}"));
    }

    fn prepare(&mut self) {
        self.life().by_hand.prepare();
    }

    fn apply(&mut self) {
        self.life().by_hand.apply();
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
            Kind::Upkeep => Ok(()),
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
        // Nothing fails while somebody looks.
        self.disk.calm();
        let mut life = self.life.take().unwrap();
        life.faulted = false;
        let app = life.app.clone();
        let looked = drive(&mut life.by_hand, crate::checks::look(&app, &self.disk)).await;
        self.life = Some(life);
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

/// A future alone, with the committer's steps between its own.
async fn drive<T>(by_hand: &mut ByHand, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        let polled = std::future::poll_fn(|task| Poll::Ready(future.as_mut().poll(task))).await;
        if let Poll::Ready(value) = polled {
            return value;
        }
        by_hand.prepare();
        while by_hand.apply() {}
        tokio::task::yield_now().await;
    }
}

async fn apply(app: &App, file: &str) -> Result<(), Error> {
    let file = AppFile::parse(file).unwrap();
    let options = ApplyOptions::default();
    app.apps
        .apply(&Caller::Local, file, options)
        .await
        .map(drop)
}

fn upkept<T>(result: Result<T, Error>) -> Answer {
    Answer::of(result.map(|_| (Seen::Lifted, String::new())))
}

fn told(what: &str) -> impl Fn(Error) -> Defect {
    move |error| format!("{what}: {error} {:?}", error.cause)
}
