//! What the console lives on: its page at each of its addresses, the overview, the
//! stream of what changes, settings and sizes.

use std::time::Duration;

use reqwest::{Method, Response};
use serde_json::{Value as Json, json};

use crate::server::{Server, command, ok, problem, text};

#[tokio::test]
async fn the_page_stands_at_every_address_of_the_console_and_nowhere_else() {
    let server = Server::start().await;
    let get = |path: &str| server.anonymous(Method::GET, path).send();
    let page = get("/").await.unwrap().text().await.unwrap();
    for path in [
        "/tenants",
        "/records/acme/ticket/a%23b",
        "/app",
        "/jobs/daily",
        "/runs/acme.daily.1",
        "/reports/acme/1",
        "/archive/acme",
        "/settings",
    ] {
        let response = get(path).await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(response.headers()["cache-control"], "no-cache", "{path}");
        assert_eq!(response.text().await.unwrap(), page, "{path}");
    }
    for path in ["/tenant", "/recordss/a", "/v1/nothing", "/assets/none.js"] {
        problem(server.anonymous(Method::GET, path), 404, "not_found").await;
    }
    let write = server.anonymous(Method::POST, "/tenants");
    problem(write, 404, "not_found").await;
}

#[tokio::test]
async fn the_overview_counts_what_was_asked_and_how_it_went() {
    let server = Server::start().await;
    let operator = server.operator().await;
    for _ in 0..20 {
        ok(server.get("/v1/tenants/demo/records/ticket")).await;
    }
    let mut overview = Json::Null;
    for _ in 0..80 {
        overview = ok(server.bearer(&operator, Method::GET, "/v1/overview")).await;
        if overview["samples"][0]["requests"].as_u64() > Some(0) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let sample = &overview["samples"][0];
    assert!(sample["requests"].as_u64() >= Some(20), "{overview}");
    assert!(sample["p99_ms"].as_f64() >= sample["p50_ms"].as_f64());
    assert!(sample["p50_ms"].as_f64() > Some(0.0) && sample["disk_bytes"].as_u64() > Some(0));
    assert_eq!(
        (&overview["tenants"], &overview["read_only"]),
        (&json!(1), &Json::Null)
    );
    problem(server.get("/v1/overview"), 403, "operator_only").await;
}

#[tokio::test]
async fn listeners_are_told_what_to_look_at_again() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let listen = server.bearer(&operator, Method::GET, "/v1/events");
    let mut stream = listen.send().await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    assert_eq!(heard(&mut stream, "retry").await, "retry: 2000\n\n");
    let wish = json!({"id": "late", "name": "Late"});
    let create = server.bearer(&operator, Method::POST, "/v1/tenants");
    ok(create.json(&wish)).await;
    let told = heard(&mut stream, "event: changed").await;
    assert!(told.contains("tenants"), "{told}");
    let app = ok(server.bearer(&operator, Method::GET, "/v1/app")).await;
    let index = "[[entity.ticket.index]]\nname = \"by_subject\"\nfields = [\"subject\"]\n";
    let more = format!("{}\n{index}", text(&app["source"]));
    server.apply(&operator, &more).await;
    let told = heard(&mut stream, "event: changed").await;
    assert!(told.contains("app"), "{told}");
    let sample = heard(&mut stream, "event: sample").await;
    assert!(sample.contains("\"requests\":"), "{sample}");
    problem(server.get("/v1/events"), 403, "operator_only").await;
}

#[tokio::test]
async fn a_stream_does_not_hold_up_the_servers_end() {
    let mut server = Server::start().await;
    let operator = server.operator().await;
    let listen = server.bearer(&operator, Method::GET, "/v1/events");
    let mut stream = listen.send().await.unwrap();
    heard(&mut stream, "retry").await;
    let began = std::time::Instant::now();
    server.stop();
    // Its connections have 20 seconds to end by themselves.
    assert!(began.elapsed() < Duration::from_secs(10));
    while let Ok(Some(_)) = stream.chunk().await {}
}

/// Reads events until one holds `part`.
async fn heard(stream: &mut Response, part: &str) -> String {
    let reading = async {
        loop {
            let chunk = stream.chunk().await.unwrap().expect("the stream goes on");
            let said = String::from_utf8(chunk.to_vec()).unwrap();
            if said.contains(part) {
                return said;
            }
        }
    };
    let patience = Duration::from_secs(12);
    let heard = tokio::time::timeout(patience, reading).await;
    heard.unwrap_or_else(|_| panic!("never heard {part}"))
}

