//! The keys of jobs and their runs.
//!
//! ```text
//! of an owner     acme#~job#<job>                    when the job is due next
//!                 acme#~run#<job>#<slot>             a run
//!                 acme#~log#<job>#<slot>             its log
//!                 acme#~check#<job>#<slot>           its checkpoint
//!                 acme#~done#<job>#<good|bad>#<moment>#<slot>   those that are over
//!                 acme#~secret#<job>                 what signs its webhook's requests
//! found by time   ~#due#<moment>#<owner>#<job>
//! the queue       ~#queue#<owner>#<job>#<moment>#<slot>
//!                 ~#waiting#<owner>                  how many wait
//! under way       ~#running#<owner>#<job>#<slot>
//! lists of runs   ~#runs#<moment>#<owner>#<job>#<slot>
//!                 ~#runsby#<job>#<state>#<moment>#<owner>#<slot>
//! ```
//!
//! The owner is a tenant's slug, or `~` for the installation.

use super::{Key, joined, moment};
use crate::{
    base::Instant,
    domain::job::{RunId, RunState, Slot, run::Owner},
    domain::names::JobName,
};

/// What every due row begins with.
pub const DUE: &str = "~#due#";
/// What every row of the queue begins with.
pub const QUEUE: &str = "~#queue#";
/// What every number of waiting runs begins with; the owner follows.
pub const WAITING: &str = "~#waiting#";
/// What every row of a run under way begins with.
pub const RUNNING: &str = "~#running#";
/// What every row of the list of all runs begins with.
pub const RUNS: &str = "~#runs#";
/// What every row of the lists of runs by job and state begins with.
pub const RUNS_BY: &str = "~#runsby#";
/// What every pause begins with.
pub const PAUSES: &str = "~#pause#";
/// What every order to look at schedules again begins with: a tenant's slug
/// follows, or nothing for all of them.
pub const RESCHEDULE: &str = "~#reschedule#";
/// When schedules were last looked at: the clock may not go back behind it unseen.
pub const CLOCK: &str = "~#clock";
/// What every process that runs jobs begins with.
pub const WORKERS: &str = "~#worker#";

/// What every key of an owner begins with.
pub fn everything_of(owner: &Owner) -> Key {
    joined(&[owner.as_str(), "#"])
}

/// When a job is due for an owner.
pub fn schedule(owner: &Owner, job: &JobName) -> Key {
    joined(&[owner.as_str(), "#~job#", job.as_str()])
}

/// What every [`schedule`] of an owner begins with; the job follows.
pub fn schedules(owner: &Owner) -> Key {
    joined(&[owner.as_str(), "#~job#"])
}

/// A run.
pub fn run(id: &RunId) -> Key {
    of_run("#~run#", id)
}

/// What every run of a job for an owner begins with; the slot follows.
pub fn runs_of(owner: &Owner, job: &JobName) -> Key {
    joined(&[owner.as_str(), "#~run#", job.as_str(), "#"])
}

/// What every run of an owner begins with.
pub fn all_runs_of(owner: &Owner) -> Key {
    joined(&[owner.as_str(), "#~run#"])
}

/// A run's log.
pub fn run_log(id: &RunId) -> Key {
    of_run("#~log#", id)
}

/// A run's checkpoint.
pub fn checkpoint(id: &RunId) -> Key {
    of_run("#~check#", id)
}

/// A run that is over, among those that went well or those that did not.
pub fn done(id: &RunId, good: bool, ended_at: Instant) -> Key {
    let mut key = done_of(&id.owner, &id.job, good).to_vec();
    let rest = [&moment(ended_at), "#", &*id.slot.key()].concat();
    key.extend_from_slice(rest.as_bytes());
    key.into()
}

/// What every run of a job that is over begins with, for an owner.
pub fn done_of(owner: &Owner, job: &JobName, good: bool) -> Key {
    let class = if good { "#good#" } else { "#bad#" };
    joined(&[owner.as_str(), "#~done#", job.as_str(), class])
}

/// The slot of a row of [`done`].
pub fn read_done(key: &[u8]) -> Option<Slot> {
    let text = std::str::from_utf8(key).ok()?;
    let (rest, slot) = text.rsplit_once('#')?;
    read_moment(rest.rsplit_once('#')?.1)?;
    Slot::parse(slot)
}

