//! What a client sees: every test drives the real binary over real sockets and
//! real files.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod app;
mod archive;
mod auth;
mod compression;
mod console;
mod crash;
mod faults;
mod jobs;
mod lifecycle;
mod limits;
mod middleware;
mod permissions;
mod problems;
mod records;
mod server;
mod store;
mod tenants;
mod transfer;
