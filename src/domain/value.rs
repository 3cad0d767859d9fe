//! The values in index rows and their bytes: byte order equals value order, and
//! no value can cross a segment boundary.
//!
//! A value is a tag and a payload that is either of a fixed length or escaped and
//! terminated low (a zero byte within a string is written `00 FF`, the end of the
//! string `00`), so a payload may contain `#` and still be told from the `#`
//! behind it. "a" sorts before "a b", which a bare `#` as terminator would break.

use chrono::{DateTime, NaiveDate, NaiveTime};
use serde_json::Value;

use super::number::{NUMBER_BYTES, Number};

/// The longest string, in bytes, that an index takes.
pub const TEXT_BYTES_MAX: usize = 512;

/// What kind of values a field has, by the entity's schema.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// `true` and `false`.
    Bool,
    /// Integers and floats.
    Number,
    /// A `date-time` or `date`, ordered by the moment it names.
    Instant,
    /// Strings, ordered by code point, and whatever the schema does not type.
    Text,
}

impl Kind {
    /// The kind's name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Bool => "boolean",
            Kind::Number => "number",
            Kind::Instant => "date-time",
            Kind::Text => "string",
        }
    }
}

/// One field's value as it stands in an index row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IndexValue {
    /// A boolean; false before true.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A moment, whatever zone it was written in.
    Instant {
        /// Whole seconds since the Unix epoch.
        seconds: i64,
        /// Nanoseconds within the second (beyond 999,999,999 in a leap second).
        nanos: u32,
    },
    /// A string.
    Text(String),
}

const TAG_BOOL: u8 = b'b';
const TAG_NUMBER: u8 = b'n';
const TAG_TEXT: u8 = b's';
const TAG_INSTANT: u8 = b't';
const INSTANT_BYTES: usize = 12;
/// What stands behind every value in a key.
pub const SEPARATOR: u8 = b'#';

impl IndexValue {
    /// Appends the value's bytes.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        match self {
            IndexValue::Bool(value) => out.extend([TAG_BOOL, u8::from(*value)]),
            IndexValue::Number(value) => {
                out.push(TAG_NUMBER);
                out.extend(value.to_bytes());
            }
            IndexValue::Instant { seconds, nanos } => {
                out.push(TAG_INSTANT);
                // Flipping the sign puts the negative ones first.
                out.extend((*seconds as u64 ^ 1 << 63).to_be_bytes());
                out.extend(nanos.to_be_bytes());
            }
            IndexValue::Text(value) => {
                push_text(value, out);
                out.push(0);
            }
        }
    }

    /// Reads the value at the beginning of `bytes`, and how many bytes it took.
    pub fn decode(bytes: &[u8]) -> Option<(IndexValue, usize)> {
        let (tag, payload) = bytes.split_first()?;
        match *tag {
            TAG_BOOL => match payload.first()? {
                0 => Some((IndexValue::Bool(false), 2)),
                1 => Some((IndexValue::Bool(true), 2)),
                _ => None,
            },
            TAG_NUMBER => {
                let number = Number::from_bytes(*payload.first_chunk::<NUMBER_BYTES>()?)?;
                Some((IndexValue::Number(number), 1 + NUMBER_BYTES))
            }
            TAG_INSTANT => {
                let seconds = u64::from_be_bytes(*payload.first_chunk()?) ^ 1 << 63;
                let nanos = u32::from_be_bytes(*payload[8..].first_chunk()?);
                let value = IndexValue::Instant {
                    seconds: seconds as i64,
                    nanos,
                };
                Some((value, 1 + INSTANT_BYTES))
            }
            TAG_TEXT => take_text(payload).map(|(text, used)| (IndexValue::Text(text), 1 + used)),
            _ => None,
        }
    }

    /// The value of a record's field; `None` where the record is to be left out of
    /// the index: a null, or something that is not of the field's kind.
    pub fn from_json(kind: Kind, value: &Value) -> Option<IndexValue> {
        match (kind, value) {
            (Kind::Bool, Value::Bool(value)) => Some(IndexValue::Bool(*value)),
            (Kind::Number, Value::Number(value)) => Number::from_json(value).map(Self::Number),
            (Kind::Instant, Value::String(text)) => parse_instant(text),
            (Kind::Text, Value::String(text)) => Some(IndexValue::Text(text.clone())),
            // Only a field that the schema does not type comes here.
            (Kind::Text, Value::Bool(_) | Value::Number(_)) => {
                Some(IndexValue::Text(value.to_string()))
            }
            _ => None,
        }
    }

    /// The value of a query's parameter; the error says what was expected.
    pub fn from_query(kind: Kind, text: &str) -> Result<IndexValue, String> {
        match kind {
            Kind::Bool => match text {
                "true" => Ok(IndexValue::Bool(true)),
                "false" => Ok(IndexValue::Bool(false)),
                _ => Err("expected true or false".to_owned()),
            },
            Kind::Number => serde_json::from_str(text)
                .ok()
                .and_then(|number| Number::from_json(&number))
                .map(IndexValue::Number)
                .ok_or_else(|| "expected a number, as in 12 or -0.5".to_owned()),
            Kind::Instant => parse_instant(text).ok_or_else(|| {
                "expected a date (2026-01-31, midnight UTC) or an RFC 3339 date-time \
                 (2026-01-31T08:30:00Z; a + in its offset is %2B in a URL)"
                    .to_owned()
            }),
            Kind::Text if text.len() > TEXT_BYTES_MAX => Err(format!(
                "is {} bytes long; an index takes strings of up to {TEXT_BYTES_MAX} bytes",
                text.len()
            )),
            Kind::Text => Ok(IndexValue::Text(text.to_owned())),
        }
    }

    /// A timestamp that Tenantry made.
    pub fn from_instant(at: crate::base::Instant) -> IndexValue {
        IndexValue::Instant {
            seconds: at.0.div_euclid(1000),
            nanos: at.0.rem_euclid(1000) as u32 * 1_000_000,
        }
    }
}

