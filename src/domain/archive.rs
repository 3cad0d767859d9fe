//! When an entity's records leave the hot tree, and when they go for good.
//!
//! A rule is a condition (fields with stated values), a timestamp and a duration
//! from it. What is due is found through an index of its own, which holds the
//! records that meet the condition and no others, by that timestamp:
//!
//! ```text
//! tenant#entity@archive_due#false#<timestamp>#id     as the record says
//! tenant#entity@archive_due#true#<until>#id          restored, to stay hot until then
//! ```

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    duration,
    entity::{Field, Index},
    names::{EntityName, IndexName},
    record::RecordMeta,
    value::{IndexValue, Kind},
};
use crate::base::Instant;

/// The name of the index that finds what is due.
pub const DUE_INDEX: &str = "archive_due";
/// How long a restored record stays hot where the rule does not say: 30 days.
pub const RESTORED_MS_DEFAULT: i64 = 30 * duration::DAY_MS;
/// The longest `after`, `purge_after` and `restored_for`: a hundred years.
pub const RULE_MS_MAX: i64 = 100 * duration::YEAR_MS;
/// How many fields `when` may have.
pub const WHEN_MAX: usize = 8;
/// How many entities `with` may name.
pub const WITH_MAX: usize = 8;

/// `[entity.X.archive]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveRule {
    /// The index that finds the records that meet the condition, by their time.
    pub due: Index,
    /// How long after that time a record leaves the hot tree, in milliseconds.
    pub after_ms: i64,
    /// How long after that time an archived record goes for good.
    pub purge_after_ms: Option<i64>,
    /// How long a restored record stays hot, in milliseconds.
    pub restored_ms: i64,
    /// What a write to an archived record does.
    pub on_write: OnWrite,
    /// Entities whose records go along with the one that they belong to.
    pub with: Vec<Child>,
}

/// What a write to an archived record does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnWrite {
    /// It is refused, and the problem names restoring.
    Refuse,
    /// The record is restored in the write's own commit.
    Restore,
}

/// Records of another entity that go along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// The entity.
    pub entity: EntityName,
    /// An index of it whose first field holds the parent's id.
    pub index: IndexName,
    /// That field.
    pub field: String,
}

/// The condition of a rule: fields and what they have to hold.
pub type When = Vec<(Field, IndexValue)>;

impl ArchiveRule {
    /// The time that the rule counts from.
    pub fn by(&self) -> &Field {
        // Made by `due_index`, which gives two fields.
        &self.due.fields[1]
    }

    /// The rule's durations for a tenant that may have its own.
    pub fn terms(&self, own: Option<&OwnTerms>) -> Terms {
        // Texts were checked when they were set.
        let after = own.and_then(|own| own.after.as_deref());
        let after_ms = after.and_then(parse_duration).unwrap_or(self.after_ms);
        let purge = match own.and_then(|own| own.purge_after.as_deref()) {
            None => self.purge_after_ms,
            Some(NEVER) => None,
            Some(text) => parse_duration(text).or(self.purge_after_ms),
        };
        Terms {
            after_ms,
            // What is not archived yet is not purged.
            purge_after_ms: purge.map(|purge| purge.max(after_ms)),
        }
    }
}

/// The index that a rule declares. Its first field tells restored records from others.
pub fn due_index(name: IndexName, when: When, by: Field) -> Index {
    let restored = Field {
        path: "restored".into(),
        kind: Kind::Bool,
        multi: false,
        system: None,
    };
    Index {
        name,
        fields: vec![restored, by],
        unique: false,
        count: false,
        when: Some(when),
    }
}

/// The values of a record's row in the index of a rule; `None` where the record does
/// not meet the condition or lacks the time.
pub(super) fn due_row(
    when: &When,
    by: &Field,
    meta: &RecordMeta,
    data: &serde_json::Value,
) -> Option<Vec<IndexValue>> {
    let meets = when
        .iter()
        .all(|(field, wanted)| field.values(meta, data).as_slice() == [wanted.clone()]);
    let at = by.values(meta, data).into_iter().next().filter(|_| meets)?;
    Some(match meta.restored_until {
        Some(until) => vec![IndexValue::Bool(true), IndexValue::from_instant(until)],
        None => vec![IndexValue::Bool(false), at],
    })
}

/// A rule's durations as they hold for one tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// How long after its time a record leaves the hot tree, in milliseconds.
    pub after_ms: i64,
    /// How long after its time it goes for good.
    pub purge_after_ms: Option<i64>,
}

/// What one tenant has instead of a rule's durations, as people write them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct OwnTerms {
    /// Instead of `after`, as in `30d`.
    pub after: Option<String>,
    /// Instead of `purge_after`; `never` keeps its records for good.
    pub purge_after: Option<String>,
}

/// `purge_after` of a tenant whose records are kept for good.
pub const NEVER: &str = "never";

/// What tenants have of their own, by entity.
pub type OwnRules = BTreeMap<EntityName, OwnTerms>;

/// A change of what a tenant has of its own, by entity and term; `None` goes back to
/// what is declared.
pub type OwnRulesChange = BTreeMap<String, Option<BTreeMap<String, Option<String>>>>;

impl OwnTerms {
    /// Whether nothing differs from what is declared.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A duration of a rule, as people write it.
pub fn parse_duration(text: &str) -> Option<i64> {
    duration::parse_up_to(text, RULE_MS_MAX)
}

/// Whether a record that has the time `at` is behind a duration by `now`.
pub fn is_past(at: Instant, ms: i64, now: Instant) -> bool {
    at.0.saturating_add(ms) <= now.0
}

/// The time that a record's rule counts from; `None` where the record does not meet
/// the condition. A restored record counts as any other here.
pub fn time_of(rule: &ArchiveRule, meta: &RecordMeta, data: &serde_json::Value) -> Option<Instant> {
    let when = rule.due.when.as_ref()?;
    let plain = RecordMeta {
        restored_until: None,
        ..*meta
    };
    let row = due_row(when, rule.by(), &plain, data)?;
    instant_of(row.last()?)
}

/// The moment of an index value, in milliseconds; what is finer is cut off.
pub fn instant_of(value: &IndexValue) -> Option<Instant> {
    match value {
        IndexValue::Instant { seconds, nanos } => {
            let ms = seconds.saturating_mul(1_000);
            Some(Instant(ms.saturating_add(i64::from(nanos / 1_000_000))))
        }
        _ => None,
    }
}
