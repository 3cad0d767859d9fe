//! Operators: the people who run the installation and see every tenant.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Caller, Code, Core, Error, Result, passwords::Passwords, scan};
use crate::{
    base::Instant,
    store::{
        Batch, Condition, Scan, StoreError, Tree, Value,
        codec::{self, Stored},
        keys,
    },
};

/// The longest email address (RFC 5321).
const EMAIL_BYTES_MAX: usize = 254;

/// An operator as stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct StoredOperator {
    pub email: String,
    /// argon2id, as a PHC string.
    pub password_hash: String,
    /// Changes with the password; sessions made under another one are over.
    pub stamp: u64,
    pub created_at: Instant,
}

impl Stored for StoredOperator {
    const KIND: &'static str = "operator";
    const VERSION: u8 = 1;
}

/// An operator as shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct OperatorView {
    /// The email address, in lower case.
    pub email: String,
    /// When the operator was added.
    #[schema(format = DateTime)]
    pub created_at: String,
}

/// The service.
pub struct Operators {
    core: Core,
    passwords: Arc<Passwords>,
    /// One at a time in this process, so that the last one stays.
    removing: tokio::sync::Mutex<()>,
}

impl Operators {
    /// The service over a store.
    pub fn new(core: Core, passwords: Arc<Passwords>) -> Self {
        Self {
            core,
            passwords,
            removing: tokio::sync::Mutex::default(),
        }
    }

    /// Adds an operator.
    pub async fn add(&self, caller: &Caller, email: &str, password: &str) -> Result<OperatorView> {
        caller.require_operator()?;
        let email = normal(email)?;
        let key = keys::operator(&email);
        let operator = StoredOperator {
            password_hash: self.passwords.hash(password).await?,
            email,
            stamp: self.core.random.u64().map_err(Error::internal)?,
            created_at: self.core.clock.now(),
        };
        let mut batch = Batch::default();
        batch.expect(Tree::Hot, key.clone(), Condition::Absent);
        batch.put(Tree::Hot, key, codec::encode(&operator)?);
        match self.core.engine.commit(batch).await {
            Ok(()) => Ok(view(operator)),
            Err(StoreError::Conflict { .. }) => Err(Error::new(
                Code::AlreadyExists,
                format!("The operator {} exists.", operator.email),
            )),
            Err(other) => Err(other.into()),
        }
    }

    /// All operators, by email address.
    pub async fn list(&self, caller: &Caller) -> Result<Vec<OperatorView>> {
        caller.require_operator()?;
        let rows = scan::every(&self.core, keys::OPERATORS).await?;
        rows.iter()
            .map(|(_, row)| Ok(view(codec::decode(row)?)))
            .collect()
    }

    /// Gives an operator a new password; all of the operator's sessions end.
    pub async fn set_password(&self, caller: &Caller, email: &str, password: &str) -> Result<()> {
        caller.require_operator()?;
        let password_hash = self.passwords.hash(password).await?;
        loop {
            let (row, operator) = self.read(email).await?.ok_or_else(|| missing(email))?;
            let key = keys::operator(&operator.email);
            let changed = StoredOperator {
                password_hash: password_hash.clone(),
                stamp: self.core.random.u64().map_err(Error::internal)?,
                ..operator
            };
            let mut batch = Batch::default();
            batch.expect(Tree::Hot, key.clone(), Condition::Value(row));
            batch.put(Tree::Hot, key, codec::encode(&changed)?);
            match self.core.engine.commit(batch).await {
                Ok(()) => return Ok(()),
                Err(StoreError::Conflict { .. }) => {}
                Err(other) => return Err(other.into()),
            }
        }
    }

    /// Removes an operator, whose sessions end; never the last one.
    pub async fn remove(&self, caller: &Caller, email: &str) -> Result<()> {
        caller.require_operator()?;
        let _one_at_a_time = self.removing.lock().await;
        let (_, operator) = self.read(email).await?.ok_or_else(|| missing(email))?;
        let mut scan = Scan::prefix(Tree::Hot, keys::OPERATORS);
        scan.limit = 2;
        scan.values = false;
        if self.core.engine.scan(&scan).await?.rows.len() < 2 {
            return Err(Error::new(
                Code::LimitReached,
                "This is the last operator; add another one first.",
            ));
        }
        let mut batch = Batch::default();
        batch.delete(Tree::Hot, keys::operator(&operator.email));
        Ok(self.core.engine.commit(batch).await?)
    }

    async fn read(&self, email: &str) -> Result<Option<(Value, StoredOperator)>> {
        let Ok(email) = normal(email) else {
            return Ok(None);
        };
        read(&self.core, &email).await
    }
}

/// An operator's row, by the address in its normal form.
pub(super) async fn read(core: &Core, email: &str) -> Result<Option<(Value, StoredOperator)>> {
    match core.engine.get(Tree::Hot, &keys::operator(email)).await? {
        Some(row) => {
            let operator = codec::decode(&row)?;
            Ok(Some((row, operator)))
        }
        None => Ok(None),
    }
}

/// An email address in the form that it is stored under.
pub(super) fn normal(email: &str) -> Result<String> {
    let email = email.trim().to_lowercase();
    let plain = |c: char| !c.is_control() && !c.is_whitespace() && c != '#';
    let parts = email.split_once('@');
    let whole = parts.is_some_and(|(name, host)| !name.is_empty() && !host.is_empty());
    if whole && email.len() <= EMAIL_BYTES_MAX && email.chars().all(plain) {
        return Ok(email);
    }
    Err(Error::new(
        Code::BadRequest,
        "email: expected an email address, as in name@example.com.",
    ))
}

fn missing(email: &str) -> Error {
    Error::not_found(format!("operator {email:?}"))
}

fn view(stored: StoredOperator) -> OperatorView {
    OperatorView {
        email: stored.email,
        created_at: stored.created_at.to_rfc3339(),
    }
}

#[cfg(test)]
mod tests;
