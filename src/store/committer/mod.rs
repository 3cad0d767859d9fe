//! One committer for every embedded engine.
//!
//! Two threads that take turns. One prepares: it takes waiting batches, checks
//! their expectations against the engine as it will be when the group before is
//! written, and gathers those that hold into a group. Meanwhile the other applies
//! the group before: one engine batch and one sync for it, then every batch of it
//! is answered. The moment nothing is being applied, the one that prepared applies
//! what it has, and the other one prepares: a group never changes threads.
//!
//! What follows from the order of commits is owned here: the record cache, the
//! generations by which readers know that nothing changed, and the change sequence.

mod cache;
mod generations;
mod group;
mod metrics;
mod pages;
mod queue;
mod stall;
mod tee;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use async_trait::async_trait;
pub use metrics::CommitterMetrics;
pub use tee::{TEE_BYTES_MAX, Tee};
use tokio::sync::oneshot;

use self::{
    cache::RecordCache,
    generations::Generations,
    group::{Group, Prepared, Values},
    pages::PageCache,
    queue::{Next, Queue},
    stall::Stall,
    tee::TeeIn,
};
use super::engine::{
    Batch, Embedded, Engine, KEY_BYTES_MAX, Key, Page, Result, Scan, StoreError, Tree,
    VALUE_BYTES_MAX, Value, Write,
};

/// The key of the change sequence: how many batches were ever written.
pub const SEQUENCE_KEY: &str = "~#seq";

/// The committer's limits.
#[derive(Debug, Clone, Copy)]
pub struct CommitterOptions {
    /// Batches in one group.
    pub group_batches: usize,
    /// Bytes in one group; a single larger batch is a group of its own.
    pub group_bytes: usize,
    /// Batches that may wait.
    pub queue_batches: usize,
    /// Bytes of the batches that may wait.
    pub queue_bytes: usize,
    /// Bytes of the record cache and, out of these, of the page cache.
    pub cache_bytes: u64,
    /// A write that the disk does not take within this is a stalled one: who waits is
    /// told so, and nobody new is let in until the disk answers.
    pub stalled_after: Duration,
}

impl Default for CommitterOptions {
    fn default() -> Self {
        Self {
            group_batches: 256,
            group_bytes: 4 << 20,
            queue_batches: 8192,
            queue_bytes: 64 << 20,
            cache_bytes: 32 << 20,
            stalled_after: Duration::from_secs(10),
        }
    }
}

/// So often within that time is looked for a stalled write.
const LOOKS: u32 = 4;

/// How often is looked whether the threads have ended.
const CLOSING_LOOK: Duration = Duration::from_millis(2);

/// The page cache has this part of what the caches have.
const PAGES_PART: u64 = 8;

/// A batch on its way and where its answer goes.
struct Submission {
    batch: Batch,
    /// Bytes of keys and values to be written.
    bytes: usize,
    reply: oneshot::Sender<Result<()>>,
}

/// What a group is prepared on.
struct Position {
    /// What the group that is being applied writes.
    in_flight: Arc<Values>,
    /// The change sequence behind it.
    sequence: u64,
}

struct Shared {
    engine: Arc<dyn Embedded>,
    options: CommitterOptions,
    queue: Queue,
    cache: RecordCache,
    pages: PageCache,
    generations: Generations,
    metrics: Arc<CommitterMetrics>,
    stall: Stall,
    /// Held by the thread that prepares.
    position: Mutex<Position>,
    /// Who is handed every group; held while a group is being applied.
    tee: Mutex<Option<TeeIn>>,
    /// Why writes stopped.
    failed: OnceLock<String>,
}

/// An embedded engine with its committer: the contract.
pub struct Committed {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Committed {
    /// Starts the two threads over `engine`.
    pub fn start(engine: Arc<dyn Embedded>, options: CommitterOptions) -> Result<Self> {
        let sequence = read_sequence(engine.get(Tree::Hot, SEQUENCE_KEY.as_bytes())?)?;
        let shared = Arc::new(Shared {
            engine,
            options,
            queue: Queue::new(
                options.queue_batches,
                options.queue_bytes,
                options.stalled_after / LOOKS,
            ),
            cache: RecordCache::new(options.cache_bytes - options.cache_bytes / PAGES_PART),
            pages: PageCache::new(options.cache_bytes / PAGES_PART),
            generations: Generations::new(),
            metrics: Arc::default(),
            stall: Stall::new(options.stalled_after),
            position: Mutex::new(Position {
                in_flight: Arc::default(),
                sequence,
            }),
            tee: Mutex::default(),
            failed: OnceLock::new(),
        });
        let spawn = |number: usize| {
            let shared = shared.clone();
            std::thread::Builder::new()
                .name(format!("committer-{number}"))
                .spawn(move || shared.commit_groups())
                .map_err(|error| StoreError::Open(format!("no thread for the committer: {error}")))
        };
        let threads = (0..2).map(spawn).collect::<Result<_>>()?;
        Ok(Self {
            shared,
            threads: Mutex::new(threads),
        })
    }

