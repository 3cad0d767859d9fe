//! Wraps an engine and makes calls fail, wait, panic, or end the process: for tests of
//! what the layers above do then.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{Applied, Embedded, Maintenance, Page, Result, Scan, Stats, StoreError, Tree, Value};

/// Which call a fault is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Reading one key.
    Get,
    /// Reading a page.
    Scan,
    /// Writing a group.
    Apply,
}

/// What happens.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// The call answers an error and does nothing.
    Fail,
    /// The call is carried out and then answers an error.
    FailAfter,
    /// The call waits first.
    Delay(Duration),
    /// The call panics, as sled does on some damage.
    Panic,
    /// The process ends at once, as by SIGKILL.
    Die,
}

/// An engine with planned faults.
pub struct Faulty<E> {
    inner: E,
    counts: [AtomicU64; 3],
    plan: Mutex<Vec<(Call, u64, Fault)>>,
}

impl<E> Faulty<E> {
    /// `inner`, without any fault yet.
    pub fn new(inner: E) -> Self {
        Self {
            inner,
            counts: Default::default(),
            plan: Mutex::new(Vec::new()),
        }
    }

    /// Plans `fault` for the `nth` next call of this kind (0 is the very next).
    pub fn plan(&self, call: Call, nth: u64, fault: Fault) {
        let at = self.count(call) + nth;
        self.plan
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((call, at, fault));
    }

    /// How many calls of this kind there were.
    pub fn count(&self, call: Call) -> u64 {
        self.counts[call as usize].load(Ordering::SeqCst)
    }

    /// Carries out what is planned for this call; answers whether it fails afterwards.
    fn enter(&self, call: Call) -> Result<bool> {
        let at = self.counts[call as usize].fetch_add(1, Ordering::SeqCst);
        let fault = {
            let plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
            plan.iter()
                .find(|(c, n, _)| *c == call && *n == at)
                .map(|(_, _, fault)| *fault)
        };
        match fault {
            None => Ok(false),
            Some(Fault::Fail) => Err(injected()),
            Some(Fault::FailAfter) => Ok(true),
            Some(Fault::Delay(time)) => {
                std::thread::sleep(time);
                Ok(false)
            }
            Some(Fault::Panic) => panic!("a planned fault"),
            Some(Fault::Die) => std::process::abort(),
        }
    }
}

fn injected() -> StoreError {
    StoreError::Io("a planned fault".into())
}

fn leave<T>(fails: bool, answer: T) -> Result<T> {
    if fails { Err(injected()) } else { Ok(answer) }
}

impl<E: Embedded> Embedded for Faulty<E> {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Value>> {
        let fails = self.enter(Call::Get)?;
        leave(fails, self.inner.get(tree, key)?)
    }

    fn scan(&self, scan: &Scan) -> Result<Page> {
        let fails = self.enter(Call::Scan)?;
        leave(fails, self.inner.scan(scan)?)
    }

    fn apply(&self, writes: &[Applied]) -> Result<()> {
        let fails = self.enter(Call::Apply)?;
        self.inner.apply(writes)?;
        leave(fails, ())
    }
}

impl<E: Maintenance> Maintenance for Faulty<E> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn disk_bytes(&self) -> Result<u64> {
        self.inner.disk_bytes()
    }

    fn stats(&self) -> Result<Stats> {
        self.inner.stats()
    }

    fn verify(&self) -> Result<Vec<String>> {
        self.inner.verify()
    }
}
