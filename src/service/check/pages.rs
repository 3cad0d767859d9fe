//! A range of keys, read row by row while memory holds one page.

use std::{collections::VecDeque, sync::Arc};

use crate::{
    service::Result,
    store::{Engine, Key, Scan, Value},
};

/// The rows of a range, in order.
pub(super) struct Pages {
    engine: Arc<dyn Engine>,
    scan: Scan,
    rows: VecDeque<(Key, Value)>,
    ended: bool,
    /// Rows read from the store so far.
    pub read: u64,
}

impl Pages {
    /// The rows that `scan` describes, of all pages.
    pub fn new(engine: &Arc<dyn Engine>, scan: Scan) -> Self {
        Self {
            engine: engine.clone(),
            scan,
            rows: VecDeque::new(),
            ended: false,
            read: 0,
        }
    }

    /// The next page; empty at the end.
    pub async fn page(&mut self) -> Result<Vec<(Key, Value)>> {
        while !self.ended && self.rows.is_empty() {
            self.fill().await?;
        }
        Ok(std::mem::take(&mut self.rows).into())
    }

    /// The next row.
    pub async fn next(&mut self) -> Result<Option<(Key, Value)>> {
        self.peek().await?;
        Ok(self.rows.pop_front())
    }

    /// The next row, which stays.
    pub async fn peek(&mut self) -> Result<Option<&(Key, Value)>> {
        while !self.ended && self.rows.is_empty() {
            self.fill().await?;
        }
        Ok(self.rows.front())
    }

    async fn fill(&mut self) -> Result<()> {
        let page = self.engine.scan(&self.scan).await?;
        self.read += page.rows.len() as u64;
        self.ended = page.next.is_none();
        self.scan.after = page.next;
        self.rows = page.rows.into();
        // Reads may be answered without ever waiting: let others have the thread.
        tokio::task::yield_now().await;
        Ok(())
    }
}