    /// What the committer did so far.
    pub fn metrics(&self) -> Arc<CommitterMetrics> {
        self.shared.metrics.clone()
    }

    /// From now on every group that is applied is handed to the reader of the tee as well,
    /// which may be so many bytes behind.
    pub fn tee(&self, bytes_max: usize) -> Result<Tee> {
        Tee::open(self.shared.clone(), bytes_max)
    }

    /// A page as the engine has it, past the caches: who walks through everything is not
    /// to push out what others read.
    pub fn scan_uncached(&self, scan: &Scan) -> Result<Page> {
        self.shared.engine.scan(scan)
    }

    /// Takes no further batch, writes those that wait, and ends the threads. One that
    /// the disk keeps is left behind.
    pub fn close(&self) {
        self.shared.queue.close();
        let mut threads = lock(&self.threads);
        for thread in threads.drain(..) {
            while !thread.is_finished() && self.shared.stall.reason().is_none() {
                std::thread::sleep(CLOSING_LOOK);
            }
            if !thread.is_finished() {
                tracing::error!("the disk does not take the last writes; they may be lost");
                continue;
            }
            if thread.join().is_err() {
                tracing::error!("a thread of the committer panicked");
            }
        }
    }
}

impl Drop for Committed {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    /// What both threads do.
    fn commit_groups(&self) {
        while let Some(group) = self.prepare() {
            self.settle(group);
            self.queue.applied();
        }
    }

    /// The next group, when it is its turn to be applied; `None` at the end.
    fn prepare(&self) -> Option<Prepared> {
        let mut position = lock(&self.position);
        match catch_unwind(AssertUnwindSafe(|| self.gather(&position))) {
            Ok(gathered) => {
                let (prepared, reached) = gathered?;
                *position = reached;
                Some(prepared)
            }
            // Before the other thread takes over.
            Err(_) => {
                self.give_up();
                None
            }
        }
    }

    fn gather(&self, position: &Position) -> Option<(Prepared, Position)> {
        let mut group = Group::new(self, position.in_flight.clone(), position.sequence);
        loop {
            match self.queue.next(group.room(&self.options)) {
                Next::Batch(submission) => {
                    if let Some((reply, error)) = group.admit(submission, &self.metrics) {
                        // The writer may have gone away; nothing to tell it then.
                        let _ = reply.send(Err(error));
                    }
                }
                Next::Apply => break,
                Next::Late => self.stall.look(),
                Next::Closed => return None,
            }
        }
        let (prepared, in_flight, sequence) = group.finish();
        let reached = Position {
            in_flight,
            sequence,
        };
        Some((prepared, reached))
    }

    /// The engine panicked while it was asked: nobody may wait for a thread that
    /// is gone.
    fn give_up(&self) {
        let reason = "the engine panicked while reading".to_owned();
        tracing::error!(reason, "the store takes no writes until a restart");
        let _ = self.failed.set(reason.clone());
        for submission in self.queue.abandon() {
            // The writer may have gone away; nothing to tell it then.
            let _ = submission
                .reply
                .send(Err(StoreError::ReadOnly(reason.clone())));
        }
    }

    /// Applies a group and answers those who wait for it.
    fn settle(&self, group: Prepared) {
        let answer = self.apply(&group);
        if answer.is_ok() && !group.writes.is_empty() {
            self.metrics.written(group.replies.len(), group.bytes);
        }
        self.metrics.waiting(self.queue.waiting());
        // A writer may have gone away; nothing to tell it then.
        for reply in group.replies {
            let _ = reply.send(answer.clone());
        }
        for (reply, refusal) in group.refusals {
            let _ = reply.send(answer.clone().and(Err(refusal)));
        }
    }

    fn apply(&self, group: &Prepared) -> Result<()> {
        if let Some(reason) = self.failed.get() {
            return Err(StoreError::ReadOnly(reason.clone()));
        }
        if group.writes.is_empty() {
            return Ok(());
        }
        let tee = lock(&self.tee);
        let touched = self
            .generations
            .begin(group.writes.iter().map(|w| &w.key[..]));
        let started = Instant::now();
        self.stall.begin();
        let applied = catch_unwind(AssertUnwindSafe(|| self.engine.apply(&group.writes)))
            .unwrap_or_else(|_| Err(StoreError::Io("the engine panicked while writing".into())));
        self.stall.end();
        self.metrics.synced(started.elapsed());
        if let Err(error) = applied {
            // Whether the group is on disk is unknown. Its generations stay odd
            // and the cache is left out, so readers go to the engine.
            let reason = error.to_string();
            tracing::error!(
                reason,
                "a write failed; the store takes no writes until a restart"
            );
            let _ = self.failed.set(reason);
            self.cache.disable();
            if let Some(tee) = &*tee {
                tee.failed();
            }
            return Err(error);
        }
        if let Some(tee) = &*tee {
            tee.applied(&group.writes);
        }
        drop(tee);
        for write in &group.writes {
            self.cache.forget(write.tree, &write.key);
        }
        self.generations.end(&touched);
        Ok(())
    }

