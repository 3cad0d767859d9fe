//! Time comes from a [`Clock`], so that tests move it by hand and never sleep.

use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, Datelike as _, SecondsFormat, Timelike as _, Utc};

/// `2026-11-23T17:51:31.497Z`
const RFC3339_BYTES: usize = 24;

/// A moment in milliseconds since the Unix epoch, UTC. The resolution of every
/// timestamp that Tenantry makes itself.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct Instant(pub i64);

impl Instant {
    /// RFC 3339 in UTC with milliseconds, as on the wire.
    pub fn to_rfc3339(self) -> String {
        let mut out = Vec::with_capacity(RFC3339_BYTES);
        self.write_rfc3339(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    /// Appends what [`Instant::to_rfc3339`] gives. Lists write two of these for each
    /// record, so the usual ones are put together digit by digit.
    pub fn write_rfc3339(self, out: &mut Vec<u8>) {
        let Some(time) = DateTime::<Utc>::from_timestamp_millis(self.0) else {
            out.extend_from_slice(format!("{}ms", self.0).as_bytes());
            return;
        };
        let Ok(year @ 0..=9999) = u32::try_from(time.year()) else {
            let text = time.to_rfc3339_opts(SecondsFormat::Millis, true);
            out.extend_from_slice(text.as_bytes());
            return;
        };
        let ms = time.timestamp_subsec_millis();
        let [y3, y2] = digits(year / 100);
        let [y1, y0] = digits(year % 100);
        let [m1, m0] = digits(time.month());
        let [d1, d0] = digits(time.day());
        let [h1, h0] = digits(time.hour());
        let [n1, n0] = digits(time.minute());
        let [s1, s0] = digits(time.second());
        let [f2, f1] = digits(ms / 10);
        let [_, f0] = digits(ms % 10);
        out.extend_from_slice(&[
            y3, y2, y1, y0, b'-', m1, m0, b'-', d1, d0, b'T', h1, h0, b':', n1, n0, b':', s1, s0,
            b'.', f2, f1, f0, b'Z',
        ]);
    }

    /// Reads RFC 3339; `None` where the text is no such timestamp.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        DateTime::parse_from_rfc3339(text)
            .ok()
            .map(|t| Self(t.timestamp_millis()))
    }

    /// This moment moved by `ms` milliseconds, saturating.
    #[must_use]
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

/// The last two digits of a number.
fn digits(number: u32) -> [u8; 2] {
    [number / 10 % 10, number % 10].map(|digit| b'0' + digit as u8)
}

/// Where the time of day comes from.
pub trait Clock: Send + Sync + 'static {
    /// The current moment.
    fn now(&self) -> Instant;
}

/// The machine's own clock.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant(Utc::now().timestamp_millis())
    }
}

/// A clock that moves only when told to; for tests.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that stands at `start`.
    pub fn new(start: Instant) -> Self {
        Self(AtomicI64::new(start.0))
    }

    /// Moves the clock by `ms` milliseconds, also backwards.
    pub fn advance_ms(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        Instant(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn timestamps_are_written_as_chrono_writes_them(ms in prop_oneof![
            any::<i64>(),
            -62_200_000_000_000..253_500_000_000_000_i64,
        ]) {
            let wanted = DateTime::<Utc>::from_timestamp_millis(ms).map_or_else(
                || format!("{ms}ms"),
                |time| time.to_rfc3339_opts(SecondsFormat::Millis, true),
            );
            prop_assert_eq!(Instant(ms).to_rfc3339(), wanted);
        }
    }
}
