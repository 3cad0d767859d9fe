//! Where every choice of a simulation comes from: its seed.

use tenantry::base::Random;

/// Numbers by chance, the same for the same seed.
pub struct Dice(Random);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(Random::seeded(seed))
    }

    pub fn number(&self) -> u64 {
        self.0.u64().unwrap()
    }

    /// A number below `end`.
    pub fn below(&self, end: usize) -> usize {
        usize::try_from(self.number() % end as u64).unwrap()
    }

    /// True in so many of a hundred cases.
    pub fn percent(&self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn pick<'a, T>(&self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// One of the choices, each as often as its weight says.
    pub fn weighted<T: Copy>(&self, choices: &[(usize, T)]) -> T {
        let mut at = self.below(choices.iter().map(|(weight, _)| weight).sum());
        for (weight, choice) in choices {
            if at < *weight {
                return *choice;
            }
            at -= weight;
        }
        choices[0].1
    }
}
