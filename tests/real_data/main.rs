//! The product on real data: a help desk's audit log and a wholesaler's orders,
//! imported by the real binary, then asked over HTTP what the tests compute from
//! the files themselves.
//!
//! The files lie beside the repository in `../shared/data`, or where
//! `TENANTRY_TEST_DATA` says; without them the tests say so and pass.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod archive;
mod bench;
mod files;
mod incidents;
mod orders;
mod reports;
