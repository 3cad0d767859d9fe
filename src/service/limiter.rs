//! Growing delays after failed sign-ins, for each account and for each address.
//!
//! Attempts on one account take turns, so that a hundred sent at once are not a
//! hundred guesses before the first one is known to have failed.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{Mutex, PoisonError},
};

use quick_cache::sync::Cache;
use tokio::sync::{Mutex as Turn, MutexGuard as TurnGuard};

use super::{Code, Error, Result};
use crate::{base::Instant, config};

/// Accounts and addresses remembered; the least used go first.
const ENTRIES_MAX: usize = 20_000;
/// Failures of one address that cost it nothing: many people may share one.
const ADDRESS_FREE: u32 = 10;
/// Accounts that share a turn only wait for each other's hash.
const TURNS: usize = 256;
/// After so long without a failure all is forgotten, in milliseconds.
const FORGET_MS: i64 = 3_600_000;

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
}

/// Remembers failed sign-ins.
pub struct Limiter {
    failures: Cache<String, Failures>,
    /// Held while failures are counted.
    counting: Mutex<()>,
    turns: Vec<Turn<()>>,
    /// Random, so that nobody can choose an account that shares another's turn.
    hasher: RandomState,
    first_ms: i64,
    max_ms: i64,
}

/// Who tries to sign in.
#[derive(Debug, Clone)]
pub struct Attempt {
    account: String,
    address: String,
}

impl Attempt {
    /// An attempt on an account from an address.
    pub fn new(account: &str, address: &str) -> Self {
        Self {
            account: format!("account {account}"),
            address: format!("address {address}"),
        }
    }
}

impl Limiter {
    /// A limiter with the configured delays.
    pub fn new(settings: &config::Auth) -> Self {
        let ms = |value| i64::try_from(value).unwrap_or(i64::MAX);
        Self {
            failures: Cache::new(ENTRIES_MAX),
            counting: Mutex::default(),
            turns: (0..TURNS).map(|_| Turn::default()).collect(),
            hasher: RandomState::new(),
            first_ms: ms(settings.login_delay_ms_first),
            max_ms: ms(settings.login_delay_ms_max),
        }
    }

    /// Waits until no other attempt on the account is being verified. Check only
    /// then, and hold the turn until the attempt has failed or succeeded.
    pub async fn turn(&self, attempt: &Attempt) -> TurnGuard<'_, ()> {
        let slot = self.hasher.hash_one(&attempt.account) as usize % TURNS;
        self.turns[slot].lock().await
    }

    /// Fails where the account or the address has to wait still.
    pub fn check(&self, attempt: &Attempt, now: Instant) -> Result<()> {
        let wait =
            self.wait(&attempt.account, 0, now)
                .max(self.wait(&attempt.address, ADDRESS_FREE, now));
        if wait <= 0 {
            return Ok(());
        }
        let seconds = u64::try_from(wait).unwrap_or(0).div_ceil(1000);
        Err(Error::new(
            Code::TooManyRequests,
            format!("Too many failed sign-ins; try again in {seconds} s."),
        )
        .retry_after(seconds))
    }

    /// Milliseconds to wait still.
    fn wait(&self, who: &str, free: u32, now: Instant) -> i64 {
        let Some(failures) = self.failures.get(who) else {
            return 0;
        };
        let doublings = match failures.count.checked_sub(free + 1) {
            Some(doublings) => doublings.min(40),
            None => return 0,
        };
        let delay = self
            .first_ms
            .saturating_mul(1 << doublings)
            .min(self.max_ms);
        failures.last.0.saturating_add(delay) - now.0
    }

    /// Notes a failed attempt.
    pub fn failed(&self, attempt: &Attempt, now: Instant) {
        let _counting = self.counting.lock().unwrap_or_else(PoisonError::into_inner);
        for who in [&attempt.account, &attempt.address] {
            let before = self.failures.get(who);
            let before = before.filter(|f| now.0 - f.last.0 < FORGET_MS);
            let count = before.map_or(0, |f| f.count).saturating_add(1);
            self.failures
                .insert(who.clone(), Failures { count, last: now });
        }
    }

    /// Notes a sign-in: the account waits no more. The address does, since its
    /// other failures may have been meant for other accounts.
    pub fn succeeded(&self, attempt: &Attempt) {
        self.failures.remove(&attempt.account);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn limiter() -> Limiter {
        let config = config::Config::load(config::Sources::default()).unwrap();
        Limiter::new(&config.auth)
    }

    #[test]
    fn an_accounts_delay_doubles_up_to_a_limit_and_goes_with_a_sign_in() {
        let (limiter, mut now) = (limiter(), Instant(0));
        for delay in [250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000] {
            // From another address each time: it is the account that waits.
            let attempt = Attempt::new("a@b", &format!("10.0.0.{delay}"));
            limiter.check(&attempt, now).unwrap();
            limiter.failed(&attempt, now);
            let early = limiter.check(&attempt, now.plus_ms(delay - 1)).unwrap_err();
            assert_eq!(early.code, Code::TooManyRequests);
            assert!(early.retry_after_s.is_some_and(|s| s >= 1));
            now = now.plus_ms(delay);
        }
        limiter.succeeded(&Attempt::new("a@b", "10.0.0.1"));
        limiter
            .check(&Attempt::new("a@b", "10.0.0.1"), Instant(0))
            .unwrap();
    }

    #[test]
    fn an_address_that_tries_many_accounts_waits_too() {
        let (limiter, now) = (limiter(), Instant(0));
        for number in 0..=ADDRESS_FREE {
            let attempt = Attempt::new(&format!("a{number}@b"), "10.0.0.1");
            limiter.check(&attempt, now).unwrap();
            limiter.failed(&attempt, now);
        }
        assert!(
            limiter
                .check(&Attempt::new("new@b", "10.0.0.1"), now)
                .is_err()
        );
        limiter
            .check(&Attempt::new("new@b", "10.0.0.2"), now)
            .unwrap();
        let later = now.plus_ms(FORGET_MS);
        limiter.failed(&Attempt::new("new@b", "10.0.0.1"), later);
        limiter
            .check(&Attempt::new("old@b", "10.0.0.1"), later)
            .unwrap();
    }
}
