//! One entity of one tenant: its records, their rows, its counters.

use bytes::Bytes;
use serde_json::Value as Json;

use super::{Kind, Run, pages::Pages, quiet, verdict::Suspect};
use crate::{
    base::time_of_record_id,
    domain::{Entity, RecordId, RecordMeta, record::parse_strict},
    service::{
        Result,
        apps::{AppState, Maintained},
        records::rows,
    },
    store::{
        Key, Scan, Tree, Value, codec,
        keys::{self, TenantKeys},
    },
};

/// What was counted of an entity's records in one tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub records: i64,
    pub bytes: i64,
    pub given: i64,
    /// Bytes of the values of archived records.
    pub packed: i64,
    /// Bytes of archived records' JSON.
    pub json: i64,
    /// Records that cannot be read: of them nobody knows the times or the rows.
    pub damaged: u64,
}

/// An entity's records in one tree, on the way through them.
struct Family<'a> {
    keys: &'a TenantKeys,
    entity: &'a Entity,
    tree: Tree,
    maintained: Vec<Maintained<'a>>,
    tally: Tally,
    /// Rows that the records want, of each maintained index.
    wanted: Vec<u64>,
    /// Whether one of them looked missing or wrong, of each maintained index.
    missed: Vec<bool>,
}

/// A record, read.
struct Decoded {
    id: RecordId,
    meta: RecordMeta,
    json: Bytes,
    data: Json,
}

