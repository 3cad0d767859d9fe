//! What an operator asks of the store, over HTTP and from the shell.

use reqwest::Method;
use serde_json::json;
use tenantry::store::{self, Batch, Key, Scan, StoreOptions, Tree};

use crate::server::{Server, command, json as run, ok, problem};

#[tokio::test]
async fn only_operators_see_the_store() {
    let server = Server::start().await;
    let token = server.operator().await;
    let stats = ok(server.bearer(&token, Method::GET, "/v1/store/stats")).await;
    assert!(stats["disk_bytes"].as_u64().unwrap() > 0, "{stats}");
    let checked = ok(server.bearer(&token, Method::POST, "/v1/store/check?schema=true")).await;
    assert_eq!(checked["problems"], json!([]));
    let wrong = server.bearer(&token, Method::POST, "/v1/store/check?fix=true");
    problem(wrong, 400, "bad_request").await;
    problem(server.get("/v1/store/stats"), 403, "operator_only").await;
    let check = server.by_key(Method::POST, "/v1/store/check");
    problem(check, 403, "operator_only").await;
}

/// Takes one index row out of a store that nobody has open, and says which.
async fn damage(server: &Server) -> Key {
    let options = StoreOptions {
        engine: None,
        cache_bytes: 16 << 20,
        committer: store::CommitterOptions::default(),
    };
    let store = store::open(&server.data().join("store"), &options).unwrap();
    let scan = Scan::prefix(Tree::Hot, "demo#ticket@by_status#");
    let (row, _) = store.engine.scan(&scan).await.unwrap().rows.remove(0);
    let mut batch = Batch::default();
    batch.delete(Tree::Hot, row.clone());
    store.engine.commit(batch).await.unwrap();
    store.close();
    row
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_on_disk_is_found_and_repaired_from_the_shell() {
    let mut server = Server::start().await;
    for number in 0..3 {
        let ticket = json!({"subject": number.to_string(), "status": "open",
            "opened_at": "2026-03-01T00:00:00Z"});
        ok(server.post("/v1/tenants/demo/records/ticket", &ticket)).await;
    }
    server.stop();
    let row = damage(&server).await;

    let found = command(&server.data(), &["store", "check", "--json"])
        .output()
        .unwrap();
    assert_eq!(found.status.code(), Some(1));
    let found: serde_json::Value = serde_json::from_slice(&found.stdout).unwrap();
    let keys: Vec<_> = found["problems"].as_array().unwrap().iter().collect();
    assert!(
        keys.iter()
            .any(|p| p["key"] == row.escape_ascii().to_string().as_str()),
        "{found}"
    );
    assert_eq!(found["repaired"], 0);

    let mended = run(&server.data(), &["store", "check", "--repair"]);
    assert_eq!(mended["repaired"], mended["problems_total"], "{mended}");
    let sound = run(&server.data(), &["store", "check"]);
    assert_eq!(sound["problems"], json!([]));

    server.run();
    let list = "/v1/tenants/demo/records/ticket?status=open&order=opened_at&count=true";
    let page = ok(server.get(list)).await;
    assert_eq!(page["items"].as_array().unwrap().len(), 3);
    assert_eq!(page["count"], 3);
}