    /// Waits for a batch's answer, but not for a disk that does not answer.
    async fn answered(&self, mut answer: oneshot::Receiver<Result<()>>) -> Result<()> {
        loop {
            tokio::select! {
                biased;
                answered = &mut answer => {
                    return answered
                        .unwrap_or_else(|_| Err(StoreError::Io("the committer ended".into())));
                }
                () = self.stall.noticed() => self.let_in()?,
            }
        }
    }

    /// Refuses where no write is taken.
    fn let_in(&self) -> Result<()> {
        if let Some(reason) = self.failed.get() {
            return Err(StoreError::ReadOnly(reason.clone()));
        }
        self.stall
            .reason()
            .map_or(Ok(()), |reason| Err(StoreError::Stalled(reason)))
    }

    /// The values of some keys for a reader.
    fn read_many(&self, tree: Tree, keys: &[Key]) -> Result<Vec<Option<Value>>> {
        let mut hits = 0;
        let values = keys.iter().map(|key| self.read(tree, key, &mut hits));
        let values = values.collect::<Result<_>>();
        self.metrics.reads(keys.len() as u64, hits);
        values
    }

    /// A key's value for a reader; adds to `hits` where the cache has it.
    fn read(&self, tree: Tree, key: &Key, hits: &mut u64) -> Result<Option<Value>> {
        let ticket = match self.cache.get(tree, key) {
            Ok(value) => {
                *hits += 1;
                return Ok(Some(value));
            }
            Err(ticket) => ticket,
        };
        let value = self.engine.get(tree, key)?;
        if let Some(value) = &value {
            self.cache.insert(tree, key, value, ticket);
        }
        Ok(value)
    }

    /// A key's value for an expectation, which is of what its writer has just read:
    /// it is in the cache, and what is not gains nothing from being put there.
    fn look_up(&self, tree: Tree, key: &Key) -> Result<Option<Value>> {
        match self.cache.get(tree, key) {
            Ok(value) => Ok(Some(value)),
            Err(_) => self.engine.get(tree, key),
        }
    }
}

fn read_sequence(stored: Option<Value>) -> Result<u64> {
    stored.map_or(Ok(0), |bytes| {
        bytes[..].try_into().map(u64::from_le_bytes).map_err(|_| {
            let bytes = bytes.len();
            StoreError::Corrupt(format!("the change sequence has {bytes} bytes, not 8"))
        })
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Refuses what no engine has to take.
fn check_limits(batch: &Batch) -> Result<()> {
    for write in &batch.writes {
        let (key, value) = match write {
            Write::Put { key, value, .. } => (key, value.len()),
            Write::Delete { key, .. } | Write::Add { key, .. } => (key, 0),
        };
        if key.is_empty() || key.len() > KEY_BYTES_MAX || key[0] == 0 {
            return Err(StoreError::TooLarge(format!(
                "a key has 1 to {KEY_BYTES_MAX} bytes and no zero byte first; this one has {}",
                key.len()
            )));
        }
        if value > VALUE_BYTES_MAX {
            return Err(StoreError::TooLarge(format!(
                "a value has at most {VALUE_BYTES_MAX} bytes; this one has {value}"
            )));
        }
    }
    Ok(())
}

#[async_trait]
impl Engine for Committed {
    async fn get(&self, tree: Tree, key: &Key) -> Result<Option<Value>> {
        let mut hits = 0;
        let value = self.shared.read(tree, key, &mut hits);
        self.shared.metrics.reads(1, hits);
        value
    }

    async fn get_many(&self, tree: Tree, keys: &[Key]) -> Result<Vec<Option<Value>>> {
        self.shared.read_many(tree, keys)
    }

    async fn scan(&self, scan: &Scan) -> Result<Page> {
        let Shared {
            engine,
            pages,
            generations,
            metrics,
            ..
        } = &*self.shared;
        let (page, hit) = pages.get_or_read(scan, generations, |scan| engine.scan(scan))?;
        metrics.scanned(page.rows.len() as u64, hit);
        Ok(page)
    }

    async fn commit(&self, batch: Batch) -> Result<()> {
        check_limits(&batch)?;
        self.shared.let_in()?;
        let (reply, answer) = oneshot::channel();
        let bytes = batch.bytes();
        self.shared.queue.push(Submission {
            batch,
            bytes,
            reply,
        })?;
        self.shared.answered(answer).await
    }

    fn exclusive(&self) -> bool {
        true
    }

    fn generation(&self, key: &[u8]) -> Option<u64> {
        Some(self.shared.generations.of(key))
    }

    fn read_only(&self) -> Option<String> {
        let failed = self.shared.failed.get().cloned();
        failed.or_else(|| self.shared.stall.reason())
    }
}