impl Run<'_> {
    /// Checks everything of an entity of a tenant.
    pub(super) async fn family(
        &mut self,
        state: &AppState,
        keys: &TenantKeys,
        entity: &Entity,
    ) -> Result<()> {
        for tree in Tree::ALL {
            let prefix = keys.records(&entity.name);
            let before = self.core.engine.generation(&prefix);
            let maintained: Vec<_> = state.maintained(entity).collect();
            let mut family = Family {
                wanted: vec![0; maintained.len()],
                missed: vec![false; maintained.len()],
                keys,
                entity,
                tree,
                maintained,
                tally: Tally::default(),
            };
            self.records(&mut family).await?;
            for (number, maintained) in family.maintained.iter().enumerate() {
                let (index, wanted) = (maintained.index, family.wanted[number]);
                let rows = self.rows(state, keys, entity, index, tree).await?;
                // As many rows as the records want, and none missing: so none too many.
                let settled = quiet(before, self.core.engine.generation(&prefix));
                let sound = rows == wanted && !family.missed[number];
                if !settled || !sound || family.tally.damaged > 0 {
                    self.trace_rows(keys, entity, index, tree).await?;
                }
                if index.count {
                    self.index_counters(keys, entity, index, tree).await?;
                }
            }
            self.entity_counters(keys, entity, tree, &family.tally, before)
                .await?;
        }
        Ok(())
    }

    async fn records(&mut self, family: &mut Family<'_>) -> Result<()> {
        let scan = Scan::prefix(family.tree, family.keys.records(&family.entity.name));
        let mut pages = Pages::new(&self.core.engine, scan);
        loop {
            let page = pages.page().await?;
            if page.is_empty() {
                return Ok(());
            }
            self.report.keys += page.len() as u64;
            self.report.records += page.len() as u64;
            if family.tree == Tree::Archive {
                self.refuse_twins(&page).await?;
            }
            let mut wanted = Vec::new();
            for (key, value) in &page {
                match self.decode(family.keys, family.entity, key, value).await {
                    Ok(decoded) => self.record(family, key, value, decoded, &mut wanted),
                    Err(detail) => {
                        family.tally.add(family.tree, key, value, None);
                        self.damaged(family, key, detail).await?;
                    }
                }
            }
            self.look_up(family, wanted).await?;
        }
    }

    /// A record that is read; its rows are added to `wanted`.
    fn record(
        &mut self,
        family: &mut Family<'_>,
        key: &Key,
        value: &Value,
        decoded: Decoded,
        wanted: &mut Vec<(usize, RecordId, Key, Value)>,
    ) {
        let Decoded {
            id,
            meta,
            json,
            data,
        } = decoded;
        let given = time_of_record_id(id.as_str()) != Some(meta.created_at);
        family
            .tally
            .add(family.tree, key, value, Some((given, json.len())));
        if self.options.schema
            && let Err(problems) = family.entity.validate(&data, json.len())
        {
            let all: Vec<_> = problems.iter().map(ToString::to_string).collect();
            self.report.add(Kind::Schema, key, all.join("; "));
        }
        for (number, maintained) in family.maintained.iter().enumerate() {
            let made = rows::of_index(
                family.keys,
                family.entity,
                maintained.index,
                family.tree,
                &id,
                &meta,
                &data,
            );
            match made {
                Ok(made) => {
                    family.wanted[number] += made.len() as u64;
                    if !maintained.building {
                        let rows = made.into_iter();
                        wanted.extend(rows.map(|(row, r)| (number, id.clone(), row, r.value)));
                    }
                }
                Err(error) => self.report.add(Kind::IndexRow, key, error.detail),
            }
        }
    }

    /// Looks up the rows that a page of records wants.
    async fn look_up(
        &mut self,
        family: &mut Family<'_>,
        wanted: Vec<(usize, RecordId, Key, Value)>,
    ) -> Result<()> {
        let rows: Vec<Key> = wanted.iter().map(|(_, _, row, _)| row.clone()).collect();
        let found = self.core.engine.get_many(family.tree, &rows).await?;
        for ((number, id, row, value), found) in wanted.into_iter().zip(found) {
            if found.as_ref() == Some(&value) {
                continue;
            }
            family.missed[number] = true;
            let suspect = Suspect {
                keys: family.keys,
                entity: family.entity.name.as_str(),
                index: family.maintained[number].index.name.as_str(),
                tree: family.tree,
                row,
                id,
            };
            self.judge(&suspect).await?;
        }
        Ok(())
    }

    /// A record that cannot be read, unless it can by now.
    async fn damaged(&mut self, family: &Family<'_>, key: &Key, detail: String) -> Result<()> {
        let (keys, entity) = (family.keys, family.entity);
        if let Some(value) = self.core.engine.get(family.tree, key).await?
            && self.decode(keys, entity, key, &value).await.is_err()
        {
            self.report.add(Kind::Record, key, detail);
        }
        Ok(())
    }

    /// A record stands in one tree.
    async fn refuse_twins(&mut self, page: &[(Key, Value)]) -> Result<()> {
        let keys: Vec<Key> = page.iter().map(|(key, _)| key.clone()).collect();
        let found = self.core.engine.get_many(Tree::Hot, &keys).await?;
        for (key, _) in keys.iter().zip(found).filter(|(_, found)| found.is_some()) {
            let archived = self.core.engine.get(Tree::Archive, key).await?;
            let hot = self.core.engine.get(Tree::Hot, key).await?;
            if archived.is_some() && hot.is_some() {
                let detail = "the record stands in both trees; the hot one is read";
                self.report.add(Kind::Record, key, detail);
            }
        }
        Ok(())
    }

    /// Counts an entity's records again, and nothing else.
    pub(super) async fn tally(
        &self,
        keys: &TenantKeys,
        entity: &Entity,
        tree: Tree,
    ) -> Result<Tally> {
        let mut tally = Tally::default();
        let scan = Scan::prefix(tree, keys.records(&entity.name));
        let mut pages = Pages::new(&self.core.engine, scan);
        while let Some((key, value)) = pages.next().await? {
            let read = self.decode(keys, entity, &key, &value).await.ok();
            let read = read.map(|Decoded { id, meta, json, .. }| {
                let given = time_of_record_id(id.as_str()) != Some(meta.created_at);
                (given, json.len())
            });
            tally.add(tree, &key, &value, read);
        }
        Ok(tally)
    }

    async fn decode(
        &self,
        keys: &TenantKeys,
        entity: &Entity,
        key: &Key,
        value: &Value,
    ) -> Result<Decoded, String> {
        let plain = self.core.unpack(keys, &entity.name, value.clone()).await;
        let plain = plain.map_err(|error| error.cause.unwrap_or(error.detail))?;
        decode(key, &plain)
    }
}

impl Tally {
    /// Adds a record; whether its id was given, and the length of its JSON, where it
    /// can be read.
    fn add(&mut self, tree: Tree, key: &Key, value: &Value, read: Option<(bool, usize)>) {
        let size = |bytes: usize| i64::try_from(bytes).unwrap_or(i64::MAX);
        self.records += 1;
        self.bytes += size(key.len() + value.len());
        self.given += i64::from(read.is_some_and(|(given, _)| given));
        self.damaged += u64::from(read.is_none());
        if tree == Tree::Archive {
            self.packed += size(value.len());
            self.json += size(read.map_or(0, |(_, json)| json));
        }
    }
}

fn decode(key: &Key, value: &Value) -> Result<Decoded, String> {
    let id = keys::last_segment(key).ok_or("the key does not end in an id")?;
    let (meta, json) = codec::decode_record(value).map_err(|error| error.to_string())?;
    let data = parse_strict(&json).map_err(|error| format!("its JSON: {}", error.message))?;
    Ok(Decoded {
        id,
        meta,
        json,
        data,
    })
}
