//! What reads bytes from outside, as functions that take any bytes: each holds what
//! was read against what has to be true of it, and panics where it is not. The
//! targets of `fuzz/` call them, and so does a test here with the kept corpus and
//! mutations of it.
//!
//! Built for tests and with the feature `fuzzing` only.

mod app_files;
mod cursors;
mod keys;
mod queries;
#[cfg(test)]
mod tests;

pub use app_files::app_files;
pub use cursors::cursors;
pub use keys::keys;
pub use queries::queries;

pub use crate::service::transfer::fuzzing::import_rows;

use std::sync::LazyLock;

use crate::domain::app_file::{AppFile, EXAMPLE_APP};

/// What queries are planned and rows are read by.
static EXAMPLE: LazyLock<AppFile> = LazyLock::new(|| match AppFile::parse(EXAMPLE_APP) {
    Ok(app) => app,
    Err(problems) => panic!("the example is wrong: {problems:?}"),
});
