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

mod by_hand;
mod cache;
mod generations;
mod group;
mod hash;
mod metrics;
mod pages;
mod queue;
mod stall;
mod tee;
mod turn;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
pub use by_hand::ByHand;
pub use metrics::CommitterMetrics;
pub use tee::{TEE_BYTES_MAX, Tee};
use tokio::sync::oneshot;

use self::{
    cache::RecordCache,
    generations::Generations,
    group::{Group, Prepared, Room, Values},
    hash::KeyHash,
    pages::PageCache,
    queue::{Next, Queue},
    stall::Stall,
    tee::TeeIn,
    turn::Turn,
};
use crate::{
    base::sync::{Condvar, Mutex, MutexGuard, PoisonError, thread},
    store::engine::{
        Batch, Embedded, Engine, KEY_BYTES_MAX, Key, Page, Result, Scan, StoreError, Tree,
        VALUE_BYTES_MAX, Value, Write,
    },
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

/// Who closes looks this often whether the disk has stalled meanwhile.
const CLOSING_LOOK: Duration = Duration::from_millis(100);

/// A disk that takes no write is noticed within this part of the limit.
const LOOKS: u32 = 4;

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
    /// Who is handed every group; held while one is being written.
    tee: Mutex<Option<TeeIn>>,
    /// Threads that have not ended.
    running: Mutex<usize>,
    ended: Condvar,
    /// Why writes stopped.
    failed: OnceLock<String>,
}

/// An embedded engine with its committer: the contract.
pub struct Committed {
    shared: Arc<Shared>,
    threads: Mutex<Vec<thread::JoinHandle<()>>>,
}

impl Committed {
    /// Starts the two threads over `engine`.
    pub fn start(engine: Arc<dyn Embedded>, options: CommitterOptions) -> Result<Self> {
        let shared = Arc::new(Shared::new(engine, options, KeyHash::random())?);
        *lock(&shared.running) = 2;
        let spawn = |number: usize| {
            let shared = shared.clone();
            thread::Builder::new()
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

    /// Takes no further batch, writes those that wait, and ends the threads. Those that
    /// the disk keeps are left behind.
    pub fn close(&self) {
        self.shared.queue.close();
        let mut threads = lock(&self.threads);
        if !threads.is_empty() && !self.shared.all_ended() {
            tracing::error!("the disk does not take the last writes; they may be lost");
            threads.clear();
        }
        for thread in threads.drain(..) {
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

/// Where gathering a group has come to.
enum Gathered {
    /// It is the group's turn to be applied.
    Ready,
    /// Nothing waits that it has room for.
    Waits,
    /// Nothing waits, and nothing will.
    Closed,
}

impl Shared {
    fn new(engine: Arc<dyn Embedded>, options: CommitterOptions, hash: KeyHash) -> Result<Self> {
        let sequence = read_sequence(engine.get(Tree::Hot, SEQUENCE_KEY.as_bytes())?)?;
        let pages_bytes = options.cache_bytes / PAGES_PART;
        Ok(Self {
            engine,
            options,
            queue: Queue::new(
                options.queue_batches,
                options.queue_bytes,
                options.stalled_after / LOOKS,
            ),
            cache: RecordCache::new(options.cache_bytes - pages_bytes, hash.clone()),
            pages: PageCache::new(pages_bytes),
            generations: Generations::new(hash),
            metrics: Arc::default(),
            stall: Stall::new(options.stalled_after),
            position: Mutex::new(Position {
                in_flight: Arc::default(),
                sequence,
            }),
            tee: Mutex::default(),
            running: Mutex::default(),
            ended: Condvar::new(),
            failed: OnceLock::new(),
        })
    }

    /// What both threads do.
    fn commit_groups(&self) {
        let _ending = Ending(self);
        while let Some(group) = self.prepare() {
            let mut turn = Some(Turn::Prepared(group));
            while let Some(step) = turn {
                turn = self.advance(step);
            }
            self.queue.applied();
        }
    }

    /// The next group, when it is its turn to be applied; `None` at the end.
    fn prepare(&self) -> Option<Prepared> {
        let mut position = lock(&self.position);
        let mut group = Group::behind(&position);
        match self.gather(&mut group, |room| Some(self.queue.next(room))) {
            Gathered::Ready => {
                let (prepared, reached) = group.finish();
                *position = reached;
                Some(prepared)
            }
            Gathered::Waits | Gathered::Closed => None,
        }
    }

    /// Takes what `next` gives into the group, as far as its expectations hold. Whoever
    /// calls it holds the position, so nobody takes over before a panic is dealt with.
    fn gather(&self, group: &mut Group, next: impl Fn(Room) -> Option<Next>) -> Gathered {
        let all = AssertUnwindSafe(|| self.gather_all(group, next));
        catch_unwind(all).unwrap_or_else(|_| {
            self.give_up();
            Gathered::Closed
        })
    }

    fn gather_all(&self, group: &mut Group, next: impl Fn(Room) -> Option<Next>) -> Gathered {
        loop {
            match next(group.room(&self.options)) {
                Some(Next::Batch(submission)) => {
                    if let Some((reply, error)) = group.admit(self, submission) {
                        // The writer may have gone away; nothing to tell it then.
                        let _ = reply.send(Err(error));
                    }
                }
                Some(Next::Apply) => return Gathered::Ready,
                Some(Next::Late) => self.stall.look(),
                Some(Next::Closed) => return Gathered::Closed,
                None => return Gathered::Waits,
            }
        }
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

    /// Waits for the threads' end; false where the disk keeps one of them.
    fn all_ended(&self) -> bool {
        let mut running = lock(&self.running);
        while *running > 0 {
            if self.stall.reason().is_some() {
                return false;
            }
            let waited = self.ended.wait_timeout(running, CLOSING_LOOK);
            (running, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
        true
    }

    /// Waits for a batch's answer, but not for a disk that does not answer.
    async fn answered(&self, mut answer: oneshot::Receiver<Result<()>>) -> Result<()> {
        loop {
            tokio::select! {
                biased;
                answered = &mut answer => {
                    return answered
                        .unwrap_or_else(|_| Err(StoreError::InDoubt("the committer ended".into())));
                }
                // Where it has ended meanwhile, however it did, the answer is on its way.
                () = self.stall.noticed() => self.not_stalled()?,
            }
        }
    }

    /// Refuses where no write is taken.
    fn let_in(&self) -> Result<()> {
        if let Some(reason) = self.failed.get() {
            return Err(StoreError::ReadOnly(reason.clone()));
        }
        self.not_stalled()
    }

    fn not_stalled(&self) -> Result<()> {
        let reason = self.stall.reason();
        reason.map_or(Ok(()), |reason| Err(StoreError::Stalled(reason)))
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

/// Counts a thread as ended when it ends, however it does.
struct Ending<'a>(&'a Shared);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        *lock(&self.0.running) -= 1;
        self.0.ended.notify_all();
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
