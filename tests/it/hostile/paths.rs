//! Every segment of every path, and every parameter of every query, with what does
//! not belong there.

use serde_json::Value as Json;

use super::{prepared, raw::Wire, unharmed};

/// Segments that an HTTP request can hold and that are no name of anything.
const SEGMENTS: [&str; 38] = [
    "%23",
    "a%23b",
    "%23%7Ecount%23",
    "~%23tenant%23demo",
    "%00",
    "a%00",
    "%00%23",
    "%0A",
    "a%0D%0Ax-injected:%20yes",
    "%09",
    "%1B",
    "%7F",
    "%2F",
    "%2F..%2Fdemo",
    "..%2F..%2Fhealthz",
    "%2E%2E%2F",
    "%5C",
    "%FF",
    "%C0%AF",
    "%ED%A0%80",
    "%F4%90%80%80",
    "%C3%A9",
    "%E2%80%AE",
    "%",
    "%2",
    "%zz",
    "%25",
    "%2523",
    "%25%32%33",
    "demo%20",
    "%20demo",
    "demo@by_text",
    "*",
    "a;b=c",
    "a%3Fb=c",
    "'",
    "!%24%26%28%29%2A%2B%2C%3B%3D",
    "DEMO%21",
];

/// Bytes that an HTTP request line cannot hold; what reads it may refuse without words.
const RAW: [&[u8]; 16] = [
    b"#",
    b"a#b",
    b"\x00",
    b"a\x00b",
    b"\n",
    b"\r\n",
    b"\r",
    b"\t",
    b" ",
    b"a b",
    b"\x7f",
    b"\xff\xfe",
    b"\xc3\xa9",
    b"\xed\xa0\x80",
    b"<script>",
    b"\"{}|\\^`",
];

/// Values of a parameter, none of which any parameter takes.
const VALUES: [&str; 22] = [
    "%00",
    "a%00b",
    "%FF",
    "%ED%A0%80",
    "%",
    "%zz",
    "-1",
    "1.5",
    "1e3",
    "NaN",
    "0x10",
    "99999999999999999999",
    "-99999999999999999999",
    "%23",
    "a%23b",
    "%5B%5D",
    "{}",
    "%0A",
    "true%00",
    "2026-99-99",
    "%F0%9F%92%A9",
    "~%23tenant%23",
];

struct Operation {
    method: String,
    path: String,
    /// Names of the parameters, by where they stand.
    parameters: Vec<(String, String)>,
    body: Option<String>,
}

fn operations(document: &Json) -> Vec<Operation> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let text = |value: &Json| value.as_str().unwrap().to_owned();
            let body = operation["requestBody"]["content"].as_object();
            found.push(Operation {
                method: method.to_uppercase(),
                path: path.clone(),
                parameters: parameters
                    .map(|p| (text(&p["in"]), text(&p["name"])))
                    .collect(),
                body: body.and_then(|kinds| kinds.keys().next().cloned()),
            });
        }
    }
    assert!(found.len() > 60, "{} operations", found.len());
    found
}

/// The path with names that are there, but for one segment.
fn target(path: &str, hostile: &str, segment: &[u8]) -> Vec<u8> {
    let known = |name: &str| match name {
        "tenant" => "demo",
        "entity" => "note",
        "job" => "daily-report",
        "email" => "admin@localhost",
        "version" => "1",
        _ => "none",
    };
    let mut target = Vec::new();
    for piece in path.split('/').skip(1) {
        target.push(b'/');
        match piece.strip_prefix('{').and_then(|p| p.strip_suffix('}')) {
            None => target.extend_from_slice(piece.as_bytes()),
            Some(name) if name == hostile => target.extend_from_slice(segment),
            Some(name) => target.extend_from_slice(known(name).as_bytes()),
        }
    }
    target
}

/// Streams events for as long as one listens.
const ENDLESS: &str = "/v1/events";

#[tokio::test]
async fn no_segment_of_a_path_leads_astray() {
    let (mut server, operator) = prepared(&[]).await;
    let mut wire = Wire::to(&server);
    let document = wire.send("", "GET", b"/openapi.json", None, b"").json();
    let long = ["x".repeat(129), "%41".repeat(1_000), "y".repeat(20_000)];
    let mut sent = 0;
    for operation in operations(&document) {
        let kind = operation.body.as_deref();
        for (_, name) in operation.parameters.iter().filter(|(at, _)| at == "path") {
            for segment in SEGMENTS
                .iter()
                .copied()
                .chain(long.iter().map(String::as_str))
            {
                let target = target(&operation.path, name, segment.as_bytes());
                for token in [&operator, &server.key] {
                    let answer = wire.send(token, &operation.method, &target, kind, b"{}");
                    let what = format!("{} {}", operation.method, target.escape_ascii());
                    answer.refused(&what);
                    assert!(!answer.head.contains("x-injected"), "{what}");
                    sent += 1;
                }
            }
            for segment in RAW {
                let target = target(&operation.path, name, segment);
                let answer = wire.send(&operator, &operation.method, &target, kind, b"{}");
                let what = format!("{} {}", operation.method, target.escape_ascii());
                assert!(
                    answer.status < 500,
                    "{what}: {}",
                    answer.body.escape_ascii()
                );
                sent += 1;
            }
        }
    }
    assert!(sent > 4_000, "only {sent} requests");
    unharmed(&mut server);
}

#[tokio::test]
async fn no_parameter_of_a_query_leads_astray() {
    let (mut server, operator) = prepared(&[]).await;
    let mut wire = Wire::to(&server);
    let document = wire.send("", "GET", b"/openapi.json", None, b"").json();
    let long = "z".repeat(9_000);
    let mut sent = 0;
    for operation in operations(&document) {
        if operation.path == ENDLESS {
            continue;
        }
        let path = String::from_utf8(target(&operation.path, "", b"")).unwrap();
        let kind = operation.body.as_deref();
        let mut names: Vec<&str> = vec![
            "unknown",
            "a%5Bgt%5D",
            "%00",
            "%FF",
            "a%5B",
            "%5D",
            "",
            "a.b..c",
        ];
        let own = operation.parameters.iter().filter(|(at, _)| at == "query");
        names.extend(own.map(|(_, name)| name.as_str()));
        for name in names {
            for value in VALUES.iter().copied().chain([long.as_str()]) {
                for query in [
                    format!("{name}={value}"),
                    format!("{name}=1&{name}={value}&{name}"),
                ] {
                    let target = format!("{path}?{query}");
                    let answer =
                        wire.send(&operator, &operation.method, target.as_bytes(), kind, b"{}");
                    answer.judge(&format!("{} {target}", operation.method));
                    sent += 1;
                }
            }
        }
    }
    assert!(sent > 5_000, "only {sent} requests");
    unharmed(&mut server);
}
