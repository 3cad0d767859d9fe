//! Which other processes are gone. Each says that it lives by a number that grows; one
//! whose number has stood still for the lease's time, on our own monotonic clock, is
//! gone, whatever any clock of the wall says.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use crate::service::{Result, runs::Runs};

/// What was seen of other processes.
#[derive(Debug, Default)]
pub struct Leases {
    seen: HashMap<String, (u64, Instant)>,
}

impl Leases {
    /// Gives a sign of life, looks at those of others, and takes back the runs of
    /// those that are gone.
    pub async fn look(&mut self, runs: &Runs, beat: u64) -> Result<()> {
        let beats = runs.beat(beat).await?;
        let lease = Duration::from_secs(runs.settings().lease_s);
        let gone = self.gone(&beats, Instant::now(), lease);
        let known: HashSet<_> = beats.into_iter().map(|(worker, _)| worker).collect();
        // Whoever holds a claim and gives no sign at all was forgotten by another.
        let rescued = runs
            .rescue(|worker| gone.contains(worker) || !known.contains(worker))
            .await?;
        if rescued > 0 {
            tracing::warn!(rescued, "runs of a process that is gone wait again");
        }
        for worker in gone {
            runs.forget_worker(Some(&worker)).await?;
            self.seen.remove(&worker);
        }
        Ok(())
    }

    fn gone(&mut self, beats: &[(String, u64)], now: Instant, lease: Duration) -> HashSet<String> {
        let mut gone = HashSet::new();
        for (worker, beat) in beats {
            let seen = self.seen.entry(worker.clone()).or_insert((*beat, now));
            if seen.0 != *beat {
                *seen = (*beat, now);
            } else if now.duration_since(seen.1) >= lease {
                gone.insert(worker.clone());
            }
        }
        self.seen
            .retain(|worker, _| beats.iter().any(|(known, _)| known == worker));
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gone_is_whose_number_stands_still_for_the_lease() {
        let mut leases = Leases::default();
        let (start, lease) = (Instant::now(), Duration::from_secs(30));
        let at = |s| start + Duration::from_secs(s);
        let beats = |a, b| vec![("a".to_owned(), a), ("b".to_owned(), b)];
        assert!(leases.gone(&beats(1, 1), at(0), lease).is_empty());
        assert!(leases.gone(&beats(2, 1), at(29), lease).is_empty());
        let gone = leases.gone(&beats(3, 1), at(30), lease);
        assert_eq!(gone, HashSet::from(["b".to_owned()]));
        // One that counts from the beginning again lives, too.
        assert!(leases.gone(&beats(3, 0), at(31), lease).is_empty());
    }
}
