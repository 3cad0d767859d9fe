//! Who asks: sign-ins, sessions, tokens.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    Caller, Code, Core, Error, Result,
    keys::{self, Keys},
    limiter::{Attempt, Limiter},
    operators,
    passwords::Passwords,
    secret,
};
use crate::{
    base::Instant,
    config,
    store::{
        Batch, Condition, Tree, Value,
        codec::{self, Stored},
        keys as rows,
    },
};

/// What a session's token begins with.
pub const PREFIX: &str = "ts_";
/// No token is longer: a prefix and 32 bytes in base64url.
const TOKEN_BYTES_MAX: usize = 64;

#[derive(Debug, Serialize, Deserialize)]
struct StoredSession {
    email: String,
    /// The operator's stamp when the session began.
    stamp: u64,
    expires_at: Instant,
}

impl Stored for StoredSession {
    const KIND: &'static str = "session";
    const VERSION: u8 = 1;
}

/// A session that began.
#[derive(Debug, Clone)]
pub struct Session {
    /// The bearer token, shown once.
    pub token: String,
    /// When it ends.
    pub expires_at: Instant,
}

/// The service.
pub struct Auth {
    core: Core,
    keys: Arc<Keys>,
    passwords: Arc<Passwords>,
    limiter: Limiter,
    session_ms: i64,
}

impl Auth {
    /// The service over a store.
    pub fn new(
        core: Core,
        settings: &config::Auth,
        keys: Arc<Keys>,
        passwords: Arc<Passwords>,
    ) -> Self {
        let hours = i64::try_from(settings.session_hours).unwrap_or(i64::MAX);
        Self {
            core,
            keys,
            passwords,
            limiter: Limiter::new(settings),
            session_ms: hours.saturating_mul(3_600_000),
        }
    }

    /// Signs an operator in from `address`. Failures make the account and the
    /// address wait longer and longer.
    pub async fn login(&self, email: &str, password: &str, address: &str) -> Result<Session> {
        let email = operators::normal(email).unwrap_or_default();
        let attempt = Attempt::new(&email, address);
        let _turn = self.limiter.turn(&attempt).await;
        self.limiter.check(&attempt, self.core.clock.now())?;
        let found = operators::read(&self.core, &email).await?;
        let hash = found.as_ref().map(|(_, o)| o.password_hash.as_str());
        let right = self.passwords.verify(password, hash).await?;
        // Verifying takes its time, and waiting for it may take longer.
        let now = self.core.clock.now();
        let Some((row, operator)) = found.filter(|_| right) else {
            self.limiter.failed(&attempt, now);
            tracing::warn!(email, address, "a sign-in failed");
            return Err(wrong_credentials());
        };
        self.limiter.succeeded(&attempt);
        let session = Session {
            token: secret::make(&self.core.random, PREFIX)?,
            expires_at: now.plus_ms(self.session_ms),
        };
        let stored = StoredSession {
            email: operator.email.clone(),
            stamp: operator.stamp,
            expires_at: session.expires_at,
        };
        let key = rows::session(&secret::hash(&session.token));
        let mut batch = Batch::default();
        // The password may be changed while it is verified.
        batch.expect(
            Tree::Hot,
            rows::operator(&operator.email),
            Condition::Value(row),
        );
        let expiry = rows::expiry(session.expires_at, &key);
        batch.put(Tree::Hot, expiry, Value::new());
        batch.put(Tree::Hot, key, codec::encode(&stored)?);
        self.core
            .engine
            .commit(batch)
            .await
            .map_err(|error| match error {
                crate::store::StoreError::Conflict { .. } => wrong_credentials(),
                other => other.into(),
            })?;
        Ok(session)
    }

    /// Ends a session; one that is over already is fine.
    pub async fn logout(&self, token: &str) -> Result<()> {
        let key = rows::session(&secret::hash(token));
        let Some(row) = self.core.engine.get(Tree::Hot, &key).await? else {
            return Ok(());
        };
        let session: StoredSession = codec::decode(&row)?;
        let mut batch = Batch::default();
        batch.delete(Tree::Hot, rows::expiry(session.expires_at, &key));
        batch.delete(Tree::Hot, key);
        Ok(self.core.engine.commit(batch).await?)
    }

    /// Who a bearer token (`tk_...` or `ts_...`) belongs to; an error where it is
    /// not known, revoked or expired.
    pub async fn caller_of_token(&self, token: &str) -> Result<Caller> {
        let known = match token {
            _ if token.len() > TOKEN_BYTES_MAX => None,
            _ if token.starts_with(keys::PREFIX) => self.keys.caller(token).await?,
            _ if token.starts_with(PREFIX) => self.caller_of_session(token).await?,
            _ => None,
        };
        known.ok_or_else(|| {
            Error::new(
                Code::Unauthenticated,
                "This API key or session is not known here, was revoked or has expired.",
            )
        })
    }

    async fn caller_of_session(&self, token: &str) -> Result<Option<Caller>> {
        let key = rows::session(&secret::hash(token));
        let Some(row) = self.core.engine.get(Tree::Hot, &key).await? else {
            return Ok(None);
        };
        let session: StoredSession = codec::decode(&row)?;
        if session.expires_at <= self.core.clock.now() {
            return Ok(None);
        }
        let operator = operators::read(&self.core, &session.email).await?;
        let same = operator.is_some_and(|(_, o)| o.stamp == session.stamp);
        Ok(same.then(|| Caller::Operator {
            email: session.email.into(),
        }))
    }
}

fn wrong_credentials() -> Error {
    Error::new(
        Code::WrongCredentials,
        "The email address or the password is wrong.",
    )
}

#[cfg(test)]
mod tests;
