//! Answers are as `/openapi.json` says: what is generated from it reads them.

use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::server::{Server, json as run, ok};

/// What can be asked for without knowing more than a tenant and an entity.
fn addresses(document: &Json) -> impl Iterator<Item = (String, &Json)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths.filter_map(|(path, item)| {
        let schema = &item["get"]["responses"]["200"]["content"]["application/json"]["schema"];
        let address = path
            .replace("{tenant}", "demo")
            .replace("{entity}", "ticket");
        (schema.is_object() && !address.contains('{')).then_some((address, schema))
    })
}

#[tokio::test]
async fn every_answer_is_as_the_document_says() {
    let server = Server::start().await;
    let operator = server.operator().await;
    // One of everything that is listed.
    let ticket = json!({"subject": "a", "status": "open", "opened_at": "2026-03-01T00:00:00Z"});
    ok(server.put("/v1/tenants/demo/records/ticket/a", &ticket)).await;
    let data = server.data();
    run(
        &data,
        &["job", "run", "daily-report", "--tenant", "demo", "--wait"],
    );
    run(&data, &["job", "pause", "daily-report"]);
    run(
        &data,
        &["archive", "hold", "set", "demo", "--reason", "a case"],
    );
    run(&data, &["backup", "create", "--verify"]);
    let document = ok(server.anonymous(Method::GET, "/openapi.json")).await;
    let mut looked_at = 0;
    for (address, schema) in addresses(&document) {
        let answer = ok(server.bearer(&operator, Method::GET, &address)).await;
        let mut schema = schema.clone();
        schema["components"] = document["components"].clone();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let wrong: Vec<_> = validator
            .iter_errors(&answer)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(wrong.is_empty(), "{address}: {wrong:#?} in {answer:#}");
        looked_at += 1;
    }
    assert!(looked_at > 20, "{looked_at}");
}
