//! Compressed answers.

use reqwest::{Client, Method};
use serde_json::json;

use crate::server::{Server, ok};

#[tokio::test]
async fn answers_are_compressed_when_asked_and_worth_it() {
    let server = Server::start().await;
    let path = "/v1/tenants/demo/records/ticket/t-1";
    let data = json!({"subject": "s", "status": "open", "opened_at": "2026-03-01T00:00:00Z",
        "text": "all work and no play ".repeat(200)});
    ok(server.put(path, &data)).await;
    // A client that decodes nothing by itself.
    drop(crate::server::client());
    let raw = Client::builder()
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .build()
        .unwrap();
    let get = |encoding: &str, path: &str| {
        raw.request(Method::GET, format!("{}{path}", server.url))
            .bearer_auth(&server.key)
            .header("accept-encoding", encoding)
    };
    let plain = get("identity", path).send().await.unwrap();
    assert!(!plain.headers().contains_key("content-encoding"));
    assert_eq!(plain.headers()["vary"], "Accept-Encoding");
    let etag = plain.headers()["etag"].to_str().unwrap().to_owned();
    let plain = plain.bytes().await.unwrap();
    for encoding in ["gzip", "br", "zstd"] {
        let packed = get(encoding, path).send().await.unwrap();
        assert_eq!(packed.headers()["content-encoding"], encoding);
        assert_eq!(packed.headers()["vary"], "Accept-Encoding");
        let weak = packed.headers()["etag"].to_str().unwrap().to_owned();
        assert_eq!(weak, format!("W/{etag}"));
        let packed = packed.bytes().await.unwrap();
        assert!(
            packed.len() < plain.len() / 4,
            "{encoding}: {}",
            packed.len()
        );
        let known = get(encoding, path).header("if-none-match", &weak);
        assert_eq!(known.send().await.unwrap().status(), 304);
    }
    // The decoding client gets the very same bytes.
    let unpacked = server
        .get(path)
        .send()
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    assert_eq!(unpacked, plain);
    // The ETag of a compressed answer serves a conditional write.
    let write = server
        .put(path, &data)
        .header("if-match", format!("W/{etag}"));
    assert_eq!(ok(write).await["version"], 2);
    // Small answers are left as they are.
    let small = get("gzip", "/healthz").send().await.unwrap();
    assert!(!small.headers().contains_key("content-encoding"));
    assert_eq!(small.headers()["vary"], "Accept-Encoding");
}
