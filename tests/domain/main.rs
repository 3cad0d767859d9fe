//! The domain's promises, by properties and snapshots.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod app_files;
mod cursors;
mod json;
mod lists;
mod plans;
mod queries;
mod schedules;
mod values;
