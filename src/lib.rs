//! Tenantry: one binary with tenants' records on an embedded store.
//!
//! The modules are layers, lowest first. A layer imports only from layers
//! below it; `tests/layers.rs` reads the `use crate::` paths and fails on an
//! upward arrow. `ARCHITECTURE.md` tells what each is for.

pub mod base; // 0

pub mod domain; // 1

pub mod config; // 2

pub mod store; // 3

pub mod service; // 4

pub mod jobs; // 5

pub mod app; // 6

pub mod http; // 7

pub mod cli; // 8

#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing; // 9
