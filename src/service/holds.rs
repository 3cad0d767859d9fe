//! Legal holds: what they cover is neither deleted nor purged until they are lifted.
//! One covers a tenant, an entity of it or a single record; several may cover the same.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Caller, Code, Core, Error, Result, Scope, TenantAccess,
    apps::{AppState, Apps},
    counts, records,
};
use crate::{
    domain::{EntityName, RecordId},
    store::{
        Batch, Condition, Key, Order, Scan, StoreError, Tree, Value,
        codec::{self, Stored},
        keys::{self, TenantKeys},
    },
};

/// The longest reason, in characters.
const REASON_CHARS_MAX: usize = 1_000;
/// The most holds of a tenant at once.
const HOLDS_MAX: u64 = 10_000;
/// Lifted holds of a tenant that are kept, the latest ones.
pub const LIFTED_KEPT: usize = 1_000;

/// A hold, as it is stored and shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Hold {
    /// Its id.
    pub id: String,
    /// The entity that it covers; the whole tenant where there is none.
    pub entity: Option<String>,
    /// The record that it covers; the whole entity where there is none.
    pub record: Option<String>,
    /// Why.
    pub reason: String,
    /// Who set it.
    pub set_by: String,
    /// When, RFC 3339.
    pub set_at: String,
    /// Who lifted it.
    pub lifted_by: Option<String>,
    /// When, RFC 3339.
    pub lifted_at: Option<String>,
    /// Why it was lifted.
    pub lifted_reason: Option<String>,
}

impl Stored for Hold {
    const KIND: &'static str = "legal hold";
    const VERSION: u8 = 1;
}

/// A hold to be set.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewHold {
    /// The entity to cover; the whole tenant unless said.
    #[serde(default)]
    pub entity: Option<String>,
    /// The record to cover; the whole entity unless said.
    #[serde(default)]
    pub record: Option<String>,
    /// Why: 1 to 1,000 characters.
    pub reason: String,
}

/// What a hold covers.
enum Covered {
    Tenant,
    Entity(EntityName),
    Record(EntityName, RecordId),
}

impl Covered {
    fn by(hold: &Hold) -> Result<Self> {
        let Some(entity) = &hold.entity else {
            return Ok(Self::Tenant);
        };
        let entity = EntityName::parse(entity).map_err(Error::internal)?;
        Ok(match &hold.record {
            None => Self::Entity(entity),
            Some(id) => Self::Record(entity, RecordId::parse(id).map_err(Error::internal)?),
        })
    }

    fn key(&self, keys: &TenantKeys) -> Key {
        match self {
            Self::Tenant => keys.held_tenant(),
            Self::Entity(entity) => keys.held_entity(entity),
            Self::Record(entity, id) => keys.held_record(entity, id),
        }
    }
}

/// The counters that a hold is counted by.
pub(super) fn counters(keys: &TenantKeys, hold: &Hold) -> Result<[Key; 2]> {
    Ok([Covered::by(hold)?.key(keys), keys.holds_count()])
}

/// The counters that say whether a record is held.
pub(super) fn covering(keys: &TenantKeys, entity: &EntityName, id: &RecordId) -> [Key; 3] {
    [
        keys.held_tenant(),
        keys.held_entity(entity),
        keys.held_record(entity, id),
    ]
}

/// Whether a record is held.
pub(super) async fn is_held(
    core: &Core,
    keys: &TenantKeys,
    entity: &EntityName,
    id: &RecordId,
) -> Result<bool> {
    let covering = covering(keys, entity, id);
    let found = core.engine.get_many(Tree::Hot, &covering).await?;
    Ok(found.iter().any(Option::is_some))
}

/// Whether all of an entity is held.
pub(super) async fn holds_entity(
    core: &Core,
    keys: &TenantKeys,
    entity: &EntityName,
) -> Result<bool> {
    let covering = [keys.held_tenant(), keys.held_entity(entity)];
    let found = core.engine.get_many(Tree::Hot, &covering).await?;
    Ok(found.iter().any(Option::is_some))
}

