//! A record on the wire. The client's JSON is spliced in as stored, never
//! parsed and printed again.

use crate::{
    domain::{RecordId, RecordMeta},
    store::Tree,
};

/// The members beside a record's id and data: names, three timestamps, the longest
/// version and tier.
const MEMBERS_BYTES: usize = 256;
/// The digits of the largest version.
const VERSION_DIGITS_MAX: usize = 20;

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
    /// The record, borrowed.
    pub fn borrowed(&self) -> RecordRef<'_> {
        RecordRef {
            id: self.id.as_str(),
            meta: self.meta,
            tier: self.tier,
            json: &self.json,
        }
    }

    /// Appends the record's JSON to `out`.
    pub fn render_into(&self, out: &mut Vec<u8>) {
        self.borrowed().render_with(out, "");
    }

    /// Appends the record's JSON with its entity first, as a line of an export.
    pub fn render_export(&self, entity: &str, out: &mut Vec<u8>) {
        let first = format!("\"entity\":\"{entity}\",");
        self.borrowed().render_with(out, &first);
    }
}

/// A record where it lies, as a list finds it.
#[derive(Debug, Clone, Copy)]
pub struct RecordRef<'a> {
    /// Its id, which keeps the rule of one.
    pub id: &'a str,
    /// Its version and times.
    pub meta: RecordMeta,
    /// Where it lives.
    pub tier: Tree,
    /// The client's JSON.
    pub json: &'a [u8],
}

impl RecordRef<'_> {
    /// Appends the record's JSON to `out`.
    pub fn render_into(&self, out: &mut Vec<u8>) {
        self.render_with(out, "");
    }

    /// Ids, entities and timestamps hold nothing that JSON would escape.
    fn render_with(&self, out: &mut Vec<u8>, first: &str) {
        out.reserve(first.len() + self.rendered_bytes_max());
        out.push(b'{');
        out.extend_from_slice(first.as_bytes());
        out.extend_from_slice(b"\"id\":\"");
        out.extend_from_slice(self.id.as_bytes());
        out.extend_from_slice(b"\",\"version\":");
        write_number(self.meta.version, out);
        out.extend_from_slice(b",\"created_at\":\"");
        let created = out.len();
        self.meta.created_at.write_rfc3339(out);
        let created = created..out.len();
        out.extend_from_slice(b"\",\"updated_at\":\"");
        match self.meta.updated_at == self.meta.created_at {
            true => out.extend_from_within(created),
            false => self.meta.updated_at.write_rfc3339(out),
        }
        out.extend_from_slice(b"\",\"tier\":\"");
        out.extend_from_slice(self.tier.name().as_bytes());
        if let Some(until) = self.meta.restored_until {
            out.extend_from_slice(b"\",\"restored_until\":\"");
            until.write_rfc3339(out);
        }
        out.extend_from_slice(b"\",\"data\":");
        out.extend_from_slice(self.json);
        out.push(b'}');
    }

    /// What is enough for the record's JSON, but for an export's first member.
    pub(super) fn rendered_bytes_max(&self) -> usize {
        self.id.len() + self.json.len() + MEMBERS_BYTES
    }
}

/// Appends a number in decimal digits.
fn write_number(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; VERSION_DIGITS_MAX];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_whole() {
        for number in [0, 7, 10, 1_234_567_890, u64::MAX] {
            let mut out = Vec::new();
            write_number(number, &mut out);
            assert_eq!(out, number.to_string().into_bytes());
        }
    }
}
