//! The layout of keys: what stands where in the two trees.
//!
//! ```text
//! record     tenant#entity#id
//! index row  tenant#entity@index#<v1>#<v2>#id      a unique index: without the id, which is the value
//! system     tenant#~key#..., tenant#~idem#..., tenant#~count#...
//! installed  ~#tenant#..., ~#key#..., ~#app#..., ~#expire#...
//! jobs       jobs.rs
//! ```
//!
//! Tenant keys are made only through [`TenantKeys`], which a service gets by
//! turning a caller into access to one tenant: code that could name another
//! tenant's key does not compile.

pub mod jobs;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::engine::{KEY_BYTES_MAX, Key, Tree};
use crate::{
    base::Instant,
    domain::{EntityName, IndexName, IndexValue, RecordId, TenantSlug},
};

/// Makes the keys of one tenant.
#[derive(Debug, Clone)]
pub struct TenantKeys {
    slug: Arc<str>,
}

/// What is counted of an entity's records in one tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// How many records.
    Records,
    /// Bytes of their keys and stored values.
    Bytes,
    /// Records whose id the client gave, or whose time does not agree with it.
    Given,
    /// Bytes of the values of archived records, as they are stored.
    Packed,
    /// Bytes of archived records' JSON before it was compressed.
    Json,
}

impl Counted {
    /// All of them.
    pub const ALL: [Counted; 5] = [
        Counted::Records,
        Counted::Bytes,
        Counted::Given,
        Counted::Packed,
        Counted::Json,
    ];

    fn name(self) -> &'static str {
        match self {
            Counted::Records => "records",
            Counted::Bytes => "bytes",
            Counted::Given => "given",
            Counted::Packed => "packed",
            Counted::Json => "json",
        }
    }
}

impl TenantKeys {
    /// The keys of `tenant`. Only for services that checked the caller, and for
    /// the installation's own background work.
    pub(crate) fn new(tenant: &TenantSlug) -> Self {
        Self {
            slug: tenant.as_str().into(),
        }
    }

    /// The tenant's slug.
    pub fn slug(&self) -> &str {
        &self.slug
    }

    /// The tenant's own row among the installation's.
    pub fn tenant_row(&self) -> Key {
        joined(&[TENANTS, &self.slug])
    }

    /// What every key of the tenant begins with.
    pub fn everything(&self) -> Key {
        joined(&[&self.slug, "#"])
    }

    /// A record.
    pub fn record(&self, entity: &EntityName, id: &RecordId) -> Key {
        joined(&[&self.slug, "#", entity.as_str(), "#", id.as_str()])
    }

    /// What every record of an entity begins with; the id follows.
    pub fn records(&self, entity: &EntityName) -> Key {
        joined(&[&self.slug, "#", entity.as_str(), "#"])
    }

    /// What every index row of an entity begins with.
    pub fn all_indexes(&self, entity: &EntityName) -> Key {
        joined(&[&self.slug, "#", entity.as_str(), "@"])
    }

    /// What every row of an index begins with; the values follow.
    pub fn index(&self, entity: &EntityName, index: &IndexName) -> Key {
        joined(&[&self.slug, "#", entity.as_str(), "@", index.as_str(), "#"])
    }

    /// A row of an index; `None` where it would be longer than a key may be.
    /// Rows of a unique index do not hold the id.
    pub fn index_row(
        &self,
        entity: &EntityName,
        index: &IndexName,
        values: &[IndexValue],
        id: Option<&RecordId>,
    ) -> Option<Key> {
        let mut key = self.index(entity, index).to_vec();
        append_values(&mut key, values);
        if let Some(id) = id {
            key.extend_from_slice(id.as_str().as_bytes());
        }
        (key.len() <= KEY_BYTES_MAX).then(|| key.into())
    }

    /// What every counter of an entity and its indexes begins with.
    pub fn counters(&self, entity: &EntityName) -> [Key; 2] {
        [
            joined(&[&self.slug, "#~count#", entity.as_str(), "#"]),
            joined(&[&self.slug, "#~count#", entity.as_str(), "@"]),
        ]
    }

    /// What every counter of the tenant begins with.
    pub fn all_counters(&self) -> Key {
        joined(&[&self.slug, "#~count#"])
    }

