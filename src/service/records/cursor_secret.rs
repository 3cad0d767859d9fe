//! The secret that signs cursors, so that a restart ends no list.

use super::Records;
use crate::{
    domain::cursor::Secret,
    service::{Error, Result},
    store::{
        Batch, Condition, Key, StoreError, Tree,
        codec::{self, Stored},
        keys,
    },
};

/// The stored form of the secret that signs cursors.
#[derive(serde::Serialize, serde::Deserialize)]
struct CursorSecret(Secret);

impl Stored for CursorSecret {
    const KIND: &'static str = "cursor secret";
    const VERSION: u8 = 1;
}

impl Records {
    /// The secret that signs cursors; the first to need it makes it.
    pub(super) async fn cursor_secret(&self) -> Result<&Secret> {
        self.cursor_secret
            .get_or_try_init(|| self.read_secret())
            .await
    }

    async fn read_secret(&self) -> Result<Secret> {
        let key = Key::from_static(keys::CURSOR_SECRET.as_bytes());
        loop {
            if let Some(stored) = self.core.engine.get(Tree::Hot, &key).await? {
                return Ok(codec::decode::<CursorSecret>(&stored)?.0);
            }
            let mut secret = Secret::default();
            self.core
                .random
                .fill(&mut secret)
                .map_err(Error::internal)?;
            let mut batch = Batch::default();
            batch.expect(Tree::Hot, key.clone(), Condition::Absent);
            batch.put(
                Tree::Hot,
                key.clone(),
                codec::encode(&CursorSecret(secret))?,
            );
            match self.core.engine.commit(batch).await {
                Ok(()) => return Ok(secret),
                Err(StoreError::Conflict { .. }) => {}
                Err(other) => return Err(other.into()),
            }
        }
    }
}
