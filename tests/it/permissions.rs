//! Every route of the OpenAPI document, as everybody, against the one table.

use reqwest::{Method, StatusCode};
use serde_json::{Value as Json, json};
use tenantry::{
    http::permissions::{Need, TABLE},
    service::Scope,
};

use crate::server::{Server, ok, text};

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Nobody,
    OtherTenant,
    ReadKey,
    WriteKey,
    AdminKey,
    Operator,
}

/// What the table says the answer has to be: a status that refuses, or `None` for
/// whatever the handler makes of an empty request.
fn expected(need: Need, who: Who, tenant_route: bool) -> Option<u16> {
    match (need, who) {
        (Need::Public, _) | (_, Who::Operator) => None,
        // The test is on the machine itself.
        (Need::OperatorOrLoopback, _) => None,
        (_, Who::Nobody) => Some(401),
        (Need::SignedIn, _) => None,
        (_, Who::OtherTenant) if tenant_route => Some(404),
        (Need::Operator, _) => Some(403),
        (Need::Tenant(scope), _) => {
            let has: &[Scope] = match who {
                Who::ReadKey => &[Scope::Read],
                Who::WriteKey => &[Scope::Read, Scope::Write],
                _ => &[Scope::Read, Scope::Write, Scope::Admin],
            };
            (!has.contains(&scope)).then_some(403)
        }
    }
}

fn routes(document: &Json) -> Vec<(String, String)> {
    let mut routes = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let known = ["get", "post", "put", "patch", "delete"].contains(&method.as_str());
            assert!(known, "{method} {path}");
            routes.push((method.to_uppercase(), path.clone()));
        }
    }
    routes
}

#[tokio::test]
async fn every_route_is_as_the_table_says() {
    let server = Server::start().await;
    let document = ok(server.anonymous(Method::GET, "/openapi.json")).await;
    let routes = routes(&document);
    let mut documented: Vec<_> = routes
        .iter()
        .map(|(m, p)| (m.as_str(), p.as_str()))
        .collect();
    let mut tabled: Vec<_> = TABLE.iter().map(|(m, p, _)| (*m, *p)).collect();
    documented.sort_unstable();
    tabled.sort_unstable();
    assert_eq!(documented, tabled, "the document and the table differ");

    let operator = server.operator().await;
    let make = |scopes: Json| {
        let request = server.bearer(&operator, Method::POST, "/v1/tenants/demo/keys");
        ok(request.json(&json!({ "scopes": scopes })))
    };
    let read = text(&make(json!(["read"])).await["key"]);
    let write = text(&make(json!(["read", "write"])).await["key"]);
    let admin = text(&make(json!(["read", "write", "admin"])).await["key"]);
    let other = server.tenant("other");
    for (method, path, need) in TABLE {
        for who in [
            Who::Nobody,
            Who::OtherTenant,
            Who::ReadKey,
            Who::WriteKey,
            Who::AdminKey,
            Who::Operator,
        ] {
            // The sign-out of a session that all the others need comes last.
            if *path == "/v1/auth/logout" && who == Who::Operator {
                continue;
            }
            let url = path
                .replace("{tenant}", "demo")
                .replace("{entity}", "nothing")
                .replace("{id}", "nothing")
                .replace("{key}", "nothing")
                .replace("{email}", "nobody@example.com");
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let request = match who {
                Who::Nobody => server.anonymous(method.clone(), &url),
                Who::OtherTenant => server.bearer(&other, method.clone(), &url),
                Who::ReadKey => server.bearer(&read, method.clone(), &url),
                Who::WriteKey => server.bearer(&write, method.clone(), &url),
                Who::AdminKey => server.bearer(&admin, method.clone(), &url),
                Who::Operator => server.bearer(&operator, method.clone(), &url),
            };
            let status = request.send().await.unwrap().status();
            let tenant_route = path.contains("{tenant}");
            match expected(*need, who, tenant_route) {
                Some(refusal) => {
                    assert_eq!(status, refusal, "{method} {path} as {who:?}");
                }
                None => {
                    // Admitted: whatever follows, it is not for the caller's sake.
                    let refused = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN];
                    assert!(
                        !refused.contains(&status),
                        "{method} {path} as {who:?}: {status}"
                    );
                    assert!(
                        !status.is_server_error(),
                        "{method} {path} as {who:?}: {status}"
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn another_tenants_things_are_not_there() {
    let server = Server::start().await;
    let other = server.tenant("other");
    let ticket = json!({"subject": "s", "status": "open", "opened_at": "2026-03-01T00:00:00Z"});
    let made = ok(server.post("/v1/tenants/demo/records/ticket", &ticket)).await;
    let path = format!("/v1/tenants/demo/records/ticket/{}", text(&made["id"]));
    let theirs = server
        .bearer(&other, Method::GET, &path)
        .send()
        .await
        .unwrap();
    let nowhere = path.replace("demo", "nowhere");
    let nowhere = server
        .bearer(&other, Method::GET, &nowhere)
        .send()
        .await
        .unwrap();
    assert_eq!(theirs.status(), 404);
    assert_eq!(nowhere.status(), 404);
    let (theirs, nowhere): (Json, Json) =
        (theirs.json().await.unwrap(), nowhere.json().await.unwrap());
    let told = |problem: &Json| text(&problem["detail"]).replace("demo", "nowhere");
    assert_eq!(told(&theirs), told(&nowhere), "existence leaks");
}
