//! The standard error output, without waiting for whoever reads it.
//!
//! A pipe or a socket has little room. Where its reader stands still, a write to it waits,
//! and with it the request that the line is about, and soon all of them. So a line that
//! there is no room for is left out, and how many were is told when there is room again.

use std::{
    io::{self, Write},
    os::fd::AsFd as _,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::{
    base::{Clock as _, SystemClock},
    config::LogFormat,
};

/// What a pipe that has room at all takes at once (`PIPE_BUF`, `man 7 pipe`).
const PIECE_BYTES: usize = 4096;

/// Lines that were left out since the last one that was written.
static LEFT_OUT: AtomicU64 = AtomicU64::new(0);

/// The output; each write is one line.
#[derive(Debug, Clone, Copy)]
pub struct Output(pub LogFormat);

impl Write for Output {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // Others do not take the room between the look and the write, nor count.
        let mut out = io::stderr().lock();
        let left_out = LEFT_OUT.load(Relaxed);
        if left_out > 0 && has_room(&out) {
            out.write_all(self.notice(left_out).as_bytes())?;
            LEFT_OUT.store(0, Relaxed);
        }
        for piece in line.chunks(PIECE_BYTES) {
            if !has_room(&out) {
                LEFT_OUT.fetch_add(1, Relaxed);
                break;
            }
            out.write_all(piece)?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output {
    /// Behind a line that may have been cut short.
    fn notice(self, left_out: u64) -> String {
        let now = SystemClock.now().to_rfc3339();
        let what = "lines of the log were left out while nobody read it";
        match self.0 {
            LogFormat::Text => format!(
                "\n{now}  WARN {}: {what} lines={left_out}\n",
                module_path!()
            ),
            LogFormat::Json => format!(
                "\n{{\"timestamp\":\"{now}\",\"level\":\"WARN\",\"message\":\"{what}\",\"lines\":{left_out},\"target\":\"{}\"}}\n",
                module_path!()
            ),
        }
    }
}

/// Whether a piece can be written without waiting; a file always takes it. What is wrong
/// with the output shows at the write.
fn has_room(out: &io::StderrLock<'_>) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(out.as_fd(), PollFlags::OUT)];
    poll(&mut fds, Some(&Timespec::default())).map_or(true, |ready| ready > 0)
}
