//! JSON values to be taken as they are (`y_`), to be refused (`n_`), or where the
//! standard leaves the choice (`i_`): then taken as they are or refused.

/// A value: its name and its bytes.
pub type Case = (String, Vec<u8>);

pub fn values() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |kind: &str, all: &[(&str, &[u8])]| {
        for (name, bytes) in all {
            cases.push((format!("{kind}_{name}"), bytes.to_vec()));
        }
    };
    add("y", TAKEN);
    add("n", REFUSED);
    add("i", EITHER);
    for byte in 0..0x20_u8 {
        let string = vec![b'"', b'a', byte, b'b', b'"'];
        cases.push((format!("n_string_with_control_{byte:02x}"), string));
        if !b"\t\n\r".contains(&byte) {
            cases.push((
                format!("n_space_of_control_{byte:02x}"),
                vec![b'[', byte, b']'],
            ));
        }
    }
    cases.extend(long_ones());
    cases
}

fn long_ones() -> Vec<Case> {
    let nested = |open: &str, inner: &str, close: &str, depth: usize| {
        [open.repeat(depth), inner.to_owned(), close.repeat(depth)].concat()
    };
    // The value stands in an object, which is a level too.
    [
        ("y_deep_lists_at_the_limit", nested("[", "", "]", 63)),
        (
            "y_deep_objects_at_the_limit",
            nested("{\"a\":", "1", "}", 63),
        ),
        ("n_deep_lists_over_the_limit", nested("[", "", "]", 64)),
        (
            "n_deep_objects_over_the_limit",
            nested("{\"a\":", "1", "}", 64),
        ),
        (
            "n_deep_lists_far_over_the_limit",
            nested("[", "", "]", 20_000),
        ),
        (
            "n_deep_objects_far_over_the_limit",
            nested("{\"\":", "0", "}", 20_000),
        ),
        ("n_deep_lists_never_closed", nested("[", "", "", 100_000)),
        (
            "n_deep_objects_never_closed",
            nested("{\"a\":[", "", "", 50_000),
        ),
        ("y_number_of_300_digits", "7".repeat(300)),
        ("n_number_of_400_digits", "7".repeat(400)),
        (
            "y_number_with_a_long_fraction",
            format!("0.{}1", "0".repeat(5_000)),
        ),
        (
            "i_number_with_a_long_exponent",
            format!("1e-{}", "9".repeat(2_000)),
        ),
        (
            "n_number_with_a_longer_exponent",
            format!("1e{}", "9".repeat(2_000)),
        ),
        ("y_string_long", format!("\"{}\"", "x".repeat(30_000))),
        (
            "y_string_of_escapes",
            format!("\"{}\"", "\\u0000".repeat(4_000)),
        ),
        ("y_many_keys", {
            let keys: Vec<_> = (0..2_000).map(|n| format!("\"k{n}\":{n}")).collect();
            format!("{{{}}}", keys.join(","))
        }),
    ]
    .map(|(name, text)| (name.to_owned(), text.into_bytes()))
    .into()
}

