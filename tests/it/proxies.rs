//! What proxies say of their clients, and who is believed.

use reqwest::Method;
use serde_json::json;

use crate::server::Server;

/// Signs in through what claims to be a proxy; the cookie, and the address in the log.
async fn through(server: &Server, headers: &[(&str, &str)]) -> (String, String) {
    let body = json!({"email": "admin@localhost", "password": server.password});
    let mut request = server.anonymous(Method::POST, "/v1/auth/login").json(&body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    let (cookie, id) = (header("set-cookie"), header("x-request-id"));
    for _ in 0..500 {
        let log = server.log();
        let line = log
            .iter()
            .find(|l| l.contains("\"answered\"") && l.contains(&id));
        if let Some(line) = line {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let address = line["client"].as_str().unwrap_or_default().to_owned();
            return (cookie, address);
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("nothing was logged: {:#?}", server.log());
}

#[tokio::test]
async fn a_proxy_that_is_named_is_believed() {
    let server = Server::start_with(&[("TENANTRY_LOG__FORMAT", "json")]).await;
    let told = [
        ("x-forwarded-for", "6.6.6.6, 1.2.3.4"),
        ("x-forwarded-proto", "https"),
        ("forwarded", "for=7.7.7.7"),
    ];
    let (cookie, address) = through(&server, &told).await;
    assert!(cookie.contains("; Secure"), "{cookie}");
    assert_eq!(address, "1.2.3.4");
    let (cookie, address) = through(&server, &[]).await;
    assert!(!cookie.contains("; Secure"), "{cookie}");
    assert_eq!(address, "127.0.0.1");
}

#[tokio::test]
async fn a_stranger_is_not() {
    let server = Server::start_with(&[
        ("TENANTRY_LOG__FORMAT", "json"),
        ("TENANTRY_SERVER__TRUSTED_PROXIES", "10.0.0.1"),
    ])
    .await;
    let told = [
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-proto", "https"),
    ];
    let (cookie, address) = through(&server, &told).await;
    assert!(!cookie.contains("; Secure"), "{cookie}");
    assert_eq!(address, "127.0.0.1");
}
