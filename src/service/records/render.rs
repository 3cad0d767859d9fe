//! A record on the wire. The client's JSON is spliced in as stored, never
//! parsed and printed again.

use crate::{
    domain::{RecordId, RecordMeta},
    store::Tree,
};

/// The members beside a record's id and data: names, two timestamps, the longest
/// version and tier.
const MEMBERS_BYTES: usize = 192;

/// A record with its JSON, as read from the store or just written.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its id.
    pub id: RecordId,
    /// Its version and times.
    pub meta: RecordMeta,
    /// Where it lives.
    pub tier: Tree,
    /// The client's JSON.
    pub json: bytes::Bytes,
}

impl Record {
    /// Appends the record's JSON to `out`.
    pub fn render_into(&self, out: &mut Vec<u8>) {
        self.render_with(out, "");
    }

    /// Appends the record's JSON with its entity first, as a line of an export.
    pub fn render_export(&self, entity: &str, out: &mut Vec<u8>) {
        self.render_with(out, &format!("\"entity\":\"{entity}\","));
    }

    /// Ids, entities and timestamps hold nothing that JSON would escape.
    fn render_with(&self, out: &mut Vec<u8>, first: &str) {
        out.reserve(first.len() + self.rendered_bytes_max());
        let mut text = |parts: &[&str]| {
            for part in parts {
                out.extend_from_slice(part.as_bytes());
            }
        };
        let version = self.meta.version.to_string();
        let id = self.id.as_str();
        text(&["{", first, "\"id\":\"", id, "\",\"version\":", &version]);
        text(&[",\"created_at\":\""]);
        self.meta.created_at.write_rfc3339(out);
        out.extend_from_slice(b"\",\"updated_at\":\"");
        self.meta.updated_at.write_rfc3339(out);
        out.extend_from_slice(b"\",\"tier\":\"");
        out.extend_from_slice(self.tier.name().as_bytes());
        out.extend_from_slice(b"\",\"data\":");
        out.extend_from_slice(&self.json);
        out.push(b'}');
    }

    /// What is enough for the record's JSON, but for an export's first member.
    pub(super) fn rendered_bytes_max(&self) -> usize {
        self.id.as_str().len() + self.json.len() + MEMBERS_BYTES
    }
}
