//! What the records service promises, through its own doors, over the engine in
//! memory and with a clock that stands still.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod archive;
mod bench;
mod building;
mod idempotency;
mod lists;
mod moving;
mod races;
mod reads;
mod steps;
mod uniques;
mod writes;
