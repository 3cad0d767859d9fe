//! One file a subject. Each command opens its files, opens a session, asks, prints.

pub mod app;
pub mod apply;
pub mod archive;
pub mod backup;
mod demo;
pub mod export;
pub mod init;
pub mod job;
pub mod key;
pub mod operator;
pub mod serve;
mod setup;
pub mod store;
pub mod tenant;

pub use setup::has_code;
