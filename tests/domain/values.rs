//! Byte order equals value order, and what is encoded comes back.

use proptest::prelude::*;
use std::cmp::Ordering;
use tenantry::domain::value::{IndexValue, Kind, decode_values, encode_values};

/// Any number of JSON, many of them near the edges where doubles get coarse.
pub fn json_number() -> impl Strategy<Value = serde_json::Number> {
    let near = |middle: i128| {
        (-3_i128..=3)
            .prop_map(move |off| middle + off)
            .prop_filter_map("fits", |value| {
                i64::try_from(value)
                    .map(serde_json::Number::from)
                    .or_else(|_| u64::try_from(value).map(Into::into))
                    .ok()
            })
    };
    prop_oneof![
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        (-5_i64..5).prop_map(Into::into),
        any::<f64>().prop_filter_map("finite", serde_json::Number::from_f64),
        (-5_i64..5).prop_filter_map("finite", |n| serde_json::Number::from_f64(n as f64 / 2.0)),
        (52_u32..64).prop_flat_map(move |bits| near(1_i128 << bits)),
        (52_u32..64).prop_flat_map(move |bits| near(-(1_i128 << bits))),
        (52_i32..64).prop_filter_map("finite", |bits| serde_json::Number::from_f64(
            2_f64.powi(bits)
        )),
    ]
}

/// The exact order of two numbers, by another way than the code's.
fn exact_cmp(a: &serde_json::Number, b: &serde_json::Number) -> Ordering {
    fn integer(n: &serde_json::Number) -> Option<i128> {
        n.as_i64()
            .map(i128::from)
            .or_else(|| n.as_u64().map(i128::from))
            .or_else(|| {
                n.as_f64()
                    .filter(|f| f.trunc() == *f && f.abs() < 1e30)
                    .map(|f| f as i128)
            })
    }
    match (integer(a), integer(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        // A float with a fraction or beyond 1e30: its floor decides against any integer.
        (Some(a), None) => against(a, b.as_f64().unwrap()),
        (None, Some(b)) => against(b, a.as_f64().unwrap()).reverse(),
        (None, None) => a
            .as_f64()
            .unwrap()
            .partial_cmp(&b.as_f64().unwrap())
            .unwrap(),
    }
}

fn against(integer: i128, float: f64) -> Ordering {
    if float.abs() >= 1e30 {
        return 0.0.partial_cmp(&float).unwrap();
    }
    // Floats with a fraction are below 2^53, so the floor is exact.
    match integer.cmp(&(float.floor() as i128)) {
        Ordering::Equal => Ordering::Less,
        other => other,
    }
}

/// Strings full of what could break a key.
pub fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::collection::vec(
            prop_oneof![
                Just('\0'),
                Just('\u{1}'),
                Just('#'),
                Just('a'),
                Just('b'),
                Just(' '),
                Just('"'),
                Just('$'),
                Just('\u{ff}'),
                Just('\u{10ffff}'),
                any::<char>(),
            ],
            0..6,
        )
        .prop_map(|chars| chars.into_iter().collect()),
        "[a-c]{0,3}",
    ]
}

/// RFC 3339 in all its spellings, and dates alone.
pub fn instant_text() -> impl Strategy<Value = String> {
    let offset = prop_oneof![
        Just("Z".to_owned()),
        Just("z".to_owned()),
        (0..24, 0..60, prop::bool::ANY)
            .prop_map(|(h, m, plus)| format!("{}{h:02}:{m:02}", if plus { '+' } else { '-' })),
    ];
    let year = prop_oneof![Just(0), Just(9999), 1969..1972, 2020..2030, 0..10_000];
    let fraction = prop_oneof![Just(String::new()), "\\.[0-9]{1,9}"];
    (
        year,
        1..13,
        1..29,
        0..24,
        0..60,
        0..60,
        fraction,
        offset,
        0..4,
    )
        .prop_map(
            |(y, mo, d, h, mi, s, fraction, offset, shape)| match shape {
                0 => format!("{y:04}-{mo:02}-{d:02}"),
                1 => format!("{y:04}-{mo:02}-{d:02}t{h:02}:{mi:02}:{s:02}{fraction}{offset}"),
                _ => format!("{y:04}-{mo:02}-{d:02}T{h:02}:{mi:02}:{s:02}{fraction}{offset}"),
            },
        )
}

