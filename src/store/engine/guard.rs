//! What every engine on disk needs around calls of its library.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    time::{Duration, Instant},
};

use super::{Result, StoreError};

/// How long, and after which pauses, files that are held are tried again.
const HELD_MAX: Duration = Duration::from_secs(5);
const HELD_PAUSE: Duration = Duration::from_millis(25);

/// Engines panic on some kinds of damage where they should answer an error.
pub fn guarded<T>(engine: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(StoreError::Corrupt(format!(
            "{engine} stopped in the middle, which damage on the disk causes"
        )))
    })
}

/// Opens an engine's folder; an error says what to do.
pub fn opened<T>(engine: &str, path: &Path, open: impl FnOnce() -> Result<T>) -> Result<T> {
    guarded(engine, open).map_err(|error| {
        StoreError::Open(format!(
            "{} does not open: {error}. Do not delete anything; copy the folder aside, check the disk, and restore the last copy of it if opening goes on failing.",
            path.display()
        ))
    })
}

/// Opens files that may be held for a while yet by threads of an instance that was
/// dropped a moment ago. Nobody else holds them: the data folder has a lock of its own.
pub fn once_free<T, E>(
    mut open: impl FnMut() -> Result<T, E>,
    is_held: impl Fn(&E) -> bool,
) -> Result<T, E> {
    let started = Instant::now();
    loop {
        match open() {
            Err(error) if is_held(&error) && started.elapsed() < HELD_MAX => {
                std::thread::sleep(HELD_PAUSE);
            }
            other => return other,
        }
    }
}
