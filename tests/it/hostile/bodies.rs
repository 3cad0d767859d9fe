//! Bodies: JSON that is no JSON, or only just; types of content that are not meant.

use std::collections::BTreeSet;

use super::{
    prepared,
    raw::{Answer, Wire},
    torture::{Case, values},
    unharmed,
};
use crate::server::Server;

const NOTES: &str = "/v1/tenants/demo/records/note";
const JSON: Option<&str> = Some("application/json");

/// Sends requests of one credential.
struct Client {
    wire: Wire,
    token: String,
}

impl Client {
    fn new(server: &Server, token: &str) -> Self {
        Self {
            wire: Wire::to(server),
            token: token.to_owned(),
        }
    }

    fn send(&mut self, method: &str, path: &str, kind: Option<&str>, body: &[u8]) -> Answer {
        self.wire
            .send(&self.token, method, path.as_bytes(), kind, body)
    }
}

/// The value as the member of an object.
fn within(before: &str, value: &[u8], behind: &str) -> Vec<u8> {
    [before.as_bytes(), value, behind.as_bytes()].concat()
}

fn is(case: &Case, kind: &str) -> bool {
    case.0.starts_with(kind)
}

/// Refused in words where the case says so, else taken, or either.
fn fits(case: &Case, route: &str, answer: &Answer) {
    let what = format!("{route}: {}", case.0);
    match &case.0[..2] {
        "n_" => answer.refused(&what),
        "y_" => answer.taken(&what),
        _ => answer.judge(&what),
    }
}

#[tokio::test]
async fn a_record_is_refused_or_kept_to_the_last_byte() {
    let (mut server, _) = prepared(&[]).await;
    let mut client = Client::new(&server, &server.key);
    let (mut taken, mut refused) = (0, 0);
    for case in values() {
        let document = within("{\"any\":", &case.1, "}");
        let made = client.send("POST", NOTES, JSON, &document);
        fits(&case, "POST", &made);
        let path = format!("{NOTES}/{}", case.0);
        let put = client.send("PUT", &path, JSON, &document);
        fits(&case, "PUT", &put);
        assert_eq!(made.status < 300, put.status < 300, "{}", case.0);
        if put.status >= 300 {
            refused += 1;
            client.send("GET", &path, None, b"").refused(&case.0);
            continue;
        }
        taken += 1;
        assert_eq!(made.data(), document, "{}", case.0);
        let read = client.send("GET", &path, None, b"");
        assert_eq!(read.data(), document, "{}", case.0);
        // Written again as it was read, it does not change.
        let again = client.send("PUT", &path, JSON, read.data());
        assert_eq!(again.data(), document, "{}", case.0);
    }
    assert!(
        taken > 40 && refused > 150,
        "{taken} taken, {refused} refused"
    );
    unharmed(&mut server);
}

#[tokio::test]
async fn patches_batches_and_imports_take_what_a_record_takes() {
    let (mut server, _) = prepared(&[]).await;
    let mut client = Client::new(&server, &server.key);
    let base = format!("{NOTES}/patched");
    client
        .send("PUT", &base, JSON, b"{\"kept\":1.50}")
        .taken("the base");
    for case in values() {
        let patch = within("{\"any\":", &case.1, "}");
        let kind = Some("application/merge-patch+json");
        let patched = client.send("PATCH", &base, kind, &patch);
        fits(&case, "PATCH", &patched);
        // A null takes away, so it is no value to be found again.
        if patched.status < 300 && case.1 != b"null" && !case.1.starts_with(b"{") {
            let whole = within("{\"kept\":1.50,\"any\":", &case.1, "}");
            assert_eq!(patched.data(), whole, "{}", case.0);
        }
        client
            .send("PATCH", &base, kind, b"{\"any\":null}")
            .taken("cleaned");

        let before = format!(
            "{{\"operations\":[{{\"op\":\"put\",\"entity\":\"note\",\"id\":\"b-{}\",\"data\":{{\"any\":",
            case.0
        );
        let batch = within(&before, &case.1, "}}]}");
        let done = client.send("POST", "/v1/tenants/demo/batch", JSON, &batch);
        fits(&case, "batch", &done);
        let read = client.send("GET", &format!("{NOTES}/b-{}", case.0), None, b"");
        assert_eq!(read.status == 200, done.status == 200, "{}", case.0);
        if read.status == 200 {
            assert_eq!(read.data(), patch, "{}", case.0);
        }

        if case.1.contains(&b'\n') {
            continue;
        }
        let imported = client.send(
            "POST",
            "/v1/tenants/demo/import?entity=note",
            Some("application/x-ndjson"),
            &patch,
        );
        imported.taken(&case.0);
        let report = imported.json();
        let created = report["created"] == 1;
        assert_eq!(report["rows"], 1, "{}", case.0);
        match &case.0[..2] {
            "y_" => assert!(created, "import: {} {report}", case.0),
            "n_" => {
                let reason = report["errors"][0]["reason"].as_str();
                assert!(
                    !created && reason.is_some_and(|r| !r.is_empty()),
                    "{}",
                    case.0
                );
            }
            _ => {}
        }
    }
    unharmed(&mut server);
}

