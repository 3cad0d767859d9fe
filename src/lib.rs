//! Tenantry: one binary with tenants' records on an embedded store.
//!
//! The modules are layers, lowest first. A layer imports only from layers
//! below it; `tests/layers.rs` reads the `use crate::` paths and fails on an
//! upward arrow. `ARCHITECTURE.md` tells what each is for.

pub mod base; // 0
pub mod config; // 2
pub mod domain; // 1
pub mod service;
pub mod store; // 3 // 4
// jobs: 5
// app: 6
pub mod cli;
pub mod http; // 7 // 8
