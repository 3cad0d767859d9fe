//! Which run begins next. It knows the first runs that wait of every owner and job,
//! and hands out two kinds of slots: for work, and for waiting on a network.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant as Moment},
};

use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use super::{
    attempt::{Workshop, attempt},
    fair::Fair,
};
use crate::{
    base::Instant,
    domain::{
        job::{RunId, run::Owner},
        names::JobName,
    },
    service::{
        Result,
        apps::{AppState, Apps},
        runs::{OwnersQueue, Stop},
    },
};

/// How long it waits when nothing happens: delayed runs become ready meanwhile.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often the whole queue is read again, though nothing should be missing.
const LOOK_AROUND: Duration = Duration::from_secs(60);
/// The same, where other processes put runs into the queue.
const LOOK_AROUND_SHARED: Duration = Duration::from_secs(2);

/// A kind of slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SlotKind {
    Cpu,
    Io,
}

/// A run that is over.
struct Done {
    id: RunId,
    kind: SlotKind,
    cost_ms: f64,
}

struct Lane {
    fair: Fair,
    free: usize,
}

/// Hands out slots.
pub struct Dispatcher {
    workshop: Arc<Workshop>,
    apps: Arc<Apps>,
    queues: BTreeMap<Owner, OwnersQueue>,
    weights: HashMap<Owner, u32>,
    running: HashMap<Owner, usize>,
    /// Of one job and owner one run at a time.
    pairs: HashSet<(JobName, Owner)>,
    running_of_job: HashMap<JobName, usize>,
    cpu: Lane,
    io: Lane,
    tasks: JoinSet<()>,
    done: (mpsc::UnboundedSender<Done>, mpsc::UnboundedReceiver<Done>),
}

impl Dispatcher {
    /// Over an empty queue.
    pub fn new(workshop: Arc<Workshop>, apps: Arc<Apps>) -> Self {
        let settings = workshop.runs.settings();
        let lane = |free| Lane {
            fair: Fair::default(),
            free,
        };
        Self {
            apps,
            queues: BTreeMap::new(),
            weights: HashMap::new(),
            running: HashMap::new(),
            pairs: HashSet::new(),
            running_of_job: HashMap::new(),
            cpu: lane(settings.cpu_slots),
            io: lane(settings.io_slots),
            tasks: JoinSet::new(),
            // As many wait here as there are slots.
            done: mpsc::unbounded_channel(),
            workshop,
        }
    }

