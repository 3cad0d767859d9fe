//! A client's JSON as bytes: checked strictly once, then cut and joined without
//! being printed again, so that numbers keep every digit they came with.

mod merge;

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

pub use merge::merge_patch;

/// How deep arrays and objects may nest.
pub const JSON_DEPTH_MAX: usize = 64;

/// Why bytes are not the JSON wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} (line {line}, column {column})")]
pub struct JsonProblem {
    /// What is wrong.
    pub message: String,
    /// The line, from 1; 0 where no place can be named.
    pub line: usize,
    /// The column, from 1; 0 where no place can be named.
    pub column: usize,
}

impl JsonProblem {
    fn nowhere(message: &str) -> Self {
        Self {
            message: message.to_owned(),
            line: 0,
            column: 0,
        }
    }
}

impl From<serde_json::Error> for JsonProblem {
    fn from(error: serde_json::Error) -> Self {
        let text = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        Self {
            message: text.strip_suffix(&place).unwrap_or(&text).to_owned(),
            line: error.line(),
            // A mistake right behind a line's end is told as standing at 0.
            column: error.column().max(error.line().min(1)),
        }
    }
}

/// Parses JSON, refusing what RFC 8259 leaves open: duplicate keys, nesting
/// beyond [`JSON_DEPTH_MAX`], numbers beyond a double, broken surrogates.
pub fn parse_strict(bytes: &[u8]) -> Result<Value, JsonProblem> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth: 0 }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// Like [`parse_strict`], for a document that has to be an object.
pub fn parse_object(bytes: &[u8]) -> Result<Value, JsonProblem> {
    let value = parse_strict(bytes)?;
    if value.is_object() {
        return Ok(value);
    }
    Err(JsonProblem {
        message: "expected a JSON object".to_owned(),
        line: 1,
        column: 1,
    })
}

#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl Strict {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        if self.depth == JSON_DEPTH_MAX {
            return Err(E::custom(format_args!(
                "nested deeper than {JSON_DEPTH_MAX} levels"
            )));
        }
        Ok(Self {
            depth: self.depth + 1,
        })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(serde_json::Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut members = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if members.contains_key(&key) {
                let shown: String = key.chars().take(80).collect();
                return Err(A::Error::custom(format_args!(
                    "the key \"{shown}\" stands twice"
                )));
            }
            members.insert(key, map.next_value_seed(inner)?);
        }
        Ok(Value::Object(members))
    }
}

/// Valid JSON without the whitespace between its tokens, which stay as they are.
pub fn minify(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let end = match byte {
            b' ' | b'\t' | b'\n' | b'\r' => {
                at += 1;
                continue;
            }
            b'"' => end_of_string(bytes, at).unwrap_or(bytes.len()),
            _ => at + 1,
        };
        out.extend_from_slice(&bytes[at..end]);
        at = end;
    }
    out
}

/// The place behind the string that begins at `at`.
fn end_of_string(bytes: &[u8], at: usize) -> Option<usize> {
    let mut place = at + 1;
    loop {
        match bytes.get(place)? {
            b'"' => return Some(place + 1),
            b'\\' => place += 2,
            _ => place += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn problem(text: &str) -> String {
        parse_strict(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn what_is_refused() {
        assert_eq!(
            problem("{\"a\":1,\n \"\\u0061\":2}"),
            "the key \"a\" stands twice (line 2, column 9)"
        );
        let deep = "[".repeat(JSON_DEPTH_MAX + 1) + &"]".repeat(JSON_DEPTH_MAX + 1);
        assert!(problem(&deep).starts_with("nested deeper than 64 levels"));
        for bad in [
            "",
            "{",
            "{}x",
            "1e999",
            "\"\\ud800\"",
            "nul",
            "{a:1}",
            "[1,]",
            "\u{feff}{}",
        ] {
            assert!(parse_strict(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(parse_strict(b"\"\xff\"").is_err());
        assert!(problem("\"a\n\"").ends_with("(line 2, column 1)"));
        assert!(parse_object(b"[1]").is_err());
    }

    #[test]
    fn whitespace_goes_except_in_strings() {
        let minified = minify(b" { \"a b\" : [ 1 , \"\\\" x\\\\\" ] ,\n\t\"c\" : null } ");
        assert_eq!(minified, b"{\"a b\":[1,\"\\\" x\\\\\"],\"c\":null}");
    }
}
