//! The engine in memory as a disk that fails: what was written and not synced is seen
//! until the power is cut, and is then there or not.

use std::sync::{Arc, Mutex, MutexGuard};

use tenantry::store::{
    Embedded, Key, Maintenance, Page, Scan, Stats, StoreError, Tree, Value,
    engine::{Applied, Result, memory::Memory},
};

/// What a planned fault says.
pub const PLANNED: &str = "a planned fault";

/// Which call a fault is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Get,
    Scan,
    Apply,
}

/// What happens at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It answers an error and does nothing.
    Fail,
    /// A group is written, its sync fails: whether it is on the disk shows at the next start.
    FailSync,
    /// The engine panics.
    Panic,
    /// The power is cut before the call does anything.
    Cut,
    /// The power is cut when a group is on the disk and nobody knows.
    CutBehind,
}

/// The next fault, and how many calls of its kind come before it.
pub type Plan = (Call, usize, Fault);

#[derive(Default)]
struct State {
    /// What reads see.
    visible: Memory,
    /// What is on the disk.
    durable: Memory,
    /// The group whose sync failed.
    unsynced: Vec<Applied>,
    plan: Option<Plan>,
    cut: bool,
    failed: bool,
}

/// The disk.
#[derive(Default)]
pub struct Disk(Mutex<State>);

impl Disk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Plans a fault for the `nth` next call of a kind, instead of any planned before.
    pub fn plan(&self, call: Call, nth: usize, fault: Fault) {
        self.state().plan = Some((call, nth, fault));
    }

    /// Nothing fails any more; what was planned.
    pub fn calm(&self) -> Option<Plan> {
        self.state().plan.take()
    }

    /// What was planned goes on.
    pub fn resume(&self, plan: Option<Plan>) {
        self.state().plan = plan;
    }

    /// Whether the power is off: nothing that is answered now is heard by anybody.
    pub fn is_cut(&self) -> bool {
        self.state().cut
    }

    /// Whether a write failed since the start, so that what is read may be lost.
    pub fn has_failed(&self) -> bool {
        self.state().failed
    }

    /// Cuts the power now.
    pub fn cut(&self) {
        self.state().cut = true;
    }

    /// The disk as it is found at the next start; what was not synced is there if `kept`.
    pub fn restart(&self, kept: bool) -> Arc<Self> {
        let mut state = self.state();
        let unsynced = std::mem::take(&mut state.unsynced);
        if kept {
            state.durable.apply(&unsynced).unwrap();
        }
        let durable = std::mem::take(&mut state.durable);
        Arc::new(Self(Mutex::new(State {
            visible: copy_of(&durable),
            durable,
            ..State::default()
        })))
    }

    /// Everything that reads see, for a look from outside.
    pub fn rows(&self) -> Vec<(Tree, Key, Value)> {
        all(&self.state().visible)
    }

    /// Carries out what is planned for this call.
    fn enter(&self, call: Call) -> Result<Option<Fault>> {
        let fault = {
            let mut state = self.state();
            if state.cut {
                return Err(power_cut());
            }
            match &mut state.plan {
                Some((planned, 0, fault)) if *planned == call => {
                    let fault = *fault;
                    state.plan = None;
                    state.cut |= fault == Fault::Cut;
                    state.failed |= call == Call::Apply && fault != Fault::CutBehind;
                    Some(fault)
                }
                Some((planned, before, _)) if *planned == call => {
                    *before -= 1;
                    None
                }
                _ => None,
            }
        };
        match fault {
            Some(Fault::Fail) => Err(StoreError::Io(PLANNED.into())),
            Some(Fault::Cut) => Err(power_cut()),
            Some(Fault::Panic) => std::panic::panic_any(PLANNED),
            other => Ok(other),
        }
    }
}

fn power_cut() -> StoreError {
    StoreError::Io("the power is off".into())
}

fn all(memory: &Memory) -> Vec<(Tree, Key, Value)> {
    let mut rows = Vec::new();
    for tree in Tree::ALL {
        let mut scan = Scan::prefix(tree, Key::new());
        (scan.limit, scan.bytes_max) = (usize::MAX, usize::MAX);
        let page = memory.scan(&scan).unwrap();
        rows.extend(page.rows.into_iter().map(|(key, value)| (tree, key, value)));
    }
    rows
}

fn copy_of(memory: &Memory) -> Memory {
    let rows = all(memory).into_iter();
    let rows = rows.map(|(tree, key, value)| Applied {
        tree,
        key,
        value: Some(value),
        replaced_bytes: None,
    });
    let copy = Memory::new();
    copy.apply(&rows.collect::<Vec<_>>()).unwrap();
    copy
}

impl Embedded for Disk {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Value>> {
        self.enter(Call::Get)?;
        self.state().visible.get(tree, key)
    }

    fn scan(&self, scan: &Scan) -> Result<Page> {
        self.enter(Call::Scan)?;
        self.state().visible.scan(scan)
    }

    fn apply(&self, writes: &[Applied]) -> Result<()> {
        let fault = self.enter(Call::Apply)?;
        let mut state = self.state();
        state.visible.apply(writes)?;
        if fault == Some(Fault::FailSync) {
            state.unsynced = writes.to_vec();
            return Err(StoreError::Io("the sync failed".into()));
        }
        state.durable.apply(writes)?;
        state.cut |= fault == Some(Fault::CutBehind);
        Ok(())
    }
}

impl Maintenance for Disk {
    fn name(&self) -> &'static str {
        "simulated"
    }

    fn disk_bytes(&self) -> Result<u64> {
        Ok(0)
    }

    fn stats(&self) -> Result<Stats> {
        self.state().visible.stats()
    }

    fn verify(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}
