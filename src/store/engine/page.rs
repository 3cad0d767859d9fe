//! What every engine's scan shares: the bounds of a scan and the caps of a page.

use std::ops::Bound;

use bytes::BytesMut;

use super::{Key, Order, Page, Result, Scan, Value};

impl Scan {
    /// The range to read, with `after` taken into account; `None` where it is empty.
    pub fn bounds(&self) -> Option<(Bound<Key>, Bound<Key>)> {
        let mut lower = Bound::Included(self.start.clone());
        let mut upper = self.end.clone().map_or(Bound::Unbounded, Bound::Excluded);
        match (&self.after, self.order) {
            (Some(after), Order::Ascending) if *after >= self.start => {
                lower = Bound::Excluded(after.clone());
            }
            (Some(after), Order::Descending) if self.end.as_ref().is_none_or(|end| after < end) => {
                upper = Bound::Excluded(after.clone());
            }
            _ => {}
        }
        let from = match &lower {
            Bound::Included(key) | Bound::Excluded(key) => key,
            Bound::Unbounded => return Some((lower, upper)),
        };
        let empty = match &upper {
            Bound::Excluded(to) | Bound::Included(to) => from >= to,
            Bound::Unbounded => false,
        };
        (!empty && self.limit > 0).then_some((lower, upper))
    }
}

/// The page of `scan` out of the rows within its bounds, in ascending order. `read`
/// gives a row's key and value, or nothing where it has gone meanwhile.
pub fn page_of<R, K: AsRef<[u8]>>(
    scan: &Scan,
    mut rows: impl DoubleEndedIterator<Item = R>,
    read: impl Fn(R) -> Result<Option<(K, Value)>>,
) -> Result<Page> {
    let mut page = PageBuilder::new(scan);
    loop {
        let row = match scan.order {
            Order::Ascending => rows.next(),
            Order::Descending => rows.next_back(),
        };
        let Some(row) = row else {
            return Ok(page.last());
        };
        if page.is_full() {
            return Ok(page.more());
        }
        if let Some((key, value)) = read(row)? {
            page.push_copied(key.as_ref(), value);
        }
    }
}

/// Gathers rows until a page is full.
pub struct PageBuilder {
    page: Page,
    /// Keys are copied next to each other.
    keys: BytesMut,
    limit: usize,
    bytes_left: usize,
}

impl PageBuilder {
    /// An empty page of `scan`.
    pub fn new(scan: &Scan) -> Self {
        let rows = Vec::with_capacity(scan.limit.min(512));
        Self {
            page: Page { rows, next: None },
            keys: BytesMut::new(),
            limit: scan.limit,
            bytes_left: scan.bytes_max,
        }
    }

    /// Whether no further row belongs on the page. The first row always does.
    pub fn is_full(&self) -> bool {
        !self.page.rows.is_empty() && (self.page.rows.len() >= self.limit || self.bytes_left == 0)
    }

    /// Adds a row with a copy of its key.
    pub fn push_copied(&mut self, key: &[u8], value: Value) {
        if self.keys.capacity() < key.len() {
            // Neighbours' keys are of a size, so this is about the rest of the page.
            let rows = self.page.rows.capacity() - self.page.rows.len();
            self.keys = BytesMut::with_capacity(key.len() * rows.max(1));
        }
        self.keys.extend_from_slice(key);
        let key = self.keys.split().freeze();
        self.push(key, value);
    }

    /// Adds a row.
    pub fn push(&mut self, key: Key, value: Value) {
        self.bytes_left = self.bytes_left.saturating_sub(key.len() + value.len());
        self.page.rows.push((key, value));
    }

    /// The page, where a further row was seen.
    pub fn more(mut self) -> Page {
        self.page.next = self.page.rows.last().map(|(key, _)| key.clone());
        self.page
    }

    /// The page, where the range ended.
    pub fn last(self) -> Page {
        self.page
    }
}
