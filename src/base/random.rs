//! Randomness comes from a [`Random`], so that a simulation draws the same each time.

use std::sync::{Mutex, PoisonError};

use uuid::Uuid;

use super::{Instant, time_of_record_id};

/// Random bits of a UUIDv7: 12 beside its version and 62 beside its variant.
const ID_BITS: u32 = 74;

/// Why there are no random numbers.
#[derive(Debug, Clone, thiserror::Error)]
#[error("no random numbers: {0}")]
pub struct RandomError(String);

/// Where random numbers come from, and the ids that are made of them.
#[derive(Debug)]
pub struct Random(Mutex<State>);

#[derive(Debug)]
struct State {
    source: Source,
    /// Milliseconds and random bits of the last id.
    last: (u64, u128),
}

#[derive(Debug)]
enum Source {
    System,
    Seeded(u64),
}

impl Random {
    /// The operating system's, which nobody can guess.
    pub fn system() -> Self {
        Self::from(Source::System)
    }

    /// The same numbers for the same seed; for simulations. Who knows the seed knows
    /// every secret that is made.
    pub fn seeded(seed: u64) -> Self {
        Self::from(Source::Seeded(seed))
    }

    fn from(source: Source) -> Self {
        let last = (0, 0);
        Self(Mutex::new(State { source, last }))
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Fills `bytes` with random ones.
    pub fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        self.with(|state| state.source.fill(bytes))
    }

    /// A random number.
    pub fn u64(&self) -> Result<u64, RandomError> {
        self.with(|state| state.source.u64())
    }

    /// A new record id (UUIDv7, RFC 9562) and the moment it carries: `at`, or a little
    /// later where the clock stood still or went back, so that of two ids made here the
    /// later one sorts behind the earlier.
    pub fn id(&self, at: Instant) -> Result<(String, Instant), RandomError> {
        let (ms, bits) = self.with(|state| state.next_id(at))?;
        let (high, low) = (bits >> 62, bits & ((1 << 62) - 1));
        let uuid = (u128::from(ms) << 80) | (7 << 76) | (high << 64) | (2 << 62) | low;
        let id = Uuid::from_u128(uuid).to_string();
        let made = time_of_record_id(&id).unwrap_or(at);
        Ok((id, made))
    }
}

impl State {
    /// Within a millisecond ids go up by a random step, so that each is as hard to guess
    /// as the first.
    fn next_id(&mut self, at: Instant) -> Result<(u64, u128), RandomError> {
        let ms = u64::try_from(at.0).unwrap_or(0) & 0xffff_ffff_ffff;
        let step = u128::from(self.source.u64()?) & 0xffff_ffff;
        let (last, bits) = self.last;
        let next = bits + 1 + step;
        self.last = match ms > last {
            // The uppermost bit is left free for the steps.
            true => (ms, self.source.bits(ID_BITS - 1)?),
            false if next < 1 << ID_BITS => (last, next),
            false => (last + 1, self.source.bits(ID_BITS - 1)?),
        };
        Ok(self.last)
    }
}

impl Source {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), RandomError> {
        match self {
            Self::System => {
                getrandom::fill(bytes).map_err(|error| RandomError(error.to_string()))?;
            }
            Self::Seeded(state) => {
                for chunk in bytes.chunks_mut(8) {
                    chunk.copy_from_slice(&splitmix(state).to_le_bytes()[..chunk.len()]);
                }
            }
        }
        Ok(())
    }

    fn u64(&mut self) -> Result<u64, RandomError> {
        let mut bytes = [0; 8];
        self.fill(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn bits(&mut self, count: u32) -> Result<u128, RandomError> {
        let mut bytes = [0; 16];
        self.fill(&mut bytes)?;
        Ok(u128::from_le_bytes(bytes) >> (u128::BITS - count))
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014).
fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn later_ids_sort_behind_earlier_ones_whatever_the_clock_does() {
        for random in [Random::system(), Random::seeded(7)] {
            let mut last = String::new();
            for n in 0..20_000_i64 {
                // Forwards, standing still, and back by a day.
                let at = Instant(1_772_323_200_000 + n / 100 - n % 2 * 86_400_000);
                let (id, made) = random.id(at).unwrap();
                assert!(id > last, "{last} {id}");
                assert_eq!(time_of_record_id(&id), Some(made));
                assert!(made >= at);
                last = id;
            }
        }
    }

    #[test]
    fn a_millisecond_whose_ids_are_used_up_lends_from_the_next() {
        let random = Random::seeded(1);
        random.with(|state| state.last = (5, (1 << ID_BITS) - 1));
        let (_, made) = random.id(Instant(5)).unwrap();
        assert_eq!(made, Instant(6));
    }

    #[test]
    fn a_seed_gives_the_same_and_another_seed_something_else() {
        let drawn = |seed| {
            let random = Random::seeded(seed);
            let mut bytes = [0; 11];
            random.fill(&mut bytes).unwrap();
            (bytes, random.u64().unwrap(), random.id(Instant(1)).unwrap())
        };
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1), drawn(2));
    }
}
