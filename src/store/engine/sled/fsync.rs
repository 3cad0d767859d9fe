//! Forces sled 0.34.7 to sync for real.
//!
//! On Linux sled "flushes" with `sync_file_range(2)`, whose own manual page says
//! that it gives no guarantee after a power cut: it neither writes the file's
//! metadata nor empties the disk's cache. Acknowledged writes were lost that way
//! in 2 of 14 simulated power cuts, and 7 of 14 stores did not open. sled falls
//! back to `fsync(2)` where the call answers `ENOSYS`. This file defines the
//! symbol in our binary so that it does; the linker prefers it to libc's.
//! [`calls`] proves at start-up that sled's call arrives here.

use std::{
    fs::File,
    io,
    os::fd::AsRawFd as _,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

#[cfg(not(feature = "unsynced"))]
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
    fd: libc::c_int,
    _offset: libc::off64_t,
    _bytes: libc::off64_t,
    _flags: libc::c_uint,
) -> libc::c_int {
    CALLS.fetch_add(1, Ordering::SeqCst);
    #[cfg(test)]
    if failing::fails(fd) {
        // Later than those of other buffers: none of them wakes who waits for this one.
        std::thread::sleep(std::time::Duration::from_millis(300));
        Errno::EIO.set();
        return -1;
    }
    let _ = fd;
    Errno::ENOSYS.set();
    -1
}

/// Sees every failure to write a file back, whoever else is told of it.
///
/// The system tells of such a failure once for each time that a file was opened. sled
/// syncs its log for writers and, on a timer, for itself; it passes over what the timer's
/// sync answers. A failure told there would be told to no writer, whose own sync then
/// succeeds. So the file is opened once more, by us, and asked after each commit.
pub struct Witness(File);

impl Witness {
    /// Opens the file; what failed before is not told.
    pub fn of(path: &Path) -> io::Result<Self> {
        File::open(path).map(Self)
    }

    /// An error where anything of the file could not be written back since the last
    /// call. It reads and writes nothing and waits for one page at most.
    #[expect(
        unsafe_code,
        reason = "libc's function of this name is replaced above, so the call is made by its number; it takes integers only"
    )]
    pub fn ask(&self) -> io::Result<()> {
        let (first, one) = (0 as libc::off64_t, 1 as libc::off64_t);
        let answer = unsafe {
            libc::syscall(
                libc::SYS_sync_file_range,
                self.0.as_raw_fd(),
                first,
                one,
                libc::SYNC_FILE_RANGE_WAIT_BEFORE,
            )
        };
        match answer {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// Has one sync of a file fail.
#[cfg(test)]
pub mod failing {
    use std::sync::Mutex;

    /// The file, and how many of its syncs succeed before that.
    static PLAN: Mutex<Option<(libc::c_int, usize)>> = Mutex::new(None);

    /// Plans it for the file open as `fd`.
    pub fn plan(fd: libc::c_int, after: usize) {
        *PLAN.lock().unwrap() = Some((fd, after));
    }

    pub(super) fn fails(fd: libc::c_int) -> bool {
        let mut plan = PLAN.lock().unwrap();
        match &mut *plan {
            Some((planned, 0)) if *planned == fd => {
                *plan = None;
                true
            }
            Some((planned, after)) if *planned == fd => {
                *after -= 1;
                false
            }
            _ => false,
        }
    }
}
