//! Passwords: argon2id (RFC 9106), computed in a bounded pool, so that a flood of
//! sign-ins can use one core at most and everything else goes on.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use tokio::sync::Semaphore;

use super::{Code, Error, Result};
use crate::config;

/// The shortest password, in bytes.
pub const BYTES_MIN: usize = 8;
/// The longest password, in bytes; hashing takes the same time for all.
pub const BYTES_MAX: usize = 1024;

/// Hashes and verifies passwords.
pub struct Passwords {
    argon2: Argon2<'static>,
    /// Hashes computed at once.
    threads: Arc<Semaphore>,
    /// Hashes computed or waited for.
    asked: AtomicUsize,
    asked_max: usize,
    /// Verified where there is no account, so that the time tells nothing.
    nobody: String,
}

impl Passwords {
    /// A pool with the configured parameters.
    pub fn new(settings: &config::Auth) -> Result<Self> {
        let params = Params::new(
            settings.argon2_memory_kib,
            settings.argon2_passes,
            settings.argon2_threads,
            None,
        )
        .map_err(|error| Error::internal(format!("[auth] argon2_*: {error}")))?;
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
        // Well-formed and with today's cost; no password has this hash.
        let nobody = format!(
            "$argon2id$v=19$m={},t={},p={}$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            params.m_cost(),
            params.t_cost(),
            params.p_cost()
        );
        Ok(Self {
            argon2,
            threads: Arc::new(Semaphore::new(settings.hash_threads)),
            asked: AtomicUsize::new(0),
            asked_max: settings.hash_threads + settings.hash_queue_max,
            nobody,
        })
    }

    /// The PHC string of a new password.
    pub async fn hash(&self, password: &str) -> Result<String> {
        if !(BYTES_MIN..=BYTES_MAX).contains(&password.len()) {
            return Err(Error::new(
                Code::BadRequest,
                format!("password: expected {BYTES_MIN} to {BYTES_MAX} bytes."),
            ));
        }
        let (argon2, password) = (self.argon2.clone(), password.to_owned());
        self.compute(move || {
            let hash: PasswordHash = argon2
                .hash_password(password.as_bytes())
                .map_err(|error| Error::internal(format!("argon2: {error}")))?;
            Ok(hash.to_string())
        })
        .await
    }

    /// Whether `password` is the one behind `hash`. Without a hash it takes the
    /// same time and is never right.
    pub async fn verify(&self, password: &str, hash: Option<&str>) -> Result<bool> {
        let known = hash.is_some();
        let hash = hash.unwrap_or(&self.nobody).to_owned();
        // A longer one is nobody's; only so much of it is looked at.
        let fits = password.len() <= BYTES_MAX;
        let password = if fits {
            password.to_owned()
        } else {
            String::new()
        };
        let argon2 = self.argon2.clone();
        let right = self
            .compute(move || {
                Ok(argon2
                    .verify_password(password.as_bytes(), hash.as_str())
                    .is_ok())
            })
            .await?;
        Ok(right && known && fits)
    }

    async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let _asked = Asked::more(self)?;
        let permit = self.threads.clone().acquire_owned().await;
        let permit = permit.map_err(Error::internal)?;
        // The permit goes with the work: a caller that goes away frees no thread.
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        done.await.map_err(Error::internal)?
    }
}

/// One computation asked for; over when dropped.
struct Asked<'a>(&'a AtomicUsize);

impl<'a> Asked<'a> {
    fn more(pool: &'a Passwords) -> Result<Self> {
        let asked = Self(&pool.asked);
        if pool.asked.fetch_add(1, Ordering::SeqCst) >= pool.asked_max {
            drop(asked);
            return Err(Error::new(
                Code::Unavailable,
                "Too many sign-ins are waiting; try again shortly.",
            )
            .retry_after(1));
        }
        Ok(asked)
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use futures_util::FutureExt as _;

    use super::*;

    fn settings() -> config::Auth {
        let config = config::Config::load(config::Sources::default()).unwrap();
        config::Auth {
            argon2_memory_kib: 64,
            argon2_passes: 1,
            hash_threads: 1,
            hash_queue_max: 2,
            ..config.auth
        }
    }

    #[tokio::test]
    async fn the_right_password_is_known_and_no_other() {
        let passwords = Passwords::new(&settings()).unwrap();
        let hash = passwords.hash("correct horse").await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{hash}");
        assert!(
            passwords
                .verify("correct horse", Some(&hash))
                .await
                .unwrap()
        );
        assert!(
            !passwords
                .verify("correct horsf", Some(&hash))
                .await
                .unwrap()
        );
        assert!(!passwords.verify("correct horse", None).await.unwrap());
        for bad in ["short", &"x".repeat(1025)] {
            assert_eq!(
                passwords.hash(bad).await.unwrap_err().code,
                Code::BadRequest
            );
        }
    }

    /// Were it refused unread, an unknown account would be answered at once.
    #[test]
    fn the_hash_of_nobody_costs_what_every_other_costs() {
        let passwords = Passwords::new(&settings()).unwrap();
        let nobody = PasswordHash::new(&passwords.nobody).unwrap();
        let cost = |p: &Params| (p.m_cost(), p.t_cost(), p.p_cost());
        let nobodys = Params::try_from(&nobody).unwrap();
        assert_eq!(cost(&nobodys), cost(passwords.argon2.params()));
        assert_eq!(nobody.algorithm, Algorithm::Argon2id.ident());
        assert_eq!(nobody.hash.unwrap().len(), Params::DEFAULT_OUTPUT_LEN);
    }

    #[tokio::test]
    async fn only_so_many_wait() {
        let passwords = Passwords::new(&settings()).unwrap();
        let _running = passwords.threads.clone().acquire_owned().await.unwrap();
        let mut waiting: Vec<_> = (0..4)
            .map(|_| Box::pin(passwords.verify("x", None)))
            .collect();
        let mut refused = 0;
        for verify in &mut waiting {
            if let Some(answer) = verify.as_mut().now_or_never() {
                assert_eq!(answer.unwrap_err().code, Code::Unavailable);
                refused += 1;
            }
        }
        assert_eq!(refused, 1);
    }
}
