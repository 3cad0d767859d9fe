//! The names that stand in keys: each is checked once, where it comes in, and is
//! cheap to clone. None of them can contain `#` or begin with `~`, which is what
//! keeps one tenant's keys apart from another's and from ours.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A name that breaks its rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is no {what}: {expected}")]
pub struct InvalidName {
    /// The text given, shortened.
    pub text: String,
    /// What it was to be: `tenant`, `entity name`, ...
    pub what: &'static str,
    /// The rule.
    pub expected: &'static str,
}

/// Refused texts are echoed, so they are cut at so many characters.
const ECHO_CHARS_MAX: usize = 80;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $expected:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, utoipa::ToSchema)]
        #[schema(value_type = String)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the text and takes it.
            pub fn parse(text: &str) -> Result<Self, InvalidName> {
                if Self::accepts(text) {
                    return Ok(Self(Arc::from(text)));
                }
                Err(InvalidName {
                    text: text.chars().take(ECHO_CHARS_MAX).collect(),
                    what: $what,
                    expected: $expected,
                })
            }

            /// Whether the text keeps the rule.
            pub fn accepts(text: &str) -> bool {
                let valid: fn(&str) -> bool = $valid;
                valid(text)
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::parse(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

name! {
    /// A tenant's id: a slug.
    TenantSlug, "tenant",
    "expected 1 to 63 of a-z, 0-9 and -, not beginning with -",
    |text| is_name(text, 63, |b| b.is_ascii_lowercase() || b.is_ascii_digit(),
        |b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

name! {
    /// The name of an entity, a kind of record.
    EntityName, "entity name",
    "expected 1 to 63 of a-z, 0-9 and _, beginning with a letter",
    is_identifier
}

name! {
    /// The name of a job.
    JobName, "job name",
    "expected 1 to 63 of a-z, 0-9, - and _, beginning with a letter",
    |text| is_name(text, 63, |b| b.is_ascii_lowercase(),
        |b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

name! {
    /// The name of an index, unique within its entity.
    IndexName, "index name",
    "expected 1 to 63 of a-z, 0-9 and _, beginning with a letter",
    is_identifier
}

name! {
    /// A record's id: made here, or given by the client.
    RecordId, "record id",
    "expected 1 to 128 of A-Z, a-z, 0-9, and . _ ~ -, but not . or .. alone",
    |text| {
        // Every HTTP client folds these two away, so such a record could not be reached.
        (1..=128).contains(&text.len())
            && text.bytes().all(|b| IN_RECORD_ID[usize::from(b)])
            && text != "."
            && text != ".."
    }
}

/// Which bytes a record's id may have; lists look at each one of every record.
const IN_RECORD_ID: [bool; 256] = {
    let mut allowed = [false; 256];
    let mut byte = 0;
    while byte < 128_u8 {
        allowed[byte as usize] =
            byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'~' | b'-');
        byte += 1;
    }
    allowed
};

fn is_name(text: &str, bytes_max: usize, first: fn(u8) -> bool, rest: fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    bytes.len() <= bytes_max
        && bytes.first().is_some_and(|b| first(*b))
        && bytes.iter().skip(1).all(|b| rest(*b))
}

fn is_identifier(text: &str) -> bool {
    is_name(
        text,
        63,
        |b| b.is_ascii_lowercase(),
        |b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_',
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn tenants() {
        for good in ["a", "acme", "acme-2", "0", "9-", &"x".repeat(63)] {
            assert_eq!(TenantSlug::parse(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "-a",
            "~",
            "A",
            "a#b",
            "a_b",
            "ä",
            "a b",
            &"x".repeat(64),
        ] {
            assert!(TenantSlug::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn entities_and_indexes() {
        assert!(EntityName::parse("ticket_2").is_ok());
        assert!(IndexName::parse("report").is_ok());
        for bad in ["", "_a", "2a", "a-b", "a@b", "~run", &"x".repeat(64)] {
            assert!(EntityName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn record_ids() {
        for good in ["1", "A.b_c~d-e", "...", &"x".repeat(128)] {
            assert!(RecordId::parse(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a#", "é", &"x".repeat(129)] {
            assert!(RecordId::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_read_from_json_is_checked() {
        assert!(serde_json::from_str::<EntityName>("\"ticket\"").is_ok());
        let error = serde_json::from_str::<EntityName>("\"Ticket\"").unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("\"Ticket\" is no entity name: expected")
        );
    }
}
