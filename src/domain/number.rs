//! JSON numbers with one exact order over integers and floats.
//!
//! A double holds every integer only up to 2^53. A [`Number`] is therefore the
//! largest double that is not above it, and what is left: 9007199254740993 is
//! 9007199254740992 + 1 and stands between the two doubles around it.

use std::cmp::Ordering;
use std::fmt;

/// A number as it is indexed: `1`, `1.0` and `1e0` are the same one, and so are
/// `0` and `-0`.
#[derive(Debug, Clone, Copy)]
pub struct Number {
    /// The largest double not above the number; finite, never -0.
    floor: f64,
    /// The number minus `floor`; not 0 only for integers beyond 2^53, where
    /// neighbouring doubles are at most 2,048 apart.
    rest: u16,
}

/// The bytes of an encoded number.
pub const NUMBER_BYTES: usize = 10;

impl Number {
    /// A finite double; `None` for infinities and NaN.
    pub fn from_f64(value: f64) -> Option<Self> {
        // Adding 0.0 turns -0 into 0.
        value.is_finite().then_some(Self {
            floor: value + 0.0,
            rest: 0,
        })
    }

    /// Any number of JSON.
    pub fn from_json(number: &serde_json::Number) -> Option<Self> {
        if let Some(value) = number.as_i64() {
            Some(Self::from(value))
        } else if let Some(value) = number.as_u64() {
            Some(Self::from(value))
        } else {
            number.as_f64().and_then(Self::from_f64)
        }
    }

    /// Every integer that the two `From`s give lies within i64 and u64.
    fn from_integer(value: i128) -> Self {
        let nearest = value as f64;
        let floor = if nearest as i128 > value {
            nearest.next_down()
        } else {
            nearest
        };
        Self {
            floor,
            rest: (value - floor as i128) as u16,
        }
    }

    /// Ten bytes whose order is the numbers' order.
    pub fn to_bytes(self) -> [u8; NUMBER_BYTES] {
        let bits = self.floor.to_bits();
        // Negative doubles order backwards by their bits: flip them all; positive
        // ones only leave the sign's side.
        let ordered = if bits >> 63 == 1 {
            !bits
        } else {
            bits | 1 << 63
        };
        let mut bytes = [0; NUMBER_BYTES];
        bytes[..8].copy_from_slice(&ordered.to_be_bytes());
        bytes[8..].copy_from_slice(&self.rest.to_be_bytes());
        bytes
    }

    /// The number that [`Number::to_bytes`] wrote; `None` for other bytes.
    pub fn from_bytes(bytes: [u8; NUMBER_BYTES]) -> Option<Self> {
        let (head, tail) = bytes.split_at(8);
        let ordered = u64::from_be_bytes(head.try_into().ok()?);
        let bits = if ordered >> 63 == 1 {
            ordered & !(1 << 63)
        } else {
            !ordered
        };
        let rest = u16::from_be_bytes(tail.try_into().ok()?);
        let number = Self {
            floor: f64::from_bits(bits),
            rest,
        };
        let canonical = number.floor.is_finite() && bits != 1 << 63;
        let integer = rest == 0 || Self::from_integer(number.integer()?) == number;
        (canonical && integer).then_some(number)
    }

    /// The number as an integer, where it is one within i64 or u64.
    fn integer(self) -> Option<i128> {
        let whole = self.floor.trunc() == self.floor && self.floor.abs() < 1e20;
        // Beyond that the cast would saturate.
        let value = whole.then(|| self.floor as i128 + i128::from(self.rest))?;
        let range = i128::from(i64::MIN)..=i128::from(u64::MAX);
        range.contains(&value).then_some(value)
    }

    /// The number for JSON, whole numbers as integers.
    pub fn to_json(self) -> serde_json::Value {
        let integer = self.integer().and_then(|value| {
            let signed = i64::try_from(value).map(serde_json::Number::from);
            signed
                .or_else(|_| u64::try_from(value).map(Into::into))
                .ok()
        });
        let number = integer.or_else(|| serde_json::Number::from_f64(self.floor));
        number.map_or(serde_json::Value::Null, serde_json::Value::Number)
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self::from_integer(value.into())
    }
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self::from_integer(value.into())
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        self.floor
            .total_cmp(&other.floor)
            .then(self.rest.cmp(&other.rest))
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Number {}

impl std::hash::Hash for Number {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.to_bytes().hash(state);
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_json().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn number(text: &str) -> Number {
        Number::from_json(&serde_json::from_str(text).unwrap()).unwrap()
    }

    #[test]
    fn one_order_for_integers_and_floats() {
        let ordered = [
            "-1.7976931348623157e308",
            "-9223372036854775808",
            "-9223372036854775807",
            "-9007199254740993",
            "-9007199254740992.0",
            "-1.5",
            "-1",
            "-5e-324",
            "0",
            "5e-324",
            "0.1",
            "1",
            "1.5",
            "9007199254740992",
            "9007199254740993",
            "9007199254740994.0",
            "9223372036854775807",
            "9223372036854775808.0",
            "9223372036854775809",
            "18446744073709551615",
            "18446744073709551616",
            "1e300",
        ];
        for pair in ordered.windows(2) {
            let (low, high) = (number(pair[0]), number(pair[1]));
            assert!(low < high, "{} < {}", pair[0], pair[1]);
            assert!(
                low.to_bytes() < high.to_bytes(),
                "{} < {}",
                pair[0],
                pair[1]
            );
        }
        for text in ordered {
            assert_eq!(
                Number::from_bytes(number(text).to_bytes()),
                Some(number(text))
            );
        }
    }

    #[test]
    fn one_number_however_it_is_written() {
        assert_eq!(number("1").to_bytes(), number("1.0").to_bytes());
        assert_eq!(number("-0.0").to_bytes(), number("0").to_bytes());
        assert_eq!(number("9007199254740993").to_string(), "9007199254740993");
        assert_eq!(number("1e2").to_string(), "100");
        assert_eq!(number("0.5").to_string(), "0.5");
        assert_eq!(Number::from_f64(f64::NAN), None);
    }

    #[test]
    fn bytes_that_no_number_has() {
        assert_eq!(Number::from_bytes([200, 0, 0, 0, 0, 0, 0, 0, 0, 1]), None);
        assert_eq!(Number::from_bytes([0xff; 10]), None);
        let mut fraction = number("0.5").to_bytes();
        fraction[9] = 1;
        assert_eq!(Number::from_bytes(fraction), None);
    }
}
