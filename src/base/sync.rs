//! Locks, threads and shared numbers of what runs in several threads and is checked in
//! very many orders of their steps: `tests/schedules` compiles the same code with others
//! in their place (ARCHITECTURE.md, "Checked in every order").

pub use std::{
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering, fence},
    },
    thread,
};