/// Nanoseconds since the epoch, by chrono alone.
fn nanos(text: &str) -> i128 {
    let full = if text.len() == 10 {
        format!("{text}T00:00:00Z")
    } else {
        text.to_uppercase()
    };
    let at = chrono::DateTime::parse_from_rfc3339(&full).unwrap();
    i128::from(at.timestamp()) * 1_000_000_000 + i128::from(at.timestamp_subsec_nanos())
}

fn instant(text: &str) -> IndexValue {
    IndexValue::from_query(Kind::Instant, text).unwrap()
}

fn number(n: &serde_json::Number) -> IndexValue {
    IndexValue::from_json(Kind::Number, &n.clone().into()).unwrap()
}

pub fn value() -> impl Strategy<Value = IndexValue> {
    prop_oneof![
        any::<bool>().prop_map(IndexValue::Bool),
        json_number().prop_map(|n| number(&n)),
        instant_text().prop_map(|t| instant(&t)),
        text().prop_map(IndexValue::Text),
    ]
}

fn row(value: IndexValue) -> Vec<u8> {
    encode_values(&[value])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn numbers_keep_their_order(a in json_number(), b in json_number()) {
        let want = exact_cmp(&a, &b);
        prop_assert_eq!(number(&a).cmp(&number(&b)), want, "{} {}", a, b);
        prop_assert_eq!(row(number(&a)).cmp(&row(number(&b))), want, "{} {}", a, b);
    }

    #[test]
    fn a_number_asked_for_as_text_is_the_number_stored(n in json_number()) {
        prop_assert_eq!(IndexValue::from_query(Kind::Number, &n.to_string()), Ok(number(&n)));
    }

    #[test]
    fn strings_keep_their_order(a in text(), b in text()) {
        let want = a.chars().cmp(b.chars());
        let (a, b) = (IndexValue::Text(a), IndexValue::Text(b));
        prop_assert_eq!(row(a).cmp(&row(b)), want);
    }

    #[test]
    fn instants_keep_their_order_in_every_zone(a in instant_text(), b in instant_text()) {
        let want = nanos(&a).cmp(&nanos(&b));
        prop_assert_eq!(instant(&a).cmp(&instant(&b)), want);
        prop_assert_eq!(row(instant(&a)).cmp(&row(instant(&b))), want);
    }

    #[test]
    fn what_is_encoded_comes_back(values in proptest::collection::vec(value(), 0..5), rest: Vec<u8>) {
        let mut bytes = encode_values(&values);
        bytes.extend(&rest);
        let (decoded, left) = decode_values(&bytes, values.len()).unwrap();
        prop_assert_eq!(decoded, values);
        prop_assert_eq!(left, &rest[..]);
    }

    /// Rows of several values order as the tuples do: no value reaches into the
    /// segment of the next one.
    #[test]
    fn no_value_crosses_a_segment(
        a in (text(), json_number(), text()),
        b in (text(), json_number(), text()),
    ) {
        let values = |(x, n, y): &(String, serde_json::Number, String)| {
            [IndexValue::Text(x.clone()), number(n), IndexValue::Text(y.clone())]
        };
        let (va, vb) = (values(&a), values(&b));
        prop_assert_eq!(encode_values(&va).cmp(&encode_values(&vb)), va.cmp(&vb));
        // The rows under a first value are those with exactly that value.
        let head = encode_values(&va[..1]);
        prop_assert_eq!(encode_values(&vb).starts_with(&head), a.0 == b.0);
    }

    #[test]
    fn damaged_bytes_never_panic(tag in prop::sample::select(b"bnstx".to_vec()), rest: Vec<u8>) {
        let bytes = [vec![tag], rest].concat();
        if let Some((value, used)) = IndexValue::decode(&bytes) {
            let mut again = Vec::new();
            value.encode_into(&mut again);
            prop_assert_eq!(&again[..], &bytes[..used]);
        }
    }
}