    /// A counter of an entity.
    pub fn count(&self, entity: &EntityName, tier: Tree, what: Counted) -> Key {
        let (tier, what) = (tier.name(), what.name());
        joined(&[
            &self.slug,
            "#~count#",
            entity.as_str(),
            "#",
            tier,
            "#",
            what,
        ])
    }

    /// What every counter of an index begins with.
    pub fn index_counters(&self, entity: &EntityName, index: &IndexName) -> Key {
        joined(&[
            &self.slug,
            "#~count#",
            entity.as_str(),
            "@",
            index.as_str(),
            "#",
        ])
    }

    /// What every counter of an index in one tier begins with; the values follow.
    pub fn tier_counters(&self, entity: &EntityName, index: &IndexName, tier: Tree) -> Key {
        joined(&[
            &self.slug,
            "#~count#",
            entity.as_str(),
            "@",
            index.as_str(),
            "#",
            tier.name(),
            "#",
        ])
    }

    /// The counter of an index for the values of all its fields but the last;
    /// `None` where its key would be longer than a key may be.
    pub fn count_index(
        &self,
        entity: &EntityName,
        index: &IndexName,
        tier: Tree,
        values: &[IndexValue],
    ) -> Option<Key> {
        let mut key = self.tier_counters(entity, index, tier).to_vec();
        append_values(&mut key, values);
        (key.len() <= KEY_BYTES_MAX).then(|| key.into())
    }

    /// A remembered answer to a request with an `Idempotency-Key`.
    pub fn idempotency(&self, hash: &str) -> Key {
        joined(&[&self.slug, "#~idem#", hash])
    }

    /// What a legal hold is, by its id.
    pub fn hold(&self, id: &str) -> Key {
        joined(&[&self.slug, "#~hold#", id])
    }

    /// A legal hold that was lifted; sorts by when.
    pub fn lifted_hold(&self, lifted_at: Instant, id: &str) -> Key {
        joined(&[&self.slug, "#~lifted#", &moment(lifted_at), "#", id])
    }

    /// What every lifted hold begins with.
    pub fn lifted_holds(&self) -> Key {
        joined(&[&self.slug, "#~lifted#"])
    }

    /// How many holds there are on the tenant as a whole.
    pub fn held_tenant(&self) -> Key {
        joined(&[&self.slug, "#~held#tenant"])
    }

    /// How many holds there are on an entity.
    pub fn held_entity(&self, entity: &EntityName) -> Key {
        joined(&[&self.slug, "#~held#entity#", entity.as_str()])
    }

    /// How many holds there are on a record.
    pub fn held_record(&self, entity: &EntityName, id: &RecordId) -> Key {
        let entity = entity.as_str();
        joined(&[&self.slug, "#~held#record#", entity, "#", id.as_str()])
    }

    /// What every number of holds on records of an entity begins with.
    pub fn held_records(&self, entity: &EntityName) -> Key {
        joined(&[&self.slug, "#~held#record#", entity.as_str(), "#"])
    }

    /// What every number of holds begins with.
    pub fn all_held(&self) -> Key {
        joined(&[&self.slug, "#~held#"])
    }

    /// How many holds there are of any kind.
    pub fn holds_count(&self) -> Key {
        joined(&[&self.slug, "#~held#all"])
    }

    /// A dictionary trained on the tenant's records of an entity.
    pub fn dictionary(&self, entity: &EntityName, id: u32) -> Key {
        let id = format!("{id:08x}");
        joined(&[&self.slug, "#~dict#", entity.as_str(), "#", &id])
    }

    /// What every dictionary trained on the tenant's records of an entity begins with.
    pub fn dictionaries(&self, entity: &EntityName) -> Key {
        joined(&[&self.slug, "#~dict#", entity.as_str(), "#"])
    }

    /// Which dictionary new records of an entity are compressed with.
    pub fn dictionary_now(&self, entity: &EntityName) -> Key {
        joined(&[&self.slug, "#~dictnow#", entity.as_str()])
    }

    /// What a purge erased; sorts by when it began.
    pub fn receipt(&self, at: Instant, entity: &EntityName) -> Key {
        let at = moment(at);
        joined(&[&self.slug, "#~receipt#", &at, "#", entity.as_str()])
    }

    /// What every receipt begins with.
    pub fn receipts(&self) -> Key {
        joined(&[&self.slug, "#~receipt#"])
    }

