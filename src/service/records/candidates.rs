//! The rows that a list goes through: one range of one tree, or of both merged by
//! key, read in small pages so that hardly more is read than is given.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::{
    domain::query::{Direction, KeyRange},
    service::Result,
    store::{Engine, Key, Order, Scan, Tree, Value},
};

/// Rows read at once. With the records fetched at once (see `list.rs`) this is
/// the constant by which a list may read more keys than it gives.
pub(super) const ROWS_AT_ONCE: usize = 64;

/// A row on its way into the list.
#[derive(Debug)]
pub(super) struct Candidate {
    pub tier: Tree,
    /// The whole key.
    pub key: Key,
    pub value: Value,
    /// The generation before the row was read.
    pub generation: Option<u64>,
}

/// How often rows of two trees are read again, until nothing was written meanwhile.
/// After that they are taken as they are: the hot tree's are read first, so what was
/// archived meanwhile is among them, but something that was restored may be missed.
const AGAIN_MAX: usize = 20;
const AGAIN: std::time::Duration = std::time::Duration::from_millis(1);

/// The rows of one tree.
struct Source {
    scan: Scan,
    rows: VecDeque<(Key, Value)>,
    /// The generation before the rows were read.
    generation: Option<u64>,
    ended: bool,
}

impl Source {
    /// Drops what was read beyond `last`, the last row that was taken.
    fn rewind(&mut self, last: Option<&Key>) {
        self.rows.clear();
        self.ended = false;
        self.scan.after = last.cloned();
    }
}

/// The rows of all trees asked for, in order.
pub(super) struct Candidates<'a> {
    engine: &'a dyn Engine,
    sources: Vec<Source>,
    descending: bool,
    /// Past which row the rest begins.
    last: Option<Key>,
    /// Rows read so far.
    pub keys_read: usize,
    /// Bytes of their keys and values.
    pub bytes_read: usize,
}

impl<'a> Candidates<'a> {
    /// The rows of `range` under `prefix`, past `after`.
    pub fn new(
        engine: &'a dyn Engine,
        tiers: &[Tree],
        prefix: &Key,
        range: &KeyRange,
        direction: Direction,
        after: Option<&[u8]>,
    ) -> Self {
        let under = |tail: &[u8]| Bytes::from([prefix, tail].concat());
        let end = match &range.end {
            Some(end) => Some(under(end)),
            None => crate::store::engine::prefix_end(prefix),
        };
        let order = match direction {
            Direction::Ascending => Order::Ascending,
            Direction::Descending => Order::Descending,
        };
        let source = |tree: &Tree| Source {
            scan: Scan {
                tree: *tree,
                start: under(&range.start),
                end: end.clone(),
                after: after.map(under),
                order,
                limit: 1,
                bytes_max: 0,
                values: true,
            },
            rows: VecDeque::new(),
            generation: None,
            ended: range.is_empty(),
        };
        Self {
            engine,
            sources: tiers.iter().map(source).collect(),
            descending: order == Order::Descending,
            last: after.map(under),
            keys_read: 0,
            bytes_read: 0,
        }
    }

    /// Takes the next row, where there is one. About `wanted` rows and `bytes_max`
    /// bytes are still needed.
    pub async fn next(&mut self, wanted: usize, bytes_max: usize) -> Result<Option<Candidate>> {
        self.fill_all(wanted, bytes_max).await?;
        Ok(self.take())
    }

    /// Whether there is a further row.
    pub async fn has_more(&mut self) -> Result<bool> {
        self.fill_all(1, 1).await?;
        Ok(self.first().is_some())
    }

    /// Takes the first row. A row under the same key in the other tree is the same
    /// record on its way between them.
    fn take(&mut self) -> Option<Candidate> {
        let number = self.first()?;
        let source = &mut self.sources[number];
        let (key, value) = source.rows.pop_front()?;
        self.last = Some(key.clone());
        let candidate = Candidate {
            tier: source.scan.tree,
            key,
            value,
            generation: source.generation,
        };
        for (_, source) in self
            .sources
            .iter_mut()
            .enumerate()
            .filter(|(n, _)| *n != number)
        {
            if source
                .rows
                .front()
                .is_some_and(|row| row.0 == candidate.key)
            {
                source.rows.pop_front();
            }
        }
        Some(candidate)
    }

    /// The number of the source whose row is next.
    fn first(&self) -> Option<usize> {
        let fronts = self.sources.iter().enumerate();
        let fronts = fronts.filter_map(|(n, source)| Some((n, &source.rows.front()?.0)));
        let first = match self.descending {
            // Of equal keys, the first tree's.
            true => fronts.rev().max_by(|a, b| a.1.cmp(b.1)),
            false => fronts.min_by(|a, b| a.1.cmp(b.1)),
        };
        first.map(|(number, _)| number)
    }

    /// Reads on where a tree's rows are used up. A record that moves between the reads
    /// of two trees could be in neither page, so both are of the same generation.
    async fn fill_all(&mut self, wanted: usize, bytes_max: usize) -> Result<()> {
        for again in 0..=AGAIN_MAX {
            let mut read = false;
            for number in 0..self.sources.len() {
                read |= self.fill(number, wanted, bytes_max).await?;
            }
            if !read || again == AGAIN_MAX || self.is_of_one_moment().await {
                return Ok(());
            }
            for source in &mut self.sources {
                source.rewind(self.last.as_ref());
            }
        }
        Ok(())
    }

    /// Whether nothing was written between the first read of these rows and now.
    async fn is_of_one_moment(&self) -> bool {
        let [first, .., last] = &self.sources[..] else {
            return true;
        };
        let now = self.engine.generation(&last.scan.start);
        if now.is_some_and(|now| now % 2 == 1) {
            // A group is being written, which takes as long as its sync.
            tokio::time::sleep(AGAIN).await;
            return false;
        }
        first.generation == now && last.generation == now
    }

    /// Whether the store was asked.
    async fn fill(&mut self, number: usize, wanted: usize, bytes_max: usize) -> Result<bool> {
        let source = &mut self.sources[number];
        if source.ended || !source.rows.is_empty() {
            return Ok(false);
        }
        source.scan.limit = wanted.clamp(1, ROWS_AT_ONCE);
        source.scan.bytes_max = bytes_max.max(1);
        source.generation = self.engine.generation(&source.scan.start);
        let page = self.engine.scan(&source.scan).await?;
        source.ended = page.next.is_none();
        source.scan.after = page.next;
        self.keys_read += page.rows.len();
        let bytes = |(key, value): &(Key, Value)| key.len() + value.len();
        self.bytes_read += page.rows.iter().map(bytes).sum::<usize>();
        source.rows = page.rows.into();
        Ok(true)
    }
}
