//! A record on the wire. The client's JSON is spliced in as stored, never
//! parsed and printed again.

use crate::{
    domain::{RecordId, RecordMeta},
    store::Tree,
};

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
        let head = format!(
            "{{{first}\"id\":\"{}\",\"version\":{},\"created_at\":\"{}\",\"updated_at\":\"{}\",\"tier\":\"{}\",\"data\":",
            self.id,
            self.meta.version,
            self.meta.created_at.to_rfc3339(),
            self.meta.updated_at.to_rfc3339(),
            self.tier.name(),
        );
        out.reserve(head.len() + self.json.len() + 2);
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(&self.json);
        out.push(b'}');
    }
}
