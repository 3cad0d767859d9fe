//! A breaker for each host (Nygard, "Release It!"): a host that does not answer takes
//! the slots of all that would send to it, so after a few failures nothing is sent to
//! it for a while, and then one request first.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Failures in a row that open it.
const FAILURES: u32 = 5;
/// How long it is open at first; twice as long after each further failure.
const OPEN: Duration = Duration::from_secs(15);
const OPEN_MAX: Duration = Duration::from_secs(300);
/// Hosts that are remembered; beyond that those without a failure's fault go first.
const HOSTS_MAX: usize = 10_000;

#[derive(Debug, Clone, Copy)]
struct Host {
    failures: u32,
    /// Closed again from then on, for one request at first.
    until: Instant,
}

/// The breakers of all hosts.
#[derive(Debug, Default)]
pub struct Breakers(Mutex<HashMap<String, Host>>);

impl Breakers {
    /// How long nothing is to be sent to a host; `None` where something may be.
    pub fn open_for(&self, host: &str, now: Instant) -> Option<Duration> {
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = hosts
            .get_mut(host)
            .filter(|known| known.failures >= FAILURES)?;
        let left = known.until.saturating_duration_since(now);
        if !left.is_zero() {
            return Some(left);
        }
        // One request tries; the others wait for what becomes of it.
        known.until = now + OPEN;
        None
    }

    /// What became of a request.
    pub fn told(&self, host: &str, answered: bool, now: Instant) {
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if answered {
            hosts.remove(host);
            return;
        }
        if hosts.len() >= HOSTS_MAX && !hosts.contains_key(host) {
            hosts.retain(|_, known| known.failures >= FAILURES && known.until > now);
        }
        let known = hosts.entry(host.to_owned()).or_insert(Host {
            failures: 0,
            until: now,
        });
        known.failures += 1;
        if known.failures >= FAILURES {
            let doublings = (known.failures - FAILURES).min(8);
            known.until = now + (OPEN * 2_u32.pow(doublings)).min(OPEN_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_tries_and_closes() {
        let breakers = Breakers::default();
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        for _ in 0..4 {
            breakers.told("a:443", false, at(0));
            assert_eq!(breakers.open_for("a:443", at(0)), None);
        }
        breakers.told("a:443", false, at(0));
        assert_eq!(
            breakers.open_for("a:443", at(5)),
            Some(Duration::from_secs(10))
        );
        assert_eq!(breakers.open_for("b:443", at(5)), None);
        // One tries.
        assert_eq!(breakers.open_for("a:443", at(15)), None);
        assert!(breakers.open_for("a:443", at(15)).is_some());
        breakers.told("a:443", false, at(16));
        assert_eq!(
            breakers.open_for("a:443", at(16)),
            Some(Duration::from_secs(30))
        );
        assert_eq!(breakers.open_for("a:443", at(46)), None);
        breakers.told("a:443", true, at(47));
        assert_eq!(breakers.open_for("a:443", at(47)), None);
    }
}
