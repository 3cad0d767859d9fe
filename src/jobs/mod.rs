//! What the server does without being asked: upkeep (`background.rs`) and jobs.
//!
//! `heartbeat.rs` looks once a second at what is due, `dispatcher.rs` decides which
//! run begins next (`fair.rs`: whose turn it is), `attempt.rs` carries it out, and
//! `kinds/` is the work itself, done through `context.rs`.

pub mod attempt;
pub mod background;
mod context;
mod dispatcher;
pub mod engine;
mod fair;
mod heartbeat;
mod kinds;
mod leases;
pub mod metrics;
#[cfg(test)]
mod tests;
