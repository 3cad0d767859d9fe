//! A list: one range of rows, read page by page, its records spliced into the
//! answer as they are stored.
//!
//! A page of rows is not a snapshot. A record fetched through an index row is
//! given only if nothing of its entity was written between the two reads (the
//! generations tell), or if it still has that row.

use bytes::Bytes;

use super::{
    Records,
    candidates::{Candidate, Candidates, ROWS_AT_ONCE},
    page::PageOut,
};
use crate::{
    domain::{
        Entity, IndexName, TenantSlug,
        cursor::{Cursor, fingerprint},
        query::{
            Access, CountPlan, ListRequest, Plan, PlanError, TierChoice, created_at_suggestion,
            plan,
        },
    },
    service::{Code, Error, Result, TenantAccess, apps::AppState, counts},
    store::{Key, Tree, Value, keys::Counted},
};

/// Records fetched at once through index rows.
const RECORDS_AT_ONCE: usize = 16;

/// Counters of two tiers are read so often, until they did not change meanwhile.
const COUNTED_AGAIN_MAX: usize = 50;
const COUNTED_AGAIN: std::time::Duration = std::time::Duration::from_millis(1);

/// What a list is about.
pub(super) struct List<'a> {
    pub access: &'a TenantAccess,
    pub entity: &'a Entity,
    pub request: &'a ListRequest,
    pub plan: Plan,
    /// What every row's key begins with.
    pub prefix: Key,
    /// What every record's key begins with; the id follows.
    pub records: Key,
    pub tiers: &'static [Tree],
}

impl Records {
    /// A page of records as the whole JSON body of the answer.
    pub async fn list(
        &self,
        access: &TenantAccess,
        entity: &str,
        request: &ListRequest,
    ) -> Result<Bytes> {
        let state = self.apps.for_reading().await?;
        let entity = state.entity(entity)?;
        let ready = |index: &IndexName| state.is_ready(entity, index.as_str());
        let plan = plan(entity, &ready, request).map_err(refused)?;
        let list = List {
            access,
            entity,
            request,
            prefix: match &plan.access {
                Access::Index { index, .. } => access.keys.index(&entity.name, &index.name),
                _ => access.keys.records(&entity.name),
            },
            records: access.keys.records(&entity.name),
            tiers: match request.tier {
                TierChoice::Hot => &[Tree::Hot],
                TierChoice::Archive => &[Tree::Archive],
                TierChoice::All => &Tree::ALL,
            },
            plan,
        };
        self.refuse_given_ids(&list).await?;
        let secret = self.cursor_secret().await?;
        let slug = TenantSlug::parse(access.tenant()).map_err(Error::internal)?;
        let mark = fingerprint(&slug, &entity.name, request, &list.plan);
        let after = match &request.cursor {
            Some(text) => Some(Cursor::open(text, secret, &mark).map_err(|error| {
                Error::new(
                    Code::InvalidCursor,
                    format!("The cursor cannot be used: {error}."),
                )
            })?),
            None => None,
        };
        let mut candidates = Candidates::new(
            &*self.core.engine,
            list.tiers,
            &list.prefix,
            list.plan.access.range(),
            list.plan.direction,
            after.as_deref(),
        );
        let (mut out, more) = self.gather(&list, &mut candidates).await?;
        self.still_served(&state, &list)?;
        let next = out.last.take().filter(|_| more).map(|key| {
            let after = key[list.prefix.len()..].to_vec();
            Cursor {
                after,
                fingerprint: mark,
            }
            .to_text(secret)
        });
        let count = self.count(&list).await?;
        let explained = request.explain.then(|| list.plan.access.name());
        Ok(out.finish(&candidates, next, count, explained))
    }

    /// Ids that clients chose do not tell when a record was made.
    async fn refuse_given_ids(&self, list: &List<'_>) -> Result<()> {
        let Access::CreatedAt { .. } = list.plan.access else {
            return Ok(());
        };
        for tier in list.tiers {
            let (keys, entity) = (&list.access.keys, &list.entity.name);
            let given = counts::of_entity(&self.core, keys, entity, *tier, Counted::Given).await?;
            if given > 0 {
                let detail = format!(
                    "Records of {entity} have ids that were not made here, so the order of ids is not that of created_at. Declare an index on it in app.toml."
                );
                return Err(Error::new(Code::QueryNeedsIndex, detail)
                    .with("suggestion", created_at_suggestion(list.entity)));
            }
        }
        Ok(())
    }

    /// Reads rows until the page is full or the range ends; whether there is more.
    async fn gather(
        &self,
        list: &List<'_>,
        candidates: &mut Candidates<'_>,
    ) -> Result<(PageOut, bool)> {
        let bytes_max = self.core.limits.page_bytes_max;
        let mut out = PageOut::new(list.request.limit);
        let by_index = matches!(list.plan.access, Access::Index { .. });
        let mut rows_done = 0;
        loop {
            if rows_done >= list.request.limit + ROWS_AT_ONCE {
                // Rows changed as fast as they were read: a short page, and on from here.
                return Ok((out, true));
            }
            // One more than is wanted tells whether the list goes on.
            let wanted = list.request.limit + 1 - out.items;
            let room = bytes_max.saturating_sub(out.body.len()).max(1);
            let mut chunk = Vec::new();
            let chunk_max = if by_index { RECORDS_AT_ONCE } else { 1 };
            while chunk.len() < chunk_max.min(wanted - 1) {
                match candidates.next(wanted - chunk.len(), room).await? {
                    Some(row) => chunk.push(row),
                    None => break,
                }
            }
            rows_done += chunk.len();
            if chunk.is_empty() {
                return Ok((out, candidates.has_more().await?));
            }
            if !self.give(list, chunk, &mut out).await? {
                return Ok((out, true));
            }
        }
    }

