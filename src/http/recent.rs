//! How long requests took, as counts of durations: small, mergeable, and exact to
//! within a sixteenth.

use std::time::Duration;

/// Durations below this count as this.
const FIRST_US: f64 = 10.0;
/// Buckets in which a duration doubles.
const PER_OCTAVE: f64 = 8.0;
/// The last bucket takes everything above 100 seconds or so.
const BUCKETS: usize = 190;

/// Counts of durations, in buckets that grow by a twelfth each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Bucket and count, by bucket; empty ones are left out.
    counts: Vec<(u8, u32)>,
}

impl Histogram {
    /// Counts one more.
    pub fn record(&mut self, took: Duration) {
        self.add(bucket(took), 1);
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: &Self) {
        for (bucket, count) in &other.counts {
            self.add(*bucket, *count);
        }
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|(_, count)| u64::from(*count)).sum()
    }

    /// Milliseconds that `part` of all took at most, within a sixteenth; `None` where
    /// there were none.
    pub fn quantile_ms(&self, part: f64) -> Option<f64> {
        let rank = (self.count() as f64 * part).ceil().max(1.0) as u64;
        let mut seen = 0;
        let found = self.counts.iter().find(|(_, count)| {
            seen += u64::from(*count);
            seen >= rank
        });
        found.map(|(bucket, _)| middle_ms(*bucket))
    }

    fn add(&mut self, bucket: u8, count: u32) {
        match self.counts.binary_search_by_key(&bucket, |(at, _)| *at) {
            Ok(at) => self.counts[at].1 = self.counts[at].1.saturating_add(count),
            Err(at) => self.counts.insert(at, (bucket, count)),
        }
    }
}

fn bucket(took: Duration) -> u8 {
    let us = took.as_secs_f64() * 1e6;
    let octaves = (us.max(FIRST_US) / FIRST_US).log2();
    // At most 189, so it fits.
    ((octaves * PER_OCTAVE) as usize).min(BUCKETS - 1) as u8
}

fn middle_ms(bucket: u8) -> f64 {
    let us = FIRST_US * ((f64::from(bucket) + 0.5) / PER_OCTAVE).exp2();
    (us / 1e3 * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn a_duration_comes_back_within_a_sixteenth() {
        let mut us = 11.0;
        while us < 9e7 {
            let mut one = Histogram::default();
            one.record(Duration::from_secs_f64(us / 1e6));
            let said = one.quantile_ms(0.99).unwrap() * 1e3;
            assert!((said / us - 1.0).abs() < 1.0 / 16.0, "{us}: {said}");
            us *= 1.37;
        }
    }

    #[test]
    fn quantiles_are_those_of_all_that_was_merged() {
        let (mut fast, mut slow) = (Histogram::default(), Histogram::default());
        for _ in 0..98 {
            fast.record(Duration::from_micros(200));
        }
        for _ in 0..2 {
            slow.record(Duration::from_millis(50));
        }
        fast.merge(&slow);
        assert_eq!(fast.count(), 100);
        let near = |part: f64, ms: f64| {
            let said = fast.quantile_ms(part).unwrap();
            assert!((said / ms - 1.0).abs() < 1.0 / 16.0, "{part}: {said}");
        };
        near(0.5, 0.2);
        near(0.98, 0.2);
        near(0.99, 50.0);
    }

    #[test]
    fn nothing_has_no_quantile_and_extremes_have_buckets() {
        assert_eq!(Histogram::default().quantile_ms(0.5), None);
        let mut all = Histogram::default();
        all.record(Duration::ZERO);
        all.record(Duration::from_secs(86_400));
        assert_eq!(all.count(), 2);
    }
}
