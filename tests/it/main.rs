//! What a client sees: every test drives the real binary over real sockets and
//! real files.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod app;
mod archive;
mod auth;
mod backup;
mod compression;
mod console;
mod crash;
mod doctor;
mod document;
mod faults;
mod hostile;
mod jobs;
mod lifecycle;
mod limits;
mod middleware;
mod notify;
mod permissions;
mod problems;
mod proxies;
mod records;
mod server;
mod store;
mod tenants;
mod tls;
mod transfer;