fn of_run(family: &str, id: &RunId) -> Key {
    let slot = id.slot.key();
    joined(&[id.owner.as_str(), family, id.job.as_str(), "#", &slot])
}

/// What signs the requests of a job's webhook.
pub fn webhook_secret(owner: &Owner, job: &JobName) -> Key {
    joined(&[owner.as_str(), "#~secret#", job.as_str()])
}

/// A job is due for an owner.
pub fn due(at: Instant, owner: &Owner, job: &JobName) -> Key {
    joined(&[DUE, &moment(at), "#", owner.as_str(), "#", job.as_str()])
}

/// Sorts behind every due row up to `at`.
pub fn due_until(at: Instant) -> Key {
    joined(&[DUE, &moment(at), "$"])
}

/// A run that waits.
pub fn queued(id: &RunId, ready_at: Instant) -> Key {
    let (ready_at, slot) = (moment(ready_at), id.slot.key());
    let (owner, job) = (id.owner.as_str(), id.job.as_str());
    joined(&[QUEUE, owner, "#", job, "#", &ready_at, "#", &slot])
}

/// What every run that waits of an owner begins with.
pub fn queue_of(owner: &Owner) -> Key {
    joined(&[QUEUE, owner.as_str(), "#"])
}

/// What every run that waits of a job for an owner begins with.
pub fn queue_of_job(owner: &Owner, job: &JobName) -> Key {
    joined(&[QUEUE, owner.as_str(), "#", job.as_str(), "#"])
}

/// The counter of an owner's runs that wait.
pub fn waiting(owner: &Owner) -> Key {
    joined(&[WAITING, owner.as_str()])
}

/// A run under way.
pub fn running(id: &RunId) -> Key {
    let slot = id.slot.key();
    joined(&[RUNNING, id.owner.as_str(), "#", id.job.as_str(), "#", &slot])
}

/// What every run under way of an owner begins with.
pub fn running_of(owner: &Owner) -> Key {
    joined(&[RUNNING, owner.as_str(), "#"])
}

/// What every run under way of a job for an owner begins with.
pub fn running_of_job(owner: &Owner, job: &JobName) -> Key {
    joined(&[RUNNING, owner.as_str(), "#", job.as_str(), "#"])
}

/// A run in the list of all.
pub fn listed(id: &RunId, queued_at: Instant) -> Key {
    let (queued_at, slot) = (moment(queued_at), id.slot.key());
    let (owner, job) = (id.owner.as_str(), id.job.as_str());
    joined(&[RUNS, &queued_at, "#", owner, "#", job, "#", &slot])
}

/// A run in the list of its job and state.
pub fn listed_by(id: &RunId, state: RunState, queued_at: Instant) -> Key {
    let mut key = listed_by_prefix(&id.job, state).to_vec();
    let (queued_at, slot) = (moment(queued_at), id.slot.key());
    let rest = [&queued_at, "#", id.owner.as_str(), "#", &slot].concat();
    key.extend_from_slice(rest.as_bytes());
    key.into()
}

/// What the list of a job's runs in a state begins with.
pub fn listed_by_prefix(job: &JobName, state: RunState) -> Key {
    joined(&[RUNS_BY, job.as_str(), "#", state.name(), "#"])
}

/// Sorts behind every run that a job's list in a state has from before `at`.
pub fn listed_by_until(job: &JobName, state: RunState, at: Instant) -> Key {
    let mut key = listed_by_prefix(job, state).to_vec();
    key.extend_from_slice(moment(at).as_bytes());
    key.into()
}

/// A process that runs jobs.
pub fn worker(id: &str) -> Key {
    joined(&[WORKERS, id])
}

/// The order to look at a tenant's schedules again.
pub fn reschedule(slug: &str) -> Key {
    joined(&[RESCHEDULE, slug])
}

/// A pause of what `what` names.
pub fn pause(what: &str) -> Key {
    joined(&[PAUSES, what])
}

/// A due row's moment, owner and job.
pub fn read_due(key: &[u8]) -> Option<(Instant, Owner, JobName)> {
    let mut parts = parts(key, DUE)?;
    let at = read_moment(parts.next()?)?;
    let owner = Owner::parse(parts.next()?)?;
    let job = JobName::parse(parts.next()?).ok()?;
    parts.next().is_none().then_some((at, owner, job))
}