    /// What an API key is, by its id.
    pub fn api_key(&self, id: &str) -> Key {
        joined(&[&self.slug, "#~key#", id])
    }

    /// What every API key of the tenant begins with.
    pub fn api_keys(&self) -> Key {
        joined(&[&self.slug, "#~key#"])
    }
}

/// Every key is made of pieces put side by side, several for each request.
fn joined(pieces: &[&str]) -> Key {
    pieces.concat().into()
}

fn append_values(key: &mut Vec<u8>, values: &[IndexValue]) {
    for value in values {
        value.encode_into(key);
        key.push(b'#');
    }
}

/// The id at the end of a record's key or of a row of an index that is not
/// unique. No id holds a `#`.
pub fn last_segment(key: &[u8]) -> Option<RecordId> {
    RecordId::parse(std::str::from_utf8(last_bytes(key)?).ok()?).ok()
}

/// What stands where [`last_segment`] looks, whether or not it is an id.
pub fn last_bytes(key: &[u8]) -> Option<&[u8]> {
    let start = memchr::memrchr(b'#', key)? + 1;
    Some(&key[start..])
}

/// Fifteen digits, so that moments sort as numbers do.
fn moment(at: Instant) -> String {
    format!("{:015}", at.0.clamp(0, EXPIRY_MAX))
}

/// A dictionary made from an entity's schema, which holds nobody's data.
pub fn shared_dictionary(id: u32) -> Key {
    format!("{SHARED_DICTIONARIES}{id:08x}").into()
}

/// What every dictionary made from a schema begins with.
pub const SHARED_DICTIONARIES: &str = "~#dict#";

/// A tenant.
pub fn tenant(slug: &TenantSlug) -> Key {
    joined(&[TENANTS, slug.as_str()])
}

/// What every tenant's row begins with; the slug follows.
pub const TENANTS: &str = "~#tenant#";

/// How many tenants there are.
pub const TENANT_COUNT: &str = "~#count#tenants";

/// Whose an API key is, by the hex SHA-256 of its secret.
pub fn api_key_by_hash(hash: &str) -> Key {
    joined(&["~#key#", hash])
}

/// An operator, by email address in lower case.
pub fn operator(email: &str) -> Key {
    joined(&[OPERATORS, email])
}

/// What every operator's row begins with.
pub const OPERATORS: &str = "~#operator#";

/// A session, by the hex SHA-256 of its token.
pub fn session(hash: &str) -> Key {
    joined(&[SESSIONS, hash])
}

/// What every session's row begins with.
pub const SESSIONS: &str = "~#session#";

/// Which app file is applied, and the state of each index.
pub const APP_HEAD: &str = "~#app#head";

/// An applied version of the app file; sorts by number.
pub fn app_version(version: u64) -> Key {
    format!("~#app#version#{version:012}").into()
}

/// What every applied version begins with.
pub const APP_VERSIONS: &str = "~#app#version#";

/// How many legal holds were ever set, of all tenants.
pub const HOLDS_SET: &str = "~#holds#set";

/// The secret that signs cursors.
pub const CURSOR_SECRET: &str = "~#secret#cursor";

/// How far pieces of background work have come.
pub const WORK: &str = "~#work#";

/// How far a piece of background work has come.
pub fn work(name: &str) -> Key {
    format!("{WORK}{name}").into()
}

/// The order to remove `key` at a moment; the key to remove follows the moment.
pub fn expiry(at: Instant, key: &[u8]) -> Key {
    let mut row = expiry_bound(at).to_vec();
    row.extend_from_slice(key);
    row.into()
}

/// Sorts after every expiry before `at` and before those at it.
pub fn expiry_bound(at: Instant) -> Key {
    format!("{EXPIRIES}{:015}#", at.0.clamp(0, EXPIRY_MAX)).into()
}

/// The latest moment that fifteen digits hold, in the year 33658; a later one
/// expires then.
const EXPIRY_MAX: i64 = 999_999_999_999_999;

/// What every expiry begins with.
pub const EXPIRIES: &str = "~#expire#";

/// The key that an expiry row says to remove.
pub fn expiring_key(row: &Key) -> Option<Key> {
    let start = EXPIRIES.len() + 15 + 1;
    (row.len() > start).then(|| row.slice(start..))
}