const TAKEN: &[(&str, &[u8])] = &[
    ("null", b"null"),
    ("true", b"true"),
    ("false", b"false"),
    ("zero", b"0"),
    ("minus_zero", b"-0"),
    ("minus_zero_point", b"-0.0"),
    ("integer", b"123"),
    ("number_with_zeros_behind", b"1.5000"),
    ("number_with_exponent", b"1E22"),
    ("number_with_plus_in_exponent", b"0e+1"),
    ("number_with_minus_in_exponent", b"1.5e-10"),
    ("number_beyond_53_bits", b"9007199254740993"),
    ("number_beyond_64_bits", b"18446744073709551616"),
    ("number_below_64_bits", b"-9223372036854775809"),
    ("number_largest_double", b"1.7976931348623157e308"),
    ("number_smallest_double", b"4.9e-324"),
    ("string_empty", b"\"\""),
    ("string_of_every_escape", br#""\"\\\/\b\f\n\r\t""#),
    ("string_nul_escaped", br#""a\u0000b""#),
    ("string_letter_escaped", br#""\u0061\u00e9\u20AC""#),
    ("string_pair_escaped", br#""\ud83d\ude00\uD834\uDD1E""#),
    (
        "string_noncharacters_escaped",
        br#""\uFFFF\uFFFE\uFDD0\uDBFF\uDFFF""#,
    ),
    (
        "string_noncharacters",
        "\"\u{ffff}\u{fdd0}\u{10ffff}\"".as_bytes(),
    ),
    (
        "string_line_separators",
        "\"\u{2028}\u{2029}\u{85}\"".as_bytes(),
    ),
    ("string_delete_and_c1", "\"\u{7f}\u{80}\u{9f}\"".as_bytes()),
    ("string_byte_order_mark", "\"\u{feff}\"".as_bytes()),
    ("string_right_to_left", "\"\u{202e}abc\u{200f}\"".as_bytes()),
    (
        "string_combining",
        "\"e\u{301}\u{1f469}\u{200d}\u{1f680}\"".as_bytes(),
    ),
    ("string_with_comment", br#""a/*b*/c//d#e""#),
    ("string_of_json", br#""{\"a\":[1]}""#),
    ("list_empty", b"[]"),
    ("list_mixed", br#"[null,1,"1",{},[],true]"#),
    ("object_empty", b"{}"),
    ("object_empty_key", br#"{"":0}"#),
    ("object_nul_in_key", br#"{"a\u0000":0}"#),
    (
        "object_keys_like_ours",
        br##"{"a#b":1,"~#tenant":2,"__proto__":3,"constructor":4,"$ref":"#"}"##,
    ),
    ("object_case_matters", br#"{"a":1,"A":2}"#),
    (
        "object_keys_that_only_look_alike",
        "{\"\u{e9}\":1,\"e\u{301}\":2}".as_bytes(),
    ),
    ("object_same_key_in_levels", br#"{"a":{"a":{"a":1}}}"#),
];

const EITHER: &[(&str, &[u8])] = &[
    ("number_underflow", b"1e-400"),
    ("number_underflow_far", b"-1e-99999999999"),
    ("number_zero_with_huge_exponent", b"0e99999999999"),
];

const REFUSED: &[(&str, &[u8])] = &[
    ("nothing", b""),
    ("space", b" "),
    ("number_leading_zero", b"01"),
    ("number_minus_leading_zero", b"-01"),
    ("number_plus", b"+1"),
    ("number_no_integer_part", b".5"),
    ("number_no_fraction", b"1."),
    ("number_no_fraction_but_exponent", b"1.e1"),
    ("number_no_exponent", b"1e"),
    ("number_exponent_sign_only", b"1e+"),
    ("number_two_exponents", b"1e1e1"),
    ("number_two_points", b"1.2.3"),
    ("number_minus_only", b"-"),
    ("number_two_minuses", b"--1"),
    ("number_hexadecimal", b"0x1F"),
    ("number_underscores", b"1_000"),
    ("number_nan", b"NaN"),
    ("number_minus_nan", b"-NaN"),
    ("number_infinity", b"Infinity"),
    ("number_minus_infinity", b"-Infinity"),
    ("number_overflow", b"1e309"),
    ("number_minus_overflow", b"-1.8e308"),
    ("number_overflow_far", b"1e99999999999999999999"),
    ("number_full_width", "\u{ff11}".as_bytes()),
    ("number_space_within", b"1 2"),
    ("word_cut_short", b"nul"),
    ("word_in_capitals", b"TRUE"),
    ("word_undefined", b"undefined"),
    ("two_words", b"true false"),
    ("string_single_quotes", b"'a'"),
    ("string_no_quotes", b"abc"),
    ("string_never_closed", b"\"abc"),
    ("string_closing_quote_escaped", br#""abc\""#),
    ("string_escape_unknown", br#""\a""#),
    ("string_escape_hexadecimal", br#""\x41""#),
    ("string_escape_cut_short", br#""\u00A""#),
    ("string_escape_no_hexadecimal", br#""\uD83x""#),
    ("string_escape_at_the_end", b"\"\\"),
    ("string_lone_high_surrogate", br#""\ud800""#),
    ("string_lone_low_surrogate", br#""\udc00""#),
    ("string_high_surrogate_and_letter", br#""\ud800a""#),
    ("string_two_high_surrogates", br#""\ud800\ud800""#),
    ("string_surrogates_turned_round", br#""\udc00\ud800""#),
    ("string_surrogate_and_escape", br#""\ud800\n""#),
    ("string_surrogate_cut_short", br#""\ud834\udd""#),
    ("string_utf8_ff", b"\"\xff\""),
    ("string_utf8_overlong", b"\"\xc0\xaf\""),
    ("string_utf8_overlong_nul", b"\"\xc0\x80\""),
    ("string_utf8_surrogate", b"\"\xed\xa0\x80\""),
    ("string_utf8_too_large", b"\"\xf4\x90\x80\x80\""),
    ("string_utf8_cut_short", b"\"\xe2\x82\""),
    ("string_latin1", b"\"caf\xe9\""),
    ("string_utf16", b"\"\x00a\x00\""),
    ("list_comma_behind", b"[1,]"),
    ("list_comma_before", b"[,1]"),
    ("list_two_commas", b"[1,,2]"),
    ("list_only_comma", b"[,]"),
    ("list_no_comma", b"[1 2]"),
    ("list_colon", b"[1:2]"),
    ("list_never_closed", b"[1"),
    ("list_closed_as_object", b"[1}"),
    ("list_closed_twice", b"[1]]"),
    ("object_comma_behind", br#"{"a":1,}"#),
    ("object_comma_before", br#"{,"a":1}"#),
    ("object_no_comma", br#"{"a":1 "b":2}"#),
    ("object_no_colon", br#"{"a" 1}"#),
    ("object_no_value", br#"{"a":}"#),
    ("object_no_key", b"{:1}"),
    ("object_key_without_quotes", b"{a:1}"),
    ("object_key_number", b"{1:1}"),
    ("object_key_single_quotes", b"{'a':1}"),
    ("object_never_closed", br#"{"a":1"#),
    ("object_closed_as_list", br#"{"a":1]"#),
    ("object_key_twice", br#"{"a":1,"a":2}"#),
    ("object_key_twice_and_the_same", br#"{"a":1,"a":1}"#),
    ("object_key_twice_once_escaped", br#"{"a":1,"\u0061":2}"#),
    ("object_key_twice_deep", br#"[{"b":[{"a":1,"c":2,"a":3}]}]"#),
    ("object_empty_key_twice", br#"{"":1,"":2}"#),
    ("object_lone_surrogate_in_key", br#"{"\ud800":1}"#),
    ("object_utf8_in_key", b"{\"\xff\":1}"),
    ("comment_block", b"/*a*/1"),
    ("comment_line", b"1//a"),
    ("comment_hash", b"1#a"),
    ("byte_order_mark", b"\xef\xbb\xbf1"),
    ("form_feed", b"\x0c1"),
    ("no_break_space", "\u{a0}1".as_bytes()),
    ("line_separator", "\u{2028}1".as_bytes()),
    ("nul_behind", b"1\x00"),
    ("nul_alone", b"\x00"),
    ("closing_bracket", b"]"),
    ("closing_brace", b"}"),
    ("quote", b"\""),
    ("comma", b","),
    ("colon", b":"),
    ("angle_brackets", b"<null>"),
    ("asterisk", b"*"),
];
