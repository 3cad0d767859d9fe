//! Dictionaries trained on a tenant's own records: made when there is enough to learn
//! from, made anew when the entity's schema changes or there is far more by now, and
//! gone with the last record of the archive, for they hold pieces of what they were
//! trained on.

use sha2::{Digest as _, Sha256};

use super::Archive;
use crate::{
    base::Instant,
    domain::Entity,
    service::{Error, Result, TenantAccess, counts, dictionaries::DictionaryNow},
    store::{
        Batch, Condition, Key, Scan, StoreError, Tree, Value, codec, keys::Counted,
        packed::Dictionary,
    },
};

/// Fewer records teach nothing.
const SAMPLES_MIN: usize = 256;
/// More records teach little more.
const SAMPLES_MAX: usize = 4_000;
/// Bytes of records that are learnt from.
const SAMPLE_BYTES_MAX: usize = 8 << 20;
/// The largest dictionary.
const BYTES_MAX: usize = 64 << 10;
/// A dictionary is at most this part of what it was trained on.
const PART: usize = 8;
/// So many times more records than it was trained on are worth another one.
const WORTH_AGAIN: u64 = 16;
/// And it has so many times more to learn from.
const MORE: u64 = 4;

impl Archive {
    /// Makes a dictionary of the tenant's own from records that are due before `end`,
    /// where one is missing or old. Whether it did. What `fence` expects has to hold then,
    /// so that none is left with a tenant or an entity that is new under its name.
    pub async fn train(
        &self,
        access: &TenantAccess,
        entity: &Entity,
        end: Instant,
        fence: Batch,
    ) -> Result<bool> {
        let state = self.apps.for_reading().await?;
        let now = self.core.dictionary_now(&access.keys, &entity.name).await?;
        let schema = schema_digest(entity);
        if let Some(now) = &now {
            let counted = counts::of_entity(
                &self.core,
                &access.keys,
                &entity.name,
                Tree::Archive,
                Counted::Records,
            );
            let grown = now.samples < SAMPLES_MAX as u64 / MORE
                && counted.await? >= now.samples.saturating_mul(WORTH_AGAIN);
            if now.schema == schema && !grown {
                return Ok(false);
            }
            if now.schema == schema {
                // Another one made of as few would be no better.
                let enough = now.samples * MORE;
                let due = (false, end);
                let count = self.count_due(access, entity, Tree::Hot, due, enough);
                if count.await? < enough {
                    return Ok(false);
                }
            }
        }
        let samples = self.samples(access, entity, end).await?;
        if samples.len() < SAMPLES_MIN {
            return Ok(false);
        }
        let count = samples.len() as u64;
        let bytes: usize = samples.iter().map(Vec::len).sum();
        let trained = tokio::task::spawn_blocking(move || {
            Dictionary::train(&samples, (bytes / PART).min(BYTES_MAX))
        })
        .await
        .map_err(Error::internal)?;
        let Some(trained) = trained else {
            return Ok(false);
        };
        let row = DictionaryNow {
            id: trained.id(),
            samples: count,
            schema,
            trained_at: self.core.clock.now().0,
            bytes: trained.bytes().len() as u64,
        };
        let mut batch = fence;
        state.expect_unchanged(&mut batch);
        let tenant = access.keys.tenant_row();
        batch.expect(Tree::Hot, tenant, Condition::Present);
        let key = access.keys.dictionary_now(&entity.name);
        let as_read = match &now {
            Some(now) => Condition::Value(codec::encode(now)?),
            None => Condition::Absent,
        };
        batch.expect(Tree::Hot, key.clone(), as_read);
        batch.put(Tree::Hot, key, codec::encode(&row)?);
        let key = access.keys.dictionary(&entity.name, trained.id());
        batch.put(Tree::Hot, key, Value::copy_from_slice(trained.bytes()));
        match self.core.engine.commit(batch).await {
            Ok(()) => Ok(true),
            // The next run trains one, if there is anything to train it on then.
            Err(StoreError::Conflict { .. }) => Ok(false),
            Err(other) => Err(other.into()),
        }
    }

    async fn samples(
        &self,
        access: &TenantAccess,
        entity: &Entity,
        end: Instant,
    ) -> Result<Vec<Vec<u8>>> {
        let (mut samples, mut bytes, mut after) = (Vec::new(), 0, None);
        while samples.len() < SAMPLES_MAX && bytes < SAMPLE_BYTES_MAX {
            let due = (false, end);
            let page = self
                .due(access, entity, Tree::Hot, due, after.as_deref(), 256)
                .await?;
            let keys: Vec<Key> = page
                .records
                .iter()
                .map(|(id, _)| access.keys.record(&entity.name, id))
                .collect();
            for value in self.core.engine.get_many(Tree::Hot, &keys).await? {
                let Some(value) = value else { continue };
                let (_, json) = codec::split_record(&value)?;
                bytes += json.len();
                samples.push(json.to_vec());
            }
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
            tokio::task::yield_now().await;
        }
        Ok(samples)
    }

    /// Forgets the tenant's own dictionaries of which nothing is archived any more, of
    /// every entity: the last record may have been deleted or restored, too.
    pub async fn forget_dictionaries(&self, access: &TenantAccess) -> Result<()> {
        let state = self.apps.for_reading().await?;
        for entity in state.file.entities.values() {
            self.forget_of(access, entity).await?;
        }
        Ok(())
    }

    async fn forget_of(&self, access: &TenantAccess, entity: &Entity) -> Result<()> {
        let keys = &access.keys;
        let records = keys.count(&entity.name, Tree::Archive, Counted::Records);
        if counts::value(&self.core, &records).await? > 0 {
            return Ok(());
        }
        let mut scan = Scan::prefix(Tree::Hot, keys.dictionaries(&entity.name));
        scan.values = false;
        let page = self.core.engine.scan(&scan).await?;
        if page.rows.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::default();
        batch.expect(Tree::Hot, records, Condition::Absent);
        for (key, _) in page.rows {
            batch.delete(Tree::Hot, key);
        }
        batch.delete(Tree::Hot, keys.dictionary_now(&entity.name));
        match self.core.engine.commit(batch).await {
            // Something was archived meanwhile.
            Ok(()) | Err(StoreError::Conflict { .. }) => Ok(()),
            Err(other) => Err(other.into()),
        }
    }
}

fn schema_digest(entity: &Entity) -> u64 {
    let digest = Sha256::digest(entity.schema.to_string());
    let first = digest.iter().take(8);
    first.fold(0, |number, byte| number << 8 | u64::from(*byte))
}