/// Whether anything of an entity is held.
pub(super) async fn holds_any_of(
    core: &Core,
    keys: &TenantKeys,
    entity: &EntityName,
) -> Result<bool> {
    if holds_entity(core, keys, entity).await? {
        return Ok(true);
    }
    let mut scan = Scan::prefix(Tree::Hot, keys.held_records(entity));
    (scan.limit, scan.values) = (1, false);
    Ok(!core.engine.scan(&scan).await?.rows.is_empty())
}

/// The problem of deleting what is held.
pub(super) async fn refuse_held(
    core: &Core,
    keys: &TenantKeys,
    entity: &EntityName,
    id: &RecordId,
) -> Result<()> {
    match is_held(core, keys, entity, id).await? {
        true => Err(held(&format!("The record {id} of the entity {entity}"))),
        false => Ok(()),
    }
}

/// The problem of deleting something that a hold covers.
pub(super) fn held(what: &str) -> Error {
    Error::new(
        Code::LegalHold,
        format!(
            "{what} is under a legal hold: nothing of it is deleted until the hold is lifted (GET .../holds lists them)."
        ),
    )
}

/// The service.
pub struct Holds {
    core: Core,
    apps: std::sync::Arc<Apps>,
}

impl Holds {
    /// The service over a store.
    pub fn new(core: Core, apps: std::sync::Arc<Apps>) -> Self {
        Self { core, apps }
    }

    /// Sets a hold. For operators.
    pub async fn set(&self, caller: &Caller, access: &TenantAccess, wish: NewHold) -> Result<Hold> {
        caller.require_operator()?;
        let app = self.apps.for_reading().await?;
        let covered = covered(&app, &wish)?;
        let reason = reason(&wish.reason)?;
        let keys = &access.keys;
        let now = self.core.clock.now();
        let hold = Hold {
            id: self.core.random.id(now).map_err(Error::internal)?.0,
            entity: wish.entity,
            record: wish.record,
            reason,
            set_by: caller.credential(),
            set_at: now.to_rfc3339(),
            lifted_by: None,
            lifted_at: None,
            lifted_reason: None,
        };
        if counts::value(&self.core, &keys.holds_count()).await? >= HOLDS_MAX {
            return Err(Error::new(
                Code::LimitReached,
                format!(
                    "The tenant has {HOLDS_MAX} holds, the most there may be; hold the entity, or the tenant."
                ),
            ));
        }
        let mut batch = Batch::default();
        let tenant = batch.expect(Tree::Hot, keys.tenant_row(), Condition::Present);
        app.expect_unchanged(&mut batch);
        if let Covered::Record(entity, id) = &covered {
            self.expect_record(&mut batch, keys, entity, id).await?;
        }
        batch.put(Tree::Hot, keys.hold(&hold.id), codec::encode(&hold)?);
        batch.add(Tree::Hot, covered.key(keys), 1);
        batch.add(Tree::Hot, keys.holds_count(), 1);
        // Whoever drops an entity expects that no hold was set since they looked.
        batch.add(Tree::Hot, keys::HOLDS_SET, 1);
        match self.core.engine.commit(batch).await {
            Ok(()) => Ok(hold),
            Err(StoreError::Conflict { index, .. }) if index == tenant => {
                Err(Error::not_found("such tenant any more"))
            }
            Err(StoreError::Conflict { .. }) => {
                self.apps.refresh().await?;
                Err(Error::new(
                    Code::Unavailable,
                    "The record moved or was deleted, or the app changed meanwhile; try again.",
                )
                .retry_after(1))
            }
            Err(other) => Err(other.into()),
        }
    }

    /// A hold on a record that is not there would be a mistake.
    async fn expect_record(
        &self,
        batch: &mut Batch,
        keys: &TenantKeys,
        entity: &EntityName,
        id: &RecordId,
    ) -> Result<()> {
        let key = keys.record(entity, id);
        let Some((tier, _)) = records::stored(&self.core, &key).await? else {
            return Err(Error::not_found(format!(
                "record {:?} of the entity {entity}",
                id.as_str()
            )));
        };
        batch.expect(tier, key, Condition::Present);
        Ok(())
    }