/// Bodies of every other route that takes JSON, with a value in each of its members.
fn elsewhere() -> Vec<(&'static str, &'static str, &'static str, &'static str)> {
    vec![
        (
            "POST",
            "/v1/auth/login",
            "{\"email\":",
            ",\"password\":\"x\"}",
        ),
        (
            "POST",
            "/v1/auth/login",
            "{\"email\":\"a@b.example\",\"password\":",
            "}",
        ),
        (
            "PUT",
            "/v1/app?dry_run=true",
            "{\"entity\":{\"note\":{\"title\":",
            "}}}",
        ),
        (
            "PUT",
            "/v1/app?dry_run=true",
            "{\"entity\":{\"note\":{\"schema\":{\"properties\":{\"a\":",
            "}}}}}",
        ),
        ("PUT", "/v1/app?dry_run=true", "", ""),
        ("POST", "/v1/app/rollback", "{\"version\":", "}"),
        ("POST", "/v1/tenants", "{\"id\":", "}"),
        (
            "POST",
            "/v1/tenants",
            "{\"id\":\"demo\",\"meta\":{\"a\":",
            "}}",
        ),
        ("POST", "/v1/tenants", "{\"id\":\"demo\",\"meta\":", "}"),
        ("PATCH", "/v1/tenants/demo", "{\"name\":", "}"),
        ("PATCH", "/v1/tenants/demo", "{\"meta\":", "}"),
        ("PATCH", "/v1/tenants/demo", "{\"archive\":", "}"),
        ("PATCH", "/v1/tenants/demo", "{\"weight\":", "}"),
        ("POST", "/v1/tenants/demo/keys", "{\"name\":", "}"),
        ("POST", "/v1/tenants/demo/keys", "{\"scopes\":", "}"),
        (
            "POST",
            "/v1/operators",
            "{\"email\":",
            ",\"password\":\"a long enough password\"}",
        ),
        (
            "POST",
            "/v1/operators",
            "{\"email\":\"admin@localhost\",\"password\":",
            "}",
        ),
        (
            "POST",
            "/v1/tenants/demo/holds",
            "{\"entity\":\"note\",\"reason\":",
            "}",
        ),
        ("POST", "/v1/tenants/demo/archive", "{\"entity\":", "}"),
        ("POST", "/v1/tenants/demo/archive/plan", "{\"entity\":", "}"),
        ("POST", "/v1/jobs/daily-report/run", "{\"tenants\":", "}"),
        ("POST", "/v1/jobs/daily-report/backfill", "{\"from\":", "}"),
        ("POST", "/v1/jobs/daily-report/retry", "{\"state\":", "}"),
        ("POST", "/v1/pauses", "{\"job\":", "}"),
        ("POST", "/v1/tenants/demo/batch", "{\"operations\":", "}"),
        ("POST", "/v1/tenants/demo/batch", "{\"operations\":[", "]}"),
        (
            "POST",
            "/v1/tenants/demo/batch",
            "{\"operations\":[{\"op\":\"put\",\"entity\":",
            "}]}",
        ),
        ("POST", "/v1/tenants/demo/batch", "", ""),
    ]
}

#[tokio::test]
async fn other_bodies_are_refused_in_words() {
    let (mut server, operator) = prepared(&[]).await;
    let mut client = Client::new(&server, &operator);
    for case in values() {
        for (method, path, before, behind) in elsewhere() {
            let body = within(before, &case.1, behind);
            let answer = client.send(method, path, JSON, &body);
            let what = format!("{method} {path} {before}: {}", case.0);
            match is(&case, "n_") {
                true => answer.refused(&what),
                false => answer.judge(&what),
            }
        }
    }
    unharmed(&mut server);
}

#[tokio::test]
async fn other_types_of_content_are_refused_by_every_route_with_a_body() {
    let (mut server, operator) = prepared(&[]).await;
    let mut client = Client::new(&server, &operator);
    let document = client.send("GET", "/openapi.json", None, b"").json();
    let mut routes = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let Some(body) = operation.get("requestBody") else {
                continue;
            };
            // An app file may come as any text, an import as what it says it is.
            let text = body["content"].get("text/toml").is_some();
            if !text && !path.ends_with("import") {
                routes.insert((method.to_uppercase(), path.clone()));
            }
        }
    }
    assert!(routes.len() > 15, "{routes:?}");
    for (method, path) in routes {
        let path = path
            .replace("{tenant}", "demo")
            .replace("{entity}", "note")
            .replace("{job}", "daily-report")
            .replace("{email}", "admin@localhost")
            .replace("{id}", "one");
        for kind in [
            "text/plain",
            "text/html; charset=utf-8",
            "application/xml",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=a",
            "application/octet-stream",
            "application/jsonx",
            "application/json5",
            "json",
            "/",
            ";",
            "application/json, text/plain",
            "\u{80}\u{ff}",
        ] {
            let answer = client.send(&method, &path, Some(kind), b"{}");
            assert_eq!(answer.status, 415, "{method} {path} as {kind:?}");
            answer.refused(kind);
        }
        for kind in ["application/json; charset=utf-8", "Application/JSON"] {
            let answer = client.send(&method, &path, Some(kind), b"{}");
            assert_ne!(answer.status, 415, "{method} {path} as {kind:?}");
            answer.judge(&path);
        }
    }
    unharmed(&mut server);
}
