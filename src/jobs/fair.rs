//! Whose turn it is: weighted deficit round robin over the owners that have something
//! to run (Shreedhar and Varghese, 1996). An owner pays for what its runs took; each
//! round gives it a quantum, times its weight. What a run will take is not known
//! before, so it is charged the owner's average at its start and the difference at
//! its end.

use std::collections::{HashMap, VecDeque};

use crate::domain::job::run::Owner;

/// What a round gives to an owner of the weight 1, in milliseconds.
const QUANTUM_MS: f64 = 10.0;
/// Accounts of owners with nothing to do that are kept.
const ACCOUNTS_KEPT: usize = 10_000;
/// How much of a run's cost goes into its owner's average.
const NEW_PART: f64 = 0.3;

/// An owner's account.
#[derive(Debug)]
struct Account {
    weight: f64,
    balance_ms: f64,
    average_ms: f64,
    /// Whether it stands in the ring.
    waiting: bool,
    /// Runs that were charged an average and are not over.
    running: usize,
    /// Whether it was given its quantum and may spend it now.
    on_turn: bool,
}

/// The owners that wait for a turn, and everybody's accounts.
#[derive(Debug, Default)]
pub struct Fair {
    ring: VecDeque<Owner>,
    accounts: HashMap<Owner, Account>,
}

impl Fair {
    /// An owner has something to run now. Its place is at the end, where it has none.
    pub fn enter(&mut self, owner: &Owner, weight: u32) {
        let account = self.accounts.entry(owner.clone()).or_insert(Account {
            weight: 1.0,
            balance_ms: 0.0,
            average_ms: 0.0,
            waiting: false,
            running: 0,
            on_turn: false,
        });
        account.weight = f64::from(weight.max(1));
        if !account.waiting {
            account.waiting = true;
            // A turn lasts until what it was given is spent.
            if account.on_turn && account.balance_ms > 0.0 {
                self.ring.push_front(owner.clone());
            } else {
                account.on_turn = false;
                self.ring.push_back(owner.clone());
            }
            self.forget();
        }
    }

    /// The next owner; it leaves the ring, and enters again where it has more.
    pub fn next(&mut self) -> Option<Owner> {
        loop {
            for _ in 0..self.ring.len() {
                let owner = self.ring.pop_front()?;
                let Some(account) = self.accounts.get_mut(&owner) else {
                    continue;
                };
                let quantum = QUANTUM_MS * account.weight;
                if !account.on_turn {
                    account.balance_ms = (account.balance_ms + quantum).min(quantum);
                    account.on_turn = true;
                }
                if account.balance_ms > 0.0 {
                    account.waiting = false;
                    return Some(owner);
                }
                account.on_turn = false;
                self.ring.push_back(owner);
            }
            // Everybody is in debt: as many rounds at once as the first one needs.
            let rounds = self.ring.iter().filter_map(|owner| {
                let account = self.accounts.get(owner)?;
                Some((-account.balance_ms / (QUANTUM_MS * account.weight)).floor())
            });
            let rounds = rounds.fold(f64::INFINITY, f64::min);
            if !rounds.is_finite() {
                return None;
            }
            for owner in &self.ring {
                if let Some(account) = self.accounts.get_mut(owner) {
                    account.balance_ms += rounds.max(0.0) * QUANTUM_MS * account.weight;
                }
            }
        }
    }

    /// A run begins.
    pub fn start(&mut self, owner: &Owner) {
        if let Some(account) = self.accounts.get_mut(owner) {
            account.balance_ms -= account.average_ms;
            account.running += 1;
        }
    }

    /// A run took so many milliseconds.
    pub fn end(&mut self, owner: &Owner, cost_ms: f64) {
        let Some(account) = self.accounts.get_mut(owner) else {
            return;
        };
        account.running = account.running.saturating_sub(1);
        account.balance_ms -= cost_ms - account.average_ms;
        account.average_ms += (cost_ms - account.average_ms) * NEW_PART;
    }

    /// Forgets owners that wait for nothing and run nothing; what they owe goes, too.
    fn forget(&mut self) {
        if self.accounts.len() > 2 * self.ring.len() + ACCOUNTS_KEPT {
            self.accounts.retain(|_, a| a.waiting || a.running > 0);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn owner(name: &str) -> Owner {
        Owner::parse(name).unwrap()
    }

    /// Runs of each owner within so many milliseconds of one slot.
    fn shares(owners: &[(&str, u32, f64)], total_ms: f64) -> HashMap<String, f64> {
        let mut fair = Fair::default();
        for (name, weight, _) in owners {
            fair.enter(&owner(name), *weight);
        }
        let (mut spent, mut taken) = (0.0, HashMap::new());
        while spent < total_ms {
            let next = fair.next().unwrap();
            let (name, weight, cost) = owners.iter().find(|o| o.0 == next.as_str()).unwrap();
            fair.start(&next);
            fair.end(&next, *cost);
            spent += cost;
            *taken.entry((*name).to_owned()).or_insert(0.0) += cost;
            fair.enter(&next, *weight);
        }
        taken
    }

    #[test]
    fn time_is_shared_whatever_a_run_takes() {
        let taken = shares(
            &[("short", 1, 1.0), ("long", 1, 50.0), ("longer", 1, 200.0)],
            60_000.0,
        );
        for (name, ms) in taken {
            assert!((ms - 20_000.0).abs() < 1_000.0, "{name} {ms}");
        }
    }

    #[test]
    fn time_is_shared_by_weight() {
        let taken = shares(&[("one", 1, 20.0), ("three", 3, 20.0)], 80_000.0);
        assert!((taken["one"] - 20_000.0).abs() < 500.0, "{taken:?}");
    }

    #[test]
    fn a_newcomer_waits_for_one_turn_of_the_others() {
        let mut fair = Fair::default();
        let whale = owner("whale");
        fair.enter(&whale, 1);
        for _ in 0..1_000 {
            assert_eq!(fair.next().unwrap(), whale);
            fair.start(&whale);
            fair.end(&whale, 500.0);
            fair.enter(&whale, 1);
        }
        fair.enter(&owner("small"), 1);
        let two = [fair.next().unwrap(), fair.next().unwrap()];
        assert!(two.contains(&owner("small")));
    }

    #[test]
    fn nobody_waits_and_nobody_comes() {
        let mut fair = Fair::default();
        assert_eq!(fair.next(), None);
        fair.enter(&owner("a"), 1);
        fair.enter(&owner("a"), 1);
        assert_eq!(fair.next(), Some(owner("a")));
        assert_eq!(fair.next(), None);
    }
}
