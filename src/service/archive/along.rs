//! Records of other entities that go along with the one they belong to: children
//! first, so that a move that is cut short is found and finished by its parent.

use super::{Archive, Way, unready_child};
use crate::{
    domain::{Entity, IndexValue, RecordId, archive::Child},
    service::{
        Code, Error, Result, TenantAccess,
        records::{Only, Operation, Record},
    },
    store::{Key, Scan, Tree, keys},
};

/// Records moved in one commit. On sled a commit over both trees keeps readers waiting
/// while it is applied, so it is short.
pub const A_COMMIT: usize = 16;
/// The most children that a request moves; more of them take a run.
const AT_ONCE_MAX: usize = 2_000;

impl Archive {
    /// The next children of a record in a tier, past `after`, and where the page ends.
    pub async fn children(
        &self,
        access: &TenantAccess,
        child: &Child,
        parent: &RecordId,
        tier: Tree,
        after: Option<Key>,
    ) -> Result<(Vec<RecordId>, Option<Key>)> {
        let mut prefix = access.keys.index(&child.entity, &child.index).to_vec();
        IndexValue::Text(parent.as_str().to_owned()).encode_into(&mut prefix);
        prefix.push(b'#');
        let mut scan = Scan::prefix(tier, prefix);
        scan.limit = A_COMMIT;
        scan.after = after;
        let page = self.core.engine.scan(&scan).await?;
        let id = |(key, value): &(Key, Key)| match value.is_empty() {
            true => keys::last_segment(key),
            // A unique index has the id in its value.
            false => RecordId::parse(std::str::from_utf8(value).ok()?).ok(),
        };
        let ids: Option<Vec<RecordId>> = page.rows.iter().map(id).collect();
        let ids = ids.ok_or_else(|| Error::internal("an index row without an id"))?;
        Ok((ids, page.next))
    }

    /// Moves one record at once, with what goes along. Answers it as it is then.
    pub async fn move_one(
        &self,
        access: &TenantAccess,
        entity: &str,
        id: &str,
        way: Way,
    ) -> Result<Record> {
        let state = self.apps.for_reading().await?;
        let entity = state.entity(entity)?.clone();
        let parent = RecordId::parse(id).map_err(|_| missing(&entity, id))?;
        // Nothing is moved for a record that is not there.
        self.records.get(access, entity.name.as_str(), id).await?;
        if let Some(rule) = &entity.archive {
            if let Some(child) = unready_child(&state, rule) {
                return Err(not_ready(child));
            }
            for child in &rule.with {
                self.move_children(access, child, &parent, way).await?;
            }
        }
        let operation = way.operation(entity.name.as_str(), id, Only::Anyhow);
        let outcomes = self.records.apply(access, &[operation]).await?;
        let record = outcomes.into_iter().find_map(|outcome| outcome.record);
        record.ok_or_else(|| missing(&entity, id))
    }

    /// Moves all children of a record, up to [`AT_ONCE_MAX`].
    async fn move_children(
        &self,
        access: &TenantAccess,
        child: &Child,
        parent: &RecordId,
        way: Way,
    ) -> Result<()> {
        let (mut moved, mut after) = (0, None);
        loop {
            let page = self.move_page(access, child, parent, way, after).await?;
            moved += page.0;
            after = page.1;
            if after.is_none() {
                return Ok(());
            }
            if moved >= AT_ONCE_MAX {
                return Err(Error::new(
                    Code::TooLarge,
                    format!(
                        "The record has more than {AT_ONCE_MAX} records of {} that go along; {AT_ONCE_MAX} of them have moved. Ask again, or ask for a run by query.",
                        child.entity
                    ),
                ));
            }
        }
    }

    /// Moves the next children of a record, past `after`; how many, and where the page
    /// ends.
    pub async fn move_page(
        &self,
        access: &TenantAccess,
        child: &Child,
        parent: &RecordId,
        way: Way,
        after: Option<Key>,
    ) -> Result<(usize, Option<Key>)> {
        let page = self.children(access, child, parent, way.from(), after);
        let (ids, next) = page.await?;
        let operation = |id: &RecordId| {
            // One that was deleted meanwhile is none that has to move.
            way.operation(child.entity.as_str(), id.as_str(), Only::IfThere)
        };
        let operations: Vec<Operation> = ids.iter().map(operation).collect();
        if !operations.is_empty() {
            self.records.apply(access, &operations).await?;
        }
        Ok((ids.len(), next))
    }
}

fn not_ready(child: &Child) -> Error {
    Error::new(
        Code::IndexNotReady,
        format!(
            "Records of {} go along, and the index {} that finds them is not complete; wait until GET /v1/app says that it is ready.",
            child.entity, child.index
        ),
    )
    .with("index", child.index.as_str())
}

fn missing(entity: &Entity, id: &str) -> Error {
    Error::not_found(format!("record {id:?} of the entity {}", entity.name))
}
