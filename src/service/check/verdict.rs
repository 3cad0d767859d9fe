//! The second look at one index row, and its repair.

use bytes::Bytes;

use super::{Kind, PAUSE, Run, TRIES_MAX, quiet};
use crate::{
    domain::{RecordId, record::parse_strict},
    service::{Result, apps::AppState, records::rows},
    store::{Batch, Condition, Key, StoreError, Tree, Value, codec, keys::TenantKeys},
};

/// Which index row of which record is in question.
pub(super) struct Suspect<'a> {
    pub keys: &'a TenantKeys,
    pub entity: &'a str,
    pub index: &'a str,
    pub tree: Tree,
    /// The row.
    pub row: Key,
    /// The record that has it, or should.
    pub id: RecordId,
}

/// The row and its record as they are.
struct Seen {
    record_key: Key,
    /// What tells whether the record is still the same; `None` where there is none.
    header: Option<Bytes>,
    /// The row's value as the record wants it; `None` where it wants no such row.
    wanted: Option<Value>,
    /// The row's value as it is.
    found: Option<Value>,
    /// Another record that the row names and that has a right to it.
    rival: Option<RecordId>,
    rival_expects: Option<(Key, Option<Bytes>)>,
}

/// What a second look shows.
enum Look {
    /// Nothing is wrong, or nothing can be told of it.
    Fine,
    Wrong(Box<Seen>),
}

