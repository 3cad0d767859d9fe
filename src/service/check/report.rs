//! What a check found.

use serde::Serialize;
use utoipa::ToSchema;

/// Problems that a report lists; beyond them they are only counted.
const PROBLEMS_MAX: usize = 1_000;

/// What a check read and found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct CheckReport {
    /// Keys read, of both trees.
    pub keys: u64,
    /// Records among them.
    pub records: u64,
    /// Index rows among them.
    pub index_rows: u64,
    /// Counters among them.
    pub counters: u64,
    /// What is wrong, the first 1,000.
    pub problems: Vec<Problem>,
    /// How many problems there are, listed or not.
    pub problems_total: u64,
    /// How many of them were repaired.
    pub repaired: u64,
    /// Places that looked wrong and were written to so often that no second look
    /// could be had; check again when less is written.
    pub unsettled: u64,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// What kind of thing.
    pub kind: Kind,
    /// The key, bytes beyond printable ASCII escaped; empty where it is about no key.
    pub key: String,
    /// What is wrong with it.
    pub detail: String,
    /// Whether it was repaired.
    pub repaired: bool,
}

/// Kinds of problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ProblemKind)]
pub enum Kind {
    /// The engine's own files.
    Engine,
    /// A record that cannot be read, or stands in both trees. Not repaired.
    Record,
    /// A record that no longer fits its schema; asked for with `schema`. Not repaired.
    Schema,
    /// An index row that is missing, without its record, or wrong.
    IndexRow,
    /// Two records with the same values in a unique index. Not repaired.
    Unique,
    /// A counter that differs from a recount.
    Counter,
    /// Rows of an entity or an index that no app file declares. Records are never removed.
    Undeclared,
    /// Rows of a tenant that does not exist. Not repaired.
    Orphan,
    /// One of the system's own rows that cannot be read. Not repaired.
    System,
    /// A key that means nothing. Not repaired.
    UnknownKey,
}

impl CheckReport {
    /// Adds a problem that stays.
    pub(super) fn add(&mut self, kind: Kind, key: &[u8], detail: impl Into<String>) {
        self.push(kind, key, detail.into(), false);
    }

    /// Adds a problem that may have been repaired.
    pub(super) fn push(&mut self, kind: Kind, key: &[u8], detail: String, repaired: bool) {
        self.problems_total += 1;
        self.repaired += u64::from(repaired);
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(Problem {
                kind,
                key: key.escape_ascii().to_string(),
                detail,
                repaired,
            });
        }
    }
}
