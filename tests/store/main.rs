//! The store's contract, on every engine, with real files where there are files.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod backup;
mod bench;
mod cache;
mod codec;
mod conformance;
mod faults;
mod files;
mod model;
