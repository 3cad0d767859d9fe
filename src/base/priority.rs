//! Who goes first where the processors do not suffice for everybody.

/// The priority of threads whose work can wait (`man 2 setpriority`).
const NICE: i32 = 10;

/// Lets others go before the calling thread: on Linux this is about that thread alone.
pub fn step_back() {
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::warn!(%error, "background work runs at the priority of requests");
    }
}
