//! A record's version and timestamps, and the ETag they make.

pub use super::json::{
    JSON_DEPTH_MAX, JsonProblem, merge_patch, minify, parse_object, parse_strict,
};
use crate::base::Instant;

/// The largest record that any entity may allow.
pub const RECORD_BYTES_MAX: usize = 400 * 1024;

/// What stands in front of a record's JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordMeta {
    /// Counts the writes of the record, from 1.
    pub version: u64,
    /// When it was made.
    pub created_at: Instant,
    /// When it was last written.
    pub updated_at: Instant,
    /// Drawn anew whenever a record is made, so that one deleted and made again
    /// under the same id is another one.
    pub incarnation: u64,
    /// It was restored from the archive and stays hot until then.
    pub restored_until: Option<Instant>,
}

/// The record's ETag, in its quotes.
pub fn etag(meta: &RecordMeta) -> String {
    format!("\"{}-{:016x}\"", meta.version, meta.incarnation)
}

/// The value of an `If-Match` or `If-None-Match` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EtagMatch {
    /// `*`: whatever is there.
    Any,
    /// A list of tags, as version and incarnation; those that are not ours match nothing
    /// and are left out.
    Tags(Vec<(u64, u64)>),
}

/// What servers and proxies append within the quotes when they compress an answer.
const SUFFIXES: [&str; 4] = ["gzip", "br", "zstd", "deflate"];

impl EtagMatch {
    /// Reads a header's value: `*` or a list of tags, weak ones and those of
    /// compressed answers included. The error says what was expected.
    pub fn parse(header: &str) -> Result<Self, String> {
        let header = header.trim();
        if header == "*" {
            return Ok(Self::Any);
        }
        let mut tags = Vec::new();
        let mut rest = header;
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            if rest.is_empty() {
                break;
            }
            let (tag, after) = next_tag(rest).ok_or("expected * or ETags in double quotes")?;
            tags.extend(read_tag(tag));
            rest = after.trim_start();
            if !rest.is_empty() && !rest.starts_with(',') {
                return Err("expected a comma between ETags".to_owned());
            }
        }
        if header.is_empty() {
            return Err("expected * or ETags in double quotes".to_owned());
        }
        Ok(Self::Tags(tags))
    }

    /// Whether the record is one of those named.
    pub fn matches(&self, meta: &RecordMeta) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(tags) => tags.contains(&(meta.version, meta.incarnation)),
        }
    }
}

/// What stands in the first tag's quotes, and what stands behind it. A tag
/// without quotes, as people type it in a shell, is taken up to the next comma.
fn next_tag(text: &str) -> Option<(&str, &str)> {
    let text = text.strip_prefix("W/").unwrap_or(text);
    match text.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"'),
        None => {
            let end = text.find(',').unwrap_or(text.len());
            let (tag, after) = text.split_at(end);
            (!tag.contains('"')).then(|| (tag.trim_end(), after))
        }
    }
}

fn read_tag(tag: &str) -> Option<(u64, u64)> {
    let (version, rest) = tag.split_once('-')?;
    let (incarnation, suffix) = rest.split_at_checked(16)?;
    let suffix = suffix.trim_start_matches(['-', ';']);
    let ours = rest.len() == 16 || SUFFIXES.contains(&suffix);
    let digits = version.bytes().all(|b| b.is_ascii_digit())
        && incarnation.bytes().all(|b| b.is_ascii_hexdigit());
    if !ours || !digits {
        return None;
    }
    Some((
        version.parse().ok()?,
        u64::from_str_radix(incarnation, 16).ok()?,
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const META: RecordMeta = RecordMeta {
        version: 12,
        created_at: Instant(0),
        updated_at: Instant(0),
        incarnation: 0xab,
        restored_until: None,
    };

    #[test]
    fn its_own_etag_matches_in_every_disguise() {
        assert_eq!(etag(&META), "\"12-00000000000000ab\"");
        for header in [
            "*",
            "\"12-00000000000000ab\"",
            "W/\"12-00000000000000ab\"",
            "\"x\", \"12-00000000000000ab\"",
            "\"12-00000000000000ab-gzip\"",
            "\"12-00000000000000ab--gzip\"",
            "\"12-00000000000000ab;br\"",
            "W/\"12-00000000000000ab-zstd\",\"1-0\"",
            "12-00000000000000ab",
        ] {
            assert!(EtagMatch::parse(header).unwrap().matches(&META), "{header}");
        }
    }

    #[test]
    fn others_do_not_match() {
        for header in [
            "\"11-00000000000000ab\"",
            "\"12-00000000000000ac\"",
            "\"12-00000000000000ab-other\"",
            "\"12-00000000000000ab0\"",
            "\"+12-00000000000000ab\"",
            "\"\"",
            "\"*\"",
        ] {
            assert!(
                !EtagMatch::parse(header).unwrap().matches(&META),
                "{header}"
            );
        }
        for bad in ["", "\"12", "\"1\" \"2\"", "a\"b\""] {
            assert!(EtagMatch::parse(bad).is_err(), "{bad}");
        }
    }
}