/// The bytes with which every string begins, encoded, that begins with `prefix`.
pub fn text_prefix_bytes(prefix: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(prefix.len() + 2);
    push_text(prefix, &mut out);
    out
}

/// The values of one index row as they stand in its key: each with `#` behind it.
pub fn encode_values(values: &[IndexValue]) -> Vec<u8> {
    let mut out = Vec::new();
    for value in values {
        value.encode_into(&mut out);
        out.push(SEPARATOR);
    }
    out
}

/// Reads `count` values that [`encode_values`] wrote, and what stands behind them.
pub fn decode_values(mut bytes: &[u8], count: usize) -> Option<(Vec<IndexValue>, &[u8])> {
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        let (value, used) = IndexValue::decode(bytes)?;
        bytes = bytes.get(used..)?.strip_prefix(&[SEPARATOR])?;
        values.push(value);
    }
    Some((values, bytes))
}

fn push_text(text: &str, out: &mut Vec<u8>) {
    out.push(TAG_TEXT);
    for byte in text.bytes() {
        out.push(byte);
        if byte == 0 {
            out.push(0xff);
        }
    }
}

/// The string and how many bytes it took, its terminator included.
fn take_text(bytes: &[u8]) -> Option<(String, usize)> {
    let mut text = Vec::new();
    let mut at = 0;
    loop {
        match (*bytes.get(at)?, bytes.get(at + 1)) {
            (0, Some(0xff)) => {
                text.push(0);
                at += 2;
            }
            (0, _) => return Some((String::from_utf8(text).ok()?, at + 1)),
            (byte, _) => {
                text.push(byte);
                at += 1;
            }
        }
    }
}

/// RFC 3339 with any offset, or a date alone, which is midnight UTC.
fn parse_instant(text: &str) -> Option<IndexValue> {
    let at = match DateTime::parse_from_rfc3339(text) {
        Ok(at) => at.to_utc(),
        Err(_) => {
            let dashes = text.len() == 10
                && text.bytes().enumerate().all(|(i, b)| {
                    if i == 4 || i == 7 {
                        b == b'-'
                    } else {
                        b.is_ascii_digit()
                    }
                });
            let date = dashes.then(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok())??;
            date.and_time(NaiveTime::MIN).and_utc()
        }
    };
    Some(IndexValue::Instant {
        seconds: at.timestamp(),
        nanos: at.timestamp_subsec_nanos(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn instant(text: &str) -> IndexValue {
        IndexValue::from_query(Kind::Instant, text).unwrap()
    }

    #[test]
    fn a_moment_is_one_value_in_every_zone() {
        let noon = instant("2026-01-31T12:00:00Z");
        assert_eq!(instant("2026-01-31T13:00:00+01:00"), noon);
        assert_eq!(instant("2026-01-31t12:00:00.000000000z"), noon);
        assert_eq!(instant("2026-01-31"), instant("2026-01-31T00:00:00Z"));
        assert!(instant("2026-01-31T12:00:00.000000001Z") > noon);
        assert!(instant("0000-01-01") < instant("1969-12-31T23:59:59Z"));
        assert!(instant("9999-12-31T23:59:59.999999999Z") > noon);
        assert!(instant("2016-12-31T23:59:60.5Z") > instant("2016-12-31T23:59:59.9Z"));
        assert!(instant("2016-12-31T23:59:60.5Z") < instant("2017-01-01"));
    }

    #[test]
    fn what_is_no_moment() {
        for bad in [
            "",
            "2026",
            "2026-1-31",
            "2026-02-30",
            "2026-01-31T12:00",
            "12:00:00Z",
            "+2026-01-3",
        ] {
            assert!(IndexValue::from_query(Kind::Instant, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn values_of_an_untyped_field() {
        let text = |value| IndexValue::from_json(Kind::Text, &value);
        assert_eq!(text(json!(1.5)), Some(IndexValue::Text("1.5".into())));
        assert_eq!(text(json!(true)), Some(IndexValue::Text("true".into())));
        assert_eq!(text(json!(null)), None);
        assert_eq!(text(json!({"a": 1})), None);
        assert_eq!(IndexValue::from_json(Kind::Number, &json!("1")), None);
    }

    #[test]
    fn a_shorter_string_sorts_first_and_no_separator_misleads() {
        let ordered = [
            "", "\0", "\0a", "a", "a\0", "a\0#", "a\u{1}", "a b", "a#", "a#b", "ab",
        ];
        let rows: Vec<Vec<u8>> = ordered
            .iter()
            .map(|text| encode_values(&[IndexValue::Text((*text).to_owned())]))
            .collect();
        assert!(rows.is_sorted());
        for (row, text) in rows.iter().zip(ordered) {
            let (values, rest) = decode_values(row, 1).unwrap();
            assert_eq!(
                (values, rest),
                (vec![IndexValue::Text(text.into())], &b""[..])
            );
        }
    }

    #[test]
    fn damaged_bytes_are_no_value() {
        for bad in [
            &b""[..],
            b"b",
            b"b\x02",
            b"n123",
            b"sabc",
            b"s\xff\x00",
            b"x1",
            b"t123",
        ] {
            assert_eq!(IndexValue::decode(bad), None, "{bad:?}");
        }
    }
}