    /// Adds the record of each row, where it is still there and has that row;
    /// false when the page is full.
    async fn give(
        &self,
        list: &List<'_>,
        mut chunk: Vec<Candidate>,
        out: &mut PageOut,
    ) -> Result<bool> {
        let bytes_max = self.core.limits.page_bytes_max;
        let mut full = false;
        if !matches!(list.plan.access, Access::Index { .. }) {
            for mut row in chunk {
                out.records_read += 1;
                if row.tier == Tree::Archive {
                    row.value = self.unpacked(list, row.value).await?;
                }
                full = list
                    .own_row(&row)?
                    .is_some_and(|record| !out.push(&record, bytes_max));
                if full {
                    break;
                }
                out.last = Some(row.key);
            }
            return Ok(!full);
        }
        let fetched = list.fetch(&self.core, &mut chunk).await?;
        let generation = self.core.engine.generation(&list.prefix);
        for (row, fetched) in chunk.into_iter().zip(fetched) {
            if let Some((key, mut value)) = fetched {
                out.records_read += 1;
                out.bytes_read += key.len() + value.len();
                if row.tier == Tree::Archive {
                    value = self.unpacked(list, value).await?;
                }
                let settled =
                    row.generation.is_some_and(|g| g % 2 == 0) && row.generation == generation;
                full = list
                    .indexed(&row, &key, &value, settled)?
                    .is_some_and(|record| !out.push(&record, bytes_max));
                if full {
                    break;
                }
            }
            out.last = Some(row.key);
        }
        Ok(!full)
    }

    async fn unpacked(&self, list: &List<'_>, value: Value) -> Result<Value> {
        let keys = &list.access.keys;
        self.core.unpack(keys, &list.entity.name, value).await
    }

    /// An index that was dropped while it was read may have lost rows under the
    /// list's eyes.
    fn still_served(&self, before: &AppState, list: &List<'_>) -> Result<()> {
        let Access::Index { index, .. } = &list.plan.access else {
            return Ok(());
        };
        let now = self.apps.current();
        let entry = |state: &AppState| {
            let entry = state
                .head
                .entry(list.entity.name.as_str(), index.name.as_str());
            entry.map(|e| (e.fingerprint.clone(), e.state.clone()))
        };
        if entry(before) == entry(&now) {
            return Ok(());
        }
        Err(refused(PlanError::NotReady {
            index: index.name.clone(),
        }))
    }

    /// The counters of all tiers, read while none of them changed: a record that moves
    /// meanwhile is counted once.
    async fn count(&self, list: &List<'_>) -> Result<Option<u64>> {
        let counters = list.access.keys.all_counters();
        for _ in 1..COUNTED_AGAIN_MAX {
            let before = self.core.engine.generation(&counters);
            let count = self.counted(list).await?;
            let after = self.core.engine.generation(&counters);
            let settled = before == after && before.is_none_or(|before| before % 2 == 0);
            if settled || list.tiers.len() == 1 || count.is_none() {
                return Ok(count);
            }
            // A group is being written, which takes as long as its sync.
            tokio::time::sleep(COUNTED_AGAIN).await;
        }
        self.counted(list).await
    }

    async fn counted(&self, list: &List<'_>) -> Result<Option<u64>> {
        let (keys, entity) = (&list.access.keys, &list.entity.name);
        let mut sum = 0;
        for tier in list.tiers {
            sum += match &list.plan.count {
                CountPlan::None => return Ok(None),
                CountPlan::Entity => {
                    counts::of_entity(&self.core, keys, entity, *tier, Counted::Records).await?
                }
                CountPlan::IndexPrefix { index, values } => {
                    match keys.count_index(entity, index, *tier, values) {
                        Some(key) => counts::value(&self.core, &key).await?,
                        // No record with such values could be stored.
                        None => 0,
                    }
                }
            };
        }
        Ok(Some(sum))
    }
}

/// The problem of a list that is not answered.
fn refused(error: PlanError) -> Error {
    let detail = error.to_string();
    match error {
        PlanError::NeedsIndex { suggestion, .. } => {
            Error::new(Code::QueryNeedsIndex, detail).with("suggestion", suggestion)
        }
        PlanError::NotReady { index } => {
            Error::new(Code::IndexNotReady, detail).with("index", index.as_str())
        }
        PlanError::CountNeedsCounter { .. } => Error::new(Code::CountNeedsCounter, detail),
        PlanError::BadValue { field, .. } | PlanError::MultiRange { field, .. } => {
            Error::new(Code::BadRequest, detail).with("field", field)
        }
    }
}
