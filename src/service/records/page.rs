//! A list's answer as it grows: records spliced in as they are stored, then what
//! the list cost.

use bytes::Bytes;
use serde_json::json;

use super::{RecordRef, candidates::Candidates};
use crate::store::Key;

/// Bytes of a read unit.
const READ_UNIT_BYTES: usize = 4096;

/// The answer as it grows.
pub(super) struct PageOut {
    /// The JSON so far.
    pub body: Vec<u8>,
    wanted: usize,
    /// Records in it.
    pub items: usize,
    /// Records looked at.
    pub records_read: usize,
    /// Bytes of records fetched through an index.
    pub bytes_read: usize,
    /// The last row that is done.
    pub last: Option<Key>,
}

impl PageOut {
    /// An empty answer, for at most `wanted` records.
    pub fn new(wanted: usize) -> Self {
        Self {
            wanted,
            body: br#"{"items":["#.to_vec(),
            items: 0,
            records_read: 0,
            bytes_read: 0,
            last: None,
        }
    }

    /// Adds a record unless the page is full of bytes; one always fits.
    pub fn push(&mut self, record: &RecordRef<'_>, bytes_max: usize) -> bool {
        let before = self.body.len();
        if self.items > 0 {
            self.body.push(b',');
        } else {
            // Records of one entity are of a size, so this is about the whole page.
            let records = record.rendered_bytes_max().saturating_mul(self.wanted);
            self.body.reserve(records.min(bytes_max));
        }
        record.render_into(&mut self.body);
        if self.items > 0 && self.body.len() > bytes_max {
            self.body.truncate(before);
            return false;
        }
        self.items += 1;
        true
    }

    /// The whole JSON. `explained` is the index's name, where the client asked.
    pub fn finish(
        mut self,
        rows: &Candidates<'_>,
        next: Option<String>,
        count: Option<u64>,
        explained: Option<&str>,
    ) -> Bytes {
        let bytes = self.bytes_read + rows.bytes_read;
        let units = bytes.div_ceil(READ_UNIT_BYTES).max(1);
        let mut rest = json!({"next_cursor": next, "units": {"read": units}});
        if let Some(count) = count {
            rest["count"] = json!(count);
        }
        if let Some(index) = explained {
            rest["explain"] = json!({
                "index": index,
                "keys_read": rows.keys_read,
                "records_read": self.records_read,
                "records_returned": self.items,
                "read_units": units,
            });
        }
        // The object's own braces go; its members follow the items.
        let rest = rest.to_string();
        self.body.extend_from_slice(b"],");
        self.body.extend_from_slice(&rest.as_bytes()[1..]);
        self.body.into()
    }
}