    /// Hands out slots until stopped; then gives what runs its time, and stops it.
    pub async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        let runs = self.workshop.runs.clone();
        let around = match runs.alone() {
            true => LOOK_AROUND,
            false => LOOK_AROUND_SHARED,
        };
        let (mut looked, mut considered) = (None, None);
        while !*stopped.borrow() {
            if looked.is_none_or(|at: Moment| at.elapsed() >= around) {
                match self.look_around().await {
                    Ok(()) => (looked, considered) = (Some(Moment::now()), None),
                    Err(error) => told(&error),
                }
            }
            // Runs whose wait is over announce themselves to nobody.
            if considered.is_none_or(|at: Moment| at.elapsed() >= PATIENCE) {
                self.consider_all();
                considered = Some(Moment::now());
            }
            self.dispatch();
            while self.tasks.try_join_next().is_some() {}
            let changed = tokio::select! {
                biased;
                // The sender is gone: the server is going, too.
                _ = stopped.changed() => continue,
                Some(done) = self.done.1.recv() => {
                    self.end(done).await;
                    while let Ok(done) = self.done.1.try_recv() {
                        self.end(done).await;
                    }
                    continue;
                }
                changed = runs.changed(PATIENCE) => changed,
            };
            if changed.is_empty() {
                considered = None;
            }
            for owner in changed {
                self.refresh(&owner).await;
            }
        }
        self.wind_up().await;
    }

    /// Running work gets its time; what is not done then is broken off, and goes on
    /// from its checkpoint another time.
    async fn wind_up(mut self) {
        let runs = &self.workshop.runs;
        let grace = Duration::from_secs(runs.settings().grace_s);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, all).await.is_err() {
            for (_, run) in runs.live.all() {
                run.stop(Stop::Interrupt("the server stopped".into()));
            }
            let all = async { while self.tasks.join_next().await.is_some() {} };
            if tokio::time::timeout(Duration::from_secs(2), all)
                .await
                .is_err()
            {
                tracing::warn!(
                    "runs did not stop; they go on from their checkpoints at the next start"
                );
            }
        }
    }

    async fn look_around(&mut self) -> Result<()> {
        self.queues = self.workshop.runs.queue().await?;
        self.weights = self.workshop.runs.weights(self.queues.keys()).await?;
        Ok(())
    }

    /// Reads an owner's queue again.
    async fn refresh(&mut self, owner: &Owner) {
        let runs = &self.workshop.runs;
        let read = async {
            let queue = runs.queue_of(owner).await?;
            let weights = runs.weights([owner].into_iter()).await?;
            Ok((queue, weights))
        };
        match read.await {
            Ok((queue, weights)) => {
                self.weights.extend(weights);
                match queue.is_empty() {
                    true => {
                        self.queues.remove(owner);
                        self.weights.remove(owner);
                    }
                    false => drop(self.queues.insert(owner.clone(), queue)),
                }
                self.consider(owner);
            }
            Err(error) => told(&error),
        }
    }

    fn consider_all(&mut self) {
        let owners: Vec<Owner> = self.queues.keys().cloned().collect();
        for owner in owners {
            self.consider(&owner);
        }
    }

    /// An owner that has something to run gets a place among those who wait.
    fn consider(&mut self, owner: &Owner) {
        let (state, now) = (self.apps.current(), self.workshop.runs.now());
        for kind in [SlotKind::Cpu, SlotKind::Io] {
            if self.candidate(&state, owner, kind, now).is_some() {
                let weight = self.weights.get(owner).copied().unwrap_or(1);
                self.lane(kind).fair.enter(owner, weight);
            }
        }
    }

    /// Fills the free slots.
    fn dispatch(&mut self) {
        let (state, now) = (self.apps.current(), self.workshop.runs.now());
        for kind in [SlotKind::Cpu, SlotKind::Io] {
            while self.lane(kind).free > 0 {
                let Some(owner) = self.lane(kind).fair.next() else {
                    break;
                };
                // What it wanted to run may have begun, or been paused, meanwhile.
                if let Some(id) = self.candidate(&state, &owner, kind, now) {
                    self.start(id, kind);
                    self.consider(&owner);
                }
            }
        }
    }

    fn lane(&mut self, kind: SlotKind) -> &mut Lane {
        match kind {
            SlotKind::Cpu => &mut self.cpu,
            SlotKind::Io => &mut self.io,
        }
    }

    /// The owner's run that would begin now, where one may.
    fn candidate(
        &self,
        state: &AppState,
        owner: &Owner,
        kind: SlotKind,
        now: Instant,
    ) -> Option<RunId> {
        let runs = &self.workshop.runs;
        let running = self.running.get(owner).copied().unwrap_or(0);
        if running >= runs.settings().running_per_tenant_max {
            return None;
        }
        let ready = self.queues.get(owner)?.iter().filter_map(|(name, window)| {
            let job = state.file.jobs.get(name);
            let waits = job.is_some_and(|job| job.kind.waits_on_network());
            let own_kind = if waits { SlotKind::Io } else { SlotKind::Cpu };
            let max = job.and_then(|job| job.running_max).unwrap_or(usize::MAX);
            let full = self.running_of_job.get(name).copied().unwrap_or(0) >= max;
            if own_kind != kind || full || self.pairs.contains(&(name.clone(), owner.clone())) {
                return None;
            }
            window.iter().find(|waiting| {
                waiting.ready_at <= now
                    && runs.paused(name, owner, waiting.id.slot.manual).is_none()
            })
        });
        ready
            .min_by_key(|waiting| waiting.ready_at)
            .map(|waiting| waiting.id.clone())
    }

    fn start(&mut self, id: RunId, kind: SlotKind) {
        self.lane(kind).free -= 1;
        self.lane(kind).fair.start(&id.owner);
        *self.running.entry(id.owner.clone()).or_default() += 1;
        *self.running_of_job.entry(id.job.clone()).or_default() += 1;
        self.pairs.insert((id.job.clone(), id.owner.clone()));
        if let Some(window) = self
            .queues
            .get_mut(&id.owner)
            .and_then(|queue| queue.get_mut(&id.job))
        {
            window.retain(|waiting| waiting.id != id);
        }
        let (workshop, sender) = (self.workshop.clone(), self.done.0.clone());
        self.tasks.spawn(async move {
            let cost_ms = match attempt(&workshop, &id).await {
                Ok(cost) => cost.unwrap_or(0.0),
                Err(error) => {
                    // The store refused: the run is found again, waiting or with a claim
                    // that nobody works on.
                    tracing::error!(run = %id, %error, cause = error.cause, "an attempt could not be kept");
                    workshop.runs.live.end(&id);
                    0.0
                }
            };
            // The dispatcher is gone only when the server stops.
            let _ = sender.send(Done { id, kind, cost_ms });
        });
    }

    async fn end(&mut self, done: Done) {
        let Done { id, kind, cost_ms } = done;
        let lane = self.lane(kind);
        lane.free += 1;
        lane.fair.end(&id.owner, cost_ms);
        count_down(&mut self.running, &id.owner);
        count_down(&mut self.running_of_job, &id.job);
        self.pairs.remove(&(id.job.clone(), id.owner.clone()));
        let queue = self.queues.get(&id.owner);
        let window = queue.and_then(|queue| queue.get(&id.job));
        // What lies behind the window was not read yet.
        if window.is_some_and(Vec::is_empty) {
            self.refresh(&id.owner).await;
        }
        let state = self.apps.current();
        let job = state.file.jobs.get(&id.job);
        match job.is_some_and(|job| job.running_max.is_some()) {
            // Its place may be anybody's.
            true => self.consider_all(),
            false => self.consider(&id.owner),
        }
    }
}

fn count_down<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

fn told(error: &crate::service::Error) {
    tracing::error!(%error, cause = error.cause, "the queue of runs cannot be read");
}
