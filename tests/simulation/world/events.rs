//! What happens to a server, by chance.

use std::{future::Future, sync::Arc};

use tenantry::{
    domain::job::RunId,
    jobs::attempt::{Workshop, attempt},
    service::{Error, archive::Way, expiry},
};

use super::{
    Defect, Key, Kind, PATIENCE, TENANTS, World,
    life::{Life, apply},
};
use crate::{
    app_file::{APP, LARGER},
    disk::{Call, Fault},
    model::state::{Ask, Seen},
    requests::{self, Answer},
};

/// Under way at once.
const TASKS_MAX: usize = 6;
/// An answer is remembered for a day.
const EXPIRY_MS: i64 = 23 * 3_600_000;
/// A key of an idempotent request is not used again when the clock moved by more.
const KEYS_MS_MAX: i64 = 20 * 3_600_000;

/// Something that happens.
type Event = fn(&mut World);

impl World {
    pub(super) async fn step(&mut self) -> Result<(), Defect> {
        let choices: [(usize, Event); 11] = [
            (16, Self::request),
            (3, Self::look_at_list),
            (3, Self::mover),
            (5, Self::beat),
            (10, Self::attempt),
            (6, Self::take_over),
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

    pub(super) fn life(&mut self) -> &mut Life {
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
                let workshop = self.any_workshop();
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
        let workshop = self.any_workshop();
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
            false => Kind::Attempt,
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

    /// One process takes the other for gone while it works, and its runs for its own.
    fn take_over(&mut self) {
        let works = |kind| matches!(kind, Kind::Attempt | Kind::Mover(..));
        if self.has_room() && self.life().tasks.keys().any(|(_, kind)| works(kind)) {
            let workshop = self.any_workshop();
            let rescued = async move { upkept(workshop.runs.rescue(|_| true).await) };
            let number = self.spawn(Kind::Upkeep, rescued);
            self.trace.say(|| format!("{number} takes over"));
        }
    }

    fn any_workshop(&self) -> Arc<Workshop> {
        let life = self.life.as_ref();
        let workshops = life.map(|life| &life.workshops[..]).unwrap_or_default();
        self.dice.pick(workshops).clone()
    }

    /// One of the small pieces of work that go on by themselves.
    fn upkeep(&mut self) {
        if !self.has_room() {
            return;
        }
        let app = self.app();
        let what = self.dice.below(3);
        let larger = self.dice.percent(50);
        let kept = async move {
            match what {
                0 => upkept(app.apps.work_step().await),
                1 => upkept(expiry::sweep(&app.core).await),
                _ => upkept(apply(&app, if larger { LARGER } else { APP }).await),
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
        let life = self.life();
        life.wrote = life.by_hand.apply() && !life.by_hand.is_writing();
    }
}

fn upkept<T>(result: Result<T, Error>) -> Answer {
    Answer::of(result.map(|_| (Seen::Lifted, String::new())))
}
