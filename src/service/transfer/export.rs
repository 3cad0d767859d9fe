//! The way out: a tenant's records as lines of NDJSON, page by page.
//!
//! An export is not one point in time: it reads on while records change. Each
//! record in it is whole, as one write left it. A record that nobody changed,
//! archived or restored meanwhile stands in it exactly once. It ends with an
//! error, and so without the proper end of the answer, where the store fails.

use bytes::Bytes;
use futures_util::{Stream, stream};

use super::Transfer;
use crate::{
    domain::EntityName,
    service::{Caller, Error, Result, Scope, TenantAccess, records::Record},
    store::{Key, Scan, Tree, codec, keys},
};

/// Where an export stands.
struct Export {
    access: TenantAccess,
    entities: Vec<EntityName>,
    at: usize,
    tree: Tree,
    after: Option<Key>,
}

impl Transfer {
    /// The records of one tenant, of one entity or of all: hot ones first, then
    /// the archived, each entity in the order of its ids.
    pub async fn export(
        &self,
        caller: &Caller,
        tenant: &str,
        entity: Option<&str>,
    ) -> Result<impl Stream<Item = Result<Bytes>> + use<>> {
        let access = self.tenants.access(caller, tenant, Scope::Read).await?;
        let state = self.apps.refresh().await?;
        let entities = match entity {
            Some(name) => vec![state.entity(name)?.name.clone()],
            None => state.file.entities.keys().cloned().collect(),
        };
        let export = Export {
            access,
            entities,
            at: 0,
            tree: Tree::Hot,
            after: None,
        };
        let core = self.core.clone();
        Ok(stream::try_unfold(export, move |mut export| {
            let core = core.clone();
            async move {
                while let Some(entity) = export.entities.get(export.at).cloned() {
                    let prefix = export.access.keys.records(&entity);
                    let mut scan = Scan::prefix(export.tree, prefix);
                    scan.after = export.after.take();
                    let page = core.engine.scan(&scan).await?;
                    let mut lines = Vec::new();
                    for (key, value) in page.rows {
                        let keys = &export.access.keys;
                        let value = core.unpack(keys, &entity, value).await?;
                        render(export.tree, &entity, &key, &value, &mut lines)?;
                    }
                    export.advance(page.next);
                    if !lines.is_empty() {
                        return Ok(Some((Bytes::from(lines), export)));
                    }
                }
                Ok(None)
            }
        }))
    }
}

impl Export {
    fn advance(&mut self, next: Option<Key>) {
        self.after = next;
        if self.after.is_some() {
            return;
        }
        match self.tree {
            Tree::Hot => self.tree = Tree::Archive,
            Tree::Archive => {
                self.tree = Tree::Hot;
                self.at += 1;
            }
        }
    }
}

fn render(
    tier: Tree,
    entity: &EntityName,
    key: &Key,
    value: &Bytes,
    lines: &mut Vec<u8>,
) -> Result<()> {
    let (meta, json) = codec::decode_record(value)?;
    let id = keys::last_segment(key)
        .ok_or_else(|| Error::internal(format!("a record's key: {key:?}")))?;
    let record = Record {
        id,
        meta,
        tier,
        json,
    };
    record.render_export(entity.as_str(), lines);
    lines.push(b'\n');
    Ok(())
}
