//! Ranges of rows, as bytes. Every value in a row is followed by `#`, so the rows
//! of a value `v` are those that begin with `enc(v)#`; all smaller values' rows
//! stand before `enc(v)`, and all greater ones' behind `enc(v)#`.

use crate::domain::value::{IndexValue, SEPARATOR, text_prefix_bytes};

/// `start <= key < end`, relative to a prefix that the caller puts before both.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyRange {
    /// The first key, inclusive.
    pub start: Vec<u8>,
    /// The end, exclusive; `None` is the end of everything under the prefix.
    pub end: Option<Vec<u8>>,
}

impl KeyRange {
    /// Whether no key can lie in it.
    pub fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }

    /// Whether `key`, without the caller's prefix, lies in it.
    pub fn contains(&self, key: &[u8]) -> bool {
        *self.start <= *key && self.end.as_ref().is_none_or(|end| key < &**end)
    }

    /// All keys that begin with `head`.
    pub(super) fn under(head: Vec<u8>) -> Self {
        Self {
            end: after(&head),
            start: head,
        }
    }

    /// The part of the range from `start` on.
    pub(super) fn from(&mut self, start: Vec<u8>) {
        self.start = start.max(std::mem::take(&mut self.start));
    }

    /// The part of the range before `end`.
    pub(super) fn until(&mut self, end: Option<Vec<u8>>) {
        self.end = match (self.end.take(), end) {
            (Some(old), Some(new)) => Some(old.min(new)),
            (old, new) => old.or(new),
        };
    }

    /// A range that no key lies in.
    pub(super) fn nothing() -> Self {
        Self {
            start: Vec::new(),
            end: Some(Vec::new()),
        }
    }
}

/// The first key behind all that begin with `head`.
fn after(head: &[u8]) -> Option<Vec<u8>> {
    let last = head.iter().rposition(|b| *b != 0xff)?;
    let mut end = head[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

/// One side of a range over a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Edge<V> {
    Above(V),
    From(V),
    Below(V),
    UpTo(V),
    Prefix(String),
}

/// The rows that begin with `head` and whose next value lies within `edges`.
pub(super) fn of_values(head: &[u8], edges: &[Edge<IndexValue>]) -> KeyRange {
    let mut range = KeyRange::under(head.to_vec());
    let with = |value: &IndexValue| {
        let mut key = head.to_vec();
        value.encode_into(&mut key);
        key
    };
    let rows_of = |value: &IndexValue| {
        let mut key = with(value);
        key.push(SEPARATOR);
        key
    };
    for edge in edges {
        match edge {
            Edge::From(value) => range.from(rows_of(value)),
            Edge::Above(value) => range.from(after(&rows_of(value)).unwrap_or_default()),
            Edge::Below(value) => range.until(Some(rows_of(value))),
            Edge::UpTo(value) => range.until(after(&rows_of(value))),
            Edge::Prefix(prefix) => {
                let mut key = head.to_vec();
                key.extend(text_prefix_bytes(prefix));
                range.until(after(&key));
                range.from(key);
            }
        }
    }
    range
}

/// The rows that begin with `head`, followed by an id within `edges`.
pub(super) fn of_ids(head: &[u8], edges: &[Edge<String>]) -> KeyRange {
    let mut range = KeyRange::under(head.to_vec());
    if head.is_empty() {
        range = KeyRange::default();
    }
    let join = |id: &str| [head, id.as_bytes()].concat();
    // The smallest key greater than an id is that id and a zero byte.
    let behind = |id: &str| [head, id.as_bytes(), &[0]].concat();
    for edge in edges {
        match edge {
            Edge::From(id) => range.from(join(id)),
            Edge::Above(id) => range.from(behind(id)),
            Edge::Below(id) => range.until(Some(join(id))),
            Edge::UpTo(id) => range.until(Some(behind(id))),
            Edge::Prefix(prefix) => {
                range.until(after(&join(prefix)));
                range.from(join(prefix));
            }
        }
    }
    range
}