impl Run<'_> {
    /// Looks at a row again and reports it where it is wrong.
    pub(super) async fn judge(&mut self, suspect: &Suspect<'_>) -> Result<()> {
        for _ in 0..TRIES_MAX {
            let state = self.apps.refresh().await?;
            let Suspect {
                keys,
                entity,
                index,
                ..
            } = suspect;
            if !self.kept(&state, keys, entity, Some(index)).await? {
                return Ok(());
            }
            let before = self.core.engine.generation(&suspect.row);
            let look = self.look(&state, suspect).await?;
            if !quiet(before, self.core.engine.generation(&suspect.row)) {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            let Look::Wrong(seen) = look else {
                return Ok(());
            };
            let kind = match seen.rival {
                Some(_) => Kind::Unique,
                None => Kind::IndexRow,
            };
            let mut repaired = false;
            if self.options.repair && kind == Kind::IndexRow {
                match self.mend(&state, suspect, &seen).await {
                    Ok(()) => repaired = true,
                    Err(StoreError::Conflict { .. }) => continue,
                    Err(error) => return Err(error.into()),
                }
            }
            let detail = seen.detail(suspect);
            self.report.push(kind, &suspect.row, detail, repaired);
            return Ok(());
        }
        self.report.unsettled += 1;
        Ok(())
    }

    /// Whether the tenant is there and the entity and index are kept by every
    /// write: rows of those on their way out agree with nothing.
    pub(super) async fn kept(
        &self,
        state: &AppState,
        keys: &TenantKeys,
        entity: &str,
        index: Option<&str>,
    ) -> Result<bool> {
        let tenant = self.core.engine.get(Tree::Hot, &keys.tenant_row()).await?;
        let Ok(entity) = state.entity(entity) else {
            return Ok(false);
        };
        let kept = index.is_none_or(|name| {
            let mut maintained = state.maintained(entity);
            maintained.any(|m| m.index.name.as_str() == name)
        });
        Ok(tenant.is_some() && kept)
    }

    async fn look(&self, state: &AppState, suspect: &Suspect<'_>) -> Result<Look> {
        let found = self.core.engine.get(suspect.tree, &suspect.row).await?;
        let Some(own) = self.claim(state, suspect, &suspect.id).await? else {
            return Ok(Look::Fine);
        };
        let mut seen = Seen {
            record_key: own.record_key,
            header: own.header,
            wanted: own.wanted,
            found,
            rival: None,
            rival_expects: None,
        };
        if seen.wanted == seen.found {
            return Ok(Look::Fine);
        }
        if let (Some(_), Some(found)) = (&seen.wanted, &seen.found)
            && let Ok(text) = std::str::from_utf8(found)
            && let Ok(other) = RecordId::parse(text)
        {
            match self.claim(state, suspect, &other).await? {
                Some(claim) if claim.wanted.is_some() => seen.rival = Some(other),
                Some(claim) => seen.rival_expects = Some((claim.record_key, claim.header)),
                None => return Ok(Look::Fine),
            }
        }
        Ok(Look::Wrong(Box::new(seen)))
    }

    /// What a record wants of the row; `None` where that cannot be told: the
    /// index is not kept now, is being built, or the record is damaged.
    async fn claim(
        &self,
        state: &AppState,
        suspect: &Suspect<'_>,
        id: &RecordId,
    ) -> Result<Option<Claim>> {
        let Ok(entity) = state.entity(suspect.entity) else {
            return Ok(None);
        };
        let maintained = state
            .maintained(entity)
            .find(|m| m.index.name.as_str() == suspect.index);
        let Some(maintained) = maintained else {
            return Ok(None);
        };
        let record_key = suspect.keys.record(&entity.name, id);
        let Some(value) = self.core.engine.get(suspect.tree, &record_key).await? else {
            return Ok(Some(Claim {
                record_key,
                header: None,
                wanted: None,
            }));
        };
        let plain = self
            .core
            .unpack(suspect.keys, &entity.name, value.clone())
            .await;
        let decoded = plain.map(|plain| codec::decode_record(&plain));
        let Ok(Ok((meta, json))) = decoded else {
            return Ok(None);
        };
        let Ok(data) = parse_strict(&json) else {
            return Ok(None);
        };
        let made = rows::of_index(
            suspect.keys,
            entity,
            maintained.index,
            suspect.tree,
            id,
            &meta,
            &data,
        );
        let Ok(mut made) = made else {
            return Ok(None);
        };
        let wanted = made.remove(&suspect.row).map(|row| row.value);
        if maintained.building && wanted.is_some() {
            // The row may be still to come.
            return Ok(None);
        }
        Ok(Some(Claim {
            record_key,
            header: Some(codec::record_header(&value)?),
            wanted,
        }))
    }

    /// Makes the row what its record wants. Counters are left as they are: they
    /// are recounted from the rows afterwards.
    async fn mend(
        &self,
        state: &AppState,
        suspect: &Suspect<'_>,
        seen: &Seen,
    ) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        state.expect_unchanged(&mut batch);
        batch.expect(Tree::Hot, suspect.keys.tenant_row(), Condition::Present);
        let as_seen = |header: &Option<Bytes>| match header {
            Some(header) => Condition::Prefix(header.clone()),
            None => Condition::Absent,
        };
        batch.expect(suspect.tree, seen.record_key.clone(), as_seen(&seen.header));
        if let Some((key, header)) = &seen.rival_expects {
            batch.expect(suspect.tree, key.clone(), as_seen(header));
        }
        let row_as_seen = match &seen.found {
            Some(value) => Condition::Value(value.clone()),
            None => Condition::Absent,
        };
        batch.expect(suspect.tree, suspect.row.clone(), row_as_seen);
        match &seen.wanted {
            Some(value) => batch.put(suspect.tree, suspect.row.clone(), value.clone()),
            None => batch.delete(suspect.tree, suspect.row.clone()),
        }
        self.core.engine.commit(batch).await
    }
}

/// A record and what it wants of a row.
struct Claim {
    record_key: Key,
    header: Option<Bytes>,
    wanted: Option<Value>,
}

impl Seen {
    fn detail(&self, suspect: &Suspect<'_>) -> String {
        let id = &suspect.id;
        match (&self.wanted, &self.found) {
            (Some(_), None) => format!("the row of the record {id} is missing"),
            (Some(_), Some(found)) => {
                let named = found.escape_ascii();
                match self.rival {
                    Some(_) => format!(
                        "the records {id} and {named} have the same values in a unique index; change one of them"
                    ),
                    None => format!("the row should name the record {id}, and holds {named}"),
                }
            }
            (None, _) if self.header.is_none() => {
                format!("there is no record {id} for this row")
            }
            (None, _) => format!("the record {id} has other values than this row"),
        }
    }
}