/// The run of a row of the queue, and the moment before which it does not start.
pub fn read_queued(key: &[u8]) -> Option<(RunId, Instant)> {
    let mut parts = parts(key, QUEUE)?;
    let owner = Owner::parse(parts.next()?)?;
    let job = JobName::parse(parts.next()?).ok()?;
    let ready_at = read_moment(parts.next()?)?;
    let slot = Slot::parse(parts.next()?)?;
    let id = RunId { owner, job, slot };
    parts.next().is_none().then_some((id, ready_at))
}

/// The run of a row of those under way.
pub fn read_running(key: &[u8]) -> Option<RunId> {
    let mut parts = parts(key, RUNNING)?;
    let owner = Owner::parse(parts.next()?)?;
    let job = JobName::parse(parts.next()?).ok()?;
    let slot = Slot::parse(parts.next()?)?;
    parts.next().is_none().then_some(RunId { owner, job, slot })
}

/// The run of a row of the list of all, and when it was queued.
pub fn read_listed(key: &[u8]) -> Option<(RunId, Instant)> {
    let mut parts = parts(key, RUNS)?;
    let queued_at = read_moment(parts.next()?)?;
    let owner = Owner::parse(parts.next()?)?;
    let job = JobName::parse(parts.next()?).ok()?;
    let slot = Slot::parse(parts.next()?)?;
    let id = RunId { owner, job, slot };
    parts.next().is_none().then_some((id, queued_at))
}

/// The run of a row of the lists by job and state, its state and when it was queued.
pub fn read_listed_by(key: &[u8]) -> Option<(RunId, RunState, Instant)> {
    let mut parts = parts(key, RUNS_BY)?;
    let job = JobName::parse(parts.next()?).ok()?;
    let state = RunState::parse(parts.next()?)?;
    let queued_at = read_moment(parts.next()?)?;
    let owner = Owner::parse(parts.next()?)?;
    let slot = Slot::parse(parts.next()?)?;
    let id = RunId { owner, job, slot };
    parts.next().is_none().then_some((id, state, queued_at))
}

/// The run of an owner's row of one of the families `~run`, `~log` and `~check`.
pub fn read_of_run(key: &[u8]) -> Option<RunId> {
    let mut parts = std::str::from_utf8(key).ok()?.split('#');
    let owner = Owner::parse(parts.next()?)?;
    parts.next()?;
    let job = JobName::parse(parts.next()?).ok()?;
    let slot = Slot::parse(parts.next()?)?;
    parts.next().is_none().then_some(RunId { owner, job, slot })
}

fn parts<'a>(key: &'a [u8], prefix: &str) -> Option<std::str::Split<'a, char>> {
    let rest = std::str::from_utf8(key).ok()?.strip_prefix(prefix)?;
    Some(rest.split('#'))
}

fn read_moment(text: &str) -> Option<Instant> {
    let right = text.len() == 15 && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| right).map(Instant)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn rows_are_read_back() {
        for text in ["acme.daily.001772344800000", "~.nightly.000000000000009m"] {
            let id = RunId::parse(text).unwrap();
            let at = Instant(1_772_344_800_123);
            assert_eq!(
                read_due(&due(at, &id.owner, &id.job)),
                Some((at, id.owner.clone(), id.job.clone()))
            );
            assert_eq!(read_queued(&queued(&id, at)), Some((id.clone(), at)));
            assert_eq!(read_running(&running(&id)), Some(id.clone()));
            assert_eq!(read_listed(&listed(&id, at)), Some((id.clone(), at)));
            for state in RunState::ALL {
                let row = listed_by(&id, state, at);
                assert_eq!(read_listed_by(&row), Some((id.clone(), state, at)));
                assert!(row < listed_by_until(&id.job, state, Instant(at.0 + 1)));
                assert!(row > listed_by_until(&id.job, state, at));
            }
            assert_eq!(read_of_run(&run(&id)), Some(id.clone()));
            assert_eq!(read_done(&done(&id, true, at)), Some(id.slot));
            assert!(due(at, &id.owner, &id.job) < due_until(at));
            assert!(due(Instant(at.0 + 1), &id.owner, &id.job) > due_until(at));
        }
    }
}