#[tokio::test]
async fn activity_is_that_of_the_tenants_own_keys() {
    let server = Server::start().await;
    let operator = server.operator().await;
    for _ in 0..3 {
        ok(server.get("/v1/tenants/demo/records/ticket")).await;
        let look = server.bearer(&operator, Method::GET, "/v1/tenants/demo/records/ticket");
        ok(look).await;
    }
    let activity = ok(server.bearer(&operator, Method::GET, "/v1/activity")).await;
    let row = &activity["tenants"][0];
    assert_eq!(
        (&row["tenant"], &row["requests"]),
        (&json!("demo"), &json!(3))
    );
    assert_eq!((&row["errors"], &row["refused"]), (&json!(0), &json!(0)));
    assert!(row["last_request_at"].as_str() >= activity["since"].as_str());
}

#[tokio::test]
async fn settings_say_where_they_come_from() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let config = ok(server.bearer(&operator, Method::GET, "/v1/config")).await;
    let items = config["items"].as_array().unwrap();
    let of = |key: &str| items.iter().find(|item| item["key"] == key).unwrap();
    assert_eq!(of("limits.page_items_max")["value"], 500);
    assert_eq!(of("limits.page_items_max")["source"], "default");
    assert_eq!(of("limits.page_items_max")["origin"], Json::Null);
    assert_eq!(of("server.listen")["source"], "flag");
    assert_eq!(of("server.listen")["origin"], "--listen");
    assert!(items.len() > 40, "{}", items.len());
    assert_eq!(text(&config["data"]), server.data().display().to_string());
    problem(server.get("/v1/config"), 403, "operator_only").await;
}

#[tokio::test]
async fn entities_and_indexes_are_shown_and_weighed() {
    let server = Server::start().await;
    let operator = server.operator().await;
    for number in 0..40 {
        let ticket = json!({"subject": number.to_string(), "status": "open",
            "opened_at": "2026-03-01T00:00:00Z"});
        ok(server.post("/v1/tenants/demo/records/ticket", &ticket)).await;
    }
    let app = ok(server.bearer(&operator, Method::GET, "/v1/app")).await;
    let entities = app["entities"].as_array().unwrap();
    let ticket = entities.iter().find(|one| one["name"] == "ticket").unwrap();
    assert_eq!(
        (&ticket["title"], &ticket["built_in"]),
        (&json!("subject"), &json!(false))
    );
    assert_eq!(ticket["schema"]["properties"]["subject"]["type"], "string");
    let index = &ticket["indexes"][0];
    assert_eq!(index["fields"], json!(["status", "opened_at"]));
    assert_eq!(
        (&index["state"], &index["internal"]),
        (&json!("ready"), &json!(false))
    );
    assert_eq!(entities.last().unwrap()["built_in"], true);

    let sizes = ok(server.get("/v1/tenants/demo/entities")).await;
    let of = |items: &Json, of: &str, is: &str| {
        let mut items = items["items"].as_array().unwrap().iter();
        items.find(|item| item[of] == is).unwrap().clone()
    };
    let tickets = of(&sizes, "entity", "ticket");
    assert_eq!(
        (&tickets["hot"]["records"], &tickets["archive"]["records"]),
        (&json!(40), &json!(0))
    );
    let costs = ok(server.get("/v1/tenants/demo/indexes")).await;
    let cost = of(&costs, "index", "by_status");
    assert_eq!(
        (&cost["rows_estimated"], &cost["sampled"]),
        (&json!(40), &json!(40))
    );
    let (row, all) = (
        cost["bytes_per_row"].as_f64(),
        cost["bytes_estimated"].as_f64(),
    );
    assert!(
        row > Some(20.0) && all.unwrap() >= row.unwrap().floor() * 40.0,
        "{cost}"
    );
    let units = cost["write_units_per_record"].as_f64().unwrap();
    assert!((units - row.unwrap() / 1_024.0).abs() < 0.01, "{cost}");
    let _ = command(&server.data(), &["tenant", "create", "other"]).output();
    problem(server.get("/v1/tenants/other/indexes"), 404, "not_found").await;
}
