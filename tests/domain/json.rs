//! Cutting and joining JSON as bytes means the same as doing it on values.

use proptest::prelude::*;
use serde_json::Value;
use tenantry::domain::record::{merge_patch, minify, parse_strict};

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1000_i32..1000).prop_map(|n| Value::from(f64::from(n) / 8.0)),
        super::values::text().prop_map(Value::from),
        Just(Value::from("a \" } ] , : \\ {")),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(key(), inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Few keys, so that patches meet what they change.
fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("a".to_owned()),
        Just("b".to_owned()),
        Just("\"".to_owned()),
        Just("é".to_owned()),
        Just("\\u0061".to_owned()),
        Just(String::new()),
        super::values::text(),
    ]
}

/// RFC 7396, section 2, on values.
fn merged(target: Value, patch: Value) -> Value {
    let Value::Object(patch) = patch else {
        return patch;
    };
    let mut object = match target {
        Value::Object(object) => object,
        _ => serde_json::Map::new(),
    };
    for (key, value) in patch {
        if value.is_null() {
            object.remove(&key);
        } else {
            let before = object.remove(&key).unwrap_or(Value::Null);
            object.insert(key, merged(before, value));
        }
    }
    Value::Object(object)
}

/// The same JSON written differently: spread out, and keys and strings escaped.
fn spread(value: &Value) -> Vec<u8> {
    let pretty = serde_json::to_string_pretty(value).unwrap();
    let escaped: String = pretty
        .chars()
        .map(|c| {
            if c == 'é' {
                "\\u00e9".to_owned()
            } else {
                c.to_string()
            }
        })
        .collect();
    format!(" \t{}\r\n", escaped.replace('\n', "\r\n")).into_bytes()
}

fn read(bytes: &[u8]) -> Value {
    parse_strict(bytes).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn minify_keeps_the_meaning(value in json()) {
        let minified = minify(&spread(&value));
        prop_assert_eq!(read(&minified), value.clone());
        prop_assert_eq!(minify(&minified), minified.clone());
        prop_assert!(minified.len() <= spread(&value).len());
    }

    #[test]
    fn parsing_strictly_reads_what_serde_reads(value in json()) {
        prop_assert_eq!(read(&spread(&value)), value);
    }

    #[test]
    fn merge_patch_is_rfc_7396(target in json(), patch in json()) {
        let bytes = merge_patch(&minify(&spread(&target)), &spread(&patch)).unwrap();
        prop_assert_eq!(read(&bytes), merged(target, patch));
        prop_assert_eq!(minify(&bytes), bytes);
    }

    #[test]
    fn nothing_panics_on_rubbish(target: Vec<u8>, text in "[\\[\\]{}\",:a1 \\\\]{0,20}") {
        let _ = merge_patch(&target, b"{\"a\":1}");
        let _ = merge_patch(text.as_bytes(), b"{\"a\":{\"b\":1}}");
        let _ = minify(text.as_bytes());
        let _ = parse_strict(text.as_bytes());
    }
}

/// The examples of RFC 7396's appendix.
#[test]
fn the_examples_of_the_standard() {
    for (target, patch, want) in [
        (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"a":null}"#, r#"{}"#),
        (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
        (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
        (
            r#"{"a":{"b":"c"}}"#,
            r#"{"a":{"b":"d","c":null}}"#,
            r#"{"a":{"b":"d"}}"#,
        ),
        (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
        (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
        (r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#),
        (r#"{"a":"foo"}"#, "null", "null"),
        (r#"{"a":"foo"}"#, "\"bar\"", "\"bar\""),
        (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
        ("[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
        ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
    ] {
        let merged = merge_patch(target.as_bytes(), patch.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(merged).unwrap(), want, "{target} {patch}");
    }
}
