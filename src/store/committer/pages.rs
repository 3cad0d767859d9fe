//! The page cache: pages of index rows, never stale.
//!
//! A page is kept with the generation of its family, where that was even and the
//! same before and after the read; it is a hit while the family still has that
//! generation. Every write of the family moves the generation on, so a page of
//! rows lives until then: what many look at and few change is not read out of the
//! engine, row by row, each time.

use quick_cache::{Weighter, sync::Cache};

use super::generations::Generations;
use crate::store::engine::{Key, Page, Result, Scan};

/// Pages above this size are no first pages of lists; who walks through much is
/// not to push them out.
const PAGE_BYTES_MAX: usize = 16 << 10;
/// What a row takes besides its key and value, roughly.
const ROW_BYTES: usize = 64;
/// What a page takes besides its rows, roughly.
const PAGE_BYTES: usize = 256;

#[derive(Clone)]
struct Weight;

impl Weighter<Scan, (u64, Page)> for Weight {
    fn weight(&self, scan: &Scan, (_, page): &(u64, Page)) -> u64 {
        let bounds = [Some(&scan.start), scan.end.as_ref(), scan.after.as_ref()];
        let bounds: usize = bounds.into_iter().flatten().map(Key::len).sum();
        (bounds + PAGE_BYTES + bytes_of(page)) as u64
    }
}

fn bytes_of(page: &Page) -> usize {
    let rows = page.rows.iter();
    rows.map(|(key, value)| key.len() + value.len() + ROW_BYTES)
        .sum()
}

/// The cache.
pub struct PageCache(Cache<Scan, (u64, Page), Weight>);

impl PageCache {
    /// A cache of about `bytes`.
    pub fn new(bytes: u64) -> Self {
        let items = usize::try_from(bytes / 4096).unwrap_or(usize::MAX).max(16);
        Self(Cache::with_weighter(items, bytes, Weight))
    }

    /// The page of `scan`, from here or by `read`; whether it was here.
    pub fn get_or_read(
        &self,
        scan: &Scan,
        generations: &Generations,
        read: impl Fn(&Scan) -> Result<Page>,
    ) -> Result<(Page, bool)> {
        if !is_of_one_family(scan) {
            return Ok((read(scan)?, false));
        }
        let before = generations.of(&scan.start);
        if let Some((generation, page)) = self.0.get(scan)
            && generation == before
        {
            return Ok((page, true));
        }
        let page = read(scan)?;
        let settled = before.is_multiple_of(2) && generations.of(&scan.start) == before;
        if settled && bytes_of(&page) <= PAGE_BYTES_MAX {
            self.0.insert(owned(scan), (before, page.clone()));
        }
        Ok((page, false))
    }
}

/// Whether the range lies among the index rows of one family, so that one
/// generation tells of all of them.
fn is_of_one_family(scan: &Scan) -> bool {
    let family = Generations::family(&scan.start);
    let indexes = &scan.start[..scan.start.len().min(family.len() + 1)];
    let ends_there = |end: &Key| end.starts_with(indexes);
    indexes.ends_with(b"@") && scan.end.as_ref().is_some_and(ends_there)
}

/// The scan with bounds of its own, which may be parts of something larger.
fn owned(scan: &Scan) -> Scan {
    let copied = |key: &Key| Key::copy_from_slice(key);
    Scan {
        start: copied(&scan.start),
        end: scan.end.as_ref().map(copied),
        after: scan.after.as_ref().map(copied),
        ..*scan
    }
}