    /// Lifts a hold, and keeps who did, when and why. For operators.
    pub async fn lift(
        &self,
        caller: &Caller,
        access: &TenantAccess,
        id: &str,
        why: &str,
    ) -> Result<Hold> {
        caller.require_operator()?;
        let why = reason(why)?;
        let missing = || Error::not_found(format!("legal hold {id:?}"));
        RecordId::parse(id).map_err(|_| missing())?;
        let keys = &access.keys;
        let row = self.core.engine.get(Tree::Hot, &keys.hold(id)).await?;
        let row: Value = row.ok_or_else(missing)?;
        let mut hold: Hold = codec::decode(&row)?;
        let covered = Covered::by(&hold)?;
        let now = self.core.clock.now();
        hold.lifted_by = Some(caller.credential());
        hold.lifted_at = Some(now.to_rfc3339());
        hold.lifted_reason = Some(why);
        let mut batch = Batch::default();
        batch.expect(Tree::Hot, keys.hold(id), Condition::Value(row));
        batch.delete(Tree::Hot, keys.hold(id));
        batch.put(Tree::Hot, keys.lifted_hold(now, id), codec::encode(&hold)?);
        batch.add(Tree::Hot, covered.key(keys), -1);
        batch.add(Tree::Hot, keys.holds_count(), -1);
        match self.core.engine.commit(batch).await {
            Ok(()) => {}
            Err(StoreError::Conflict { .. }) => return Err(missing()),
            Err(other) => return Err(other.into()),
        }
        super::scan::keep_latest(&self.core, keys.lifted_holds(), LIFTED_KEPT).await?;
        Ok(hold)
    }

    /// The holds of a tenant, the latest first; those that were lifted on request.
    pub async fn list(
        &self,
        caller: &Caller,
        access: &TenantAccess,
        lifted: bool,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Hold>, Option<String>)> {
        caller.require_scope(access.tenant(), Scope::Read)?;
        let prefix = match lifted {
            true => access.keys.lifted_holds(),
            false => access.keys.hold(""),
        };
        let mut scan = Scan::prefix(Tree::Hot, prefix.clone());
        scan.order = Order::Descending;
        scan.limit = limit;
        scan.after = after.map(|after| [&prefix, after.as_bytes()].concat().into());
        let page = self.core.engine.scan(&scan).await?;
        let holds = page.rows.iter().map(|(_, row)| codec::decode(row));
        let holds = holds.collect::<Result<Vec<Hold>, StoreError>>()?;
        let next = page.next.map(|key| {
            let rest = &key[prefix.len()..];
            String::from_utf8_lossy(rest).into_owned()
        });
        Ok((holds, next))
    }
}

fn covered(state: &AppState, wish: &NewHold) -> Result<Covered> {
    match (&wish.entity, &wish.record) {
        (None, None) => Ok(Covered::Tenant),
        (Some(entity), None) => Ok(Covered::Entity(state.entity(entity)?.name.clone())),
        (Some(entity), Some(id)) => {
            let id = RecordId::parse(id)
                .map_err(|error| Error::new(Code::BadRequest, error.to_string()))?;
            Ok(Covered::Record(state.entity(entity)?.name.clone(), id))
        }
        (None, Some(_)) => Err(Error::new(
            Code::BadRequest,
            "A hold on a record names its entity, too.",
        )),
    }
}

fn reason(text: &str) -> Result<String> {
    let fits = !text.trim().is_empty()
        && text.chars().count() <= REASON_CHARS_MAX
        && !text.chars().any(|c| c.is_control() && c != '\n');
    match fits {
        true => Ok(text.to_owned()),
        false => Err(Error::new(
            Code::BadRequest,
            format!(
                "A reason is 1 to {REASON_CHARS_MAX} characters, no control characters: who reads it later has nothing else."
            ),
        )),
    }
}
