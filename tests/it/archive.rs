//! The archive tier over HTTP and from the shell, in the real binary: rules carried out
//! by jobs, records brought back, holds, purges with receipts, a server that is killed
//! while records move.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::server::{Server, command, json as told, ok, problem, text};

const APP: &str = r#"
[entity.ticket.schema]
required = ["subject", "status"]
properties.subject = { type = "string" }
properties.status = { enum = ["open", "closed"] }
properties.closed_at = { type = "string", format = "date-time" }
properties.number = { type = "integer" }

[[entity.ticket.index]]
name = "by_status"
fields = ["status", "closed_at"]

[[entity.ticket.index]]
name = "by_number"
fields = ["number"]
unique = true

[entity.ticket.archive]
when = { status = "closed" }
by = "closed_at"
after = "90d"
purge_after = "20y"
with = ["comment"]

[entity.comment.schema]
required = ["ticket_id", "text"]
properties.ticket_id = { type = "string" }
properties.text = { type = "string" }

[[entity.comment.index]]
name = "by_ticket"
fields = ["ticket_id", "created_at"]

[job.archive]
kind = "archive"
retries = { max = 3, first = "1s" }
with = { entities = ["ticket"] }

[job.by-status]
kind = "report"
with = { entity = "ticket", by = "closed_at", group_by = "status", period = { from = "2019-01-01", to = "2020-01-01" } }

[job.purge]
kind = "purge"
retries = { max = 3, first = "1s" }
"#;

/// Comments of a ticket that has some.
const COMMENTS: u64 = 20;

/// Nine tickets of ten are closed; each hundredth has comments, more than fit into
/// one commit.
fn lines(from: usize, to: usize) -> (String, String) {
    let (mut tickets, mut comments) = (String::new(), String::new());
    for n in from..to {
        let id = format!("t{n:05}");
        let status = if n % 10 == 0 { "open" } else { "closed" };
        let ticket = json!({
            "id": id,
            "subject": format!("Ticket {n} about the printer on floor {}", n % 7),
            "status": status,
            "closed_at": format!("2019-{:02}-{:02}T08:00:00Z", n % 12 + 1, n % 28 + 1),
            "number": n,
        });
        tickets += &format!("{ticket}\n");
        for number in 0..(if n % 100 == 1 { COMMENTS } else { 0 }) {
            let comment = json!({"ticket_id": id, "text": format!("comment {number} on {id}")});
            comments += &format!("{comment}\n");
        }
    }
    (tickets, comments)
}

async fn import(server: &Server, operator: &str, entity: &str, lines: String, id: &str) {
    let path = format!("/v1/tenants/demo/import?entity={entity}&format=ndjson{id}");
    let request = server.bearer(operator, Method::POST, &path);
    let request = request.header("content-type", "application/x-ndjson");
    let report = request.body(lines).send().await.unwrap();
    assert_eq!(report.status(), 200, "{}", report.text().await.unwrap());
}

async fn filled(server: &Server, tickets: usize) -> String {
    let operator = server.operator().await;
    server.apply(&operator, APP).await;
    let (tickets, comments) = lines(0, tickets);
    import(server, &operator, "ticket", tickets, "&id_field=id").await;
    import(server, &operator, "comment", comments, "").await;
    operator
}

async fn count(server: &Server, entity: &str, query: &str) -> u64 {
    let path = format!("/v1/tenants/demo/records/{entity}?count=true&limit=1{query}");
    ok(server.get(&path)).await["count"].as_u64().unwrap()
}

async fn status(server: &Server) -> Json {
    let path = "/v1/tenants/demo/archive";
    ok(server.get(path)).await["items"][1].clone()
}

fn sound(server: &Server) {
    let report = told(&server.data(), &["store", "check"]);
    assert_eq!(report["problems"], json!([]), "{report}");
}

#[tokio::test]
async fn rules_archive_what_is_due_and_nothing_else() {
    let server = Server::start().await;
    let operator = filled(&server, 2_000).await;
    let plan = told(&server.data(), &["archive", "plan", "-t", "demo"]);
    let plan = &plan["items"][0];
    assert_eq!(
        (
            &plan["archive_records"],
            &plan["ready"],
            &plan["purge_records"]
        ),
        (&json!(1_800), &json!(true), &json!(0)),
        "{plan}"
    );
    assert!(plan["hot_bytes_after"].as_u64().unwrap() * 9 < plan["hot_bytes"].as_u64().unwrap());
    let runs = told(&server.data(), &["archive", "run", "-t", "demo"]);
    let run = &runs["items"][0];
    assert_eq!(run["state"], "succeeded", "{run}");
    // The comments of closed tickets went along.
    assert_eq!(run["progress"]["done"], 1_800 + 400);
    for (tier, tickets, comments) in [
        ("hot", 200, 0),
        ("archive", 1_800, 400),
        ("all", 2_000, 400),
    ] {
        let tier = format!("&tier={tier}");
        assert_eq!(count(&server, "ticket", &tier).await, tickets);
        assert_eq!(count(&server, "comment", &tier).await, comments);
        let closed = format!("&status=closed{tier}");
        let wanted = if tickets == 200 { 0 } else { 1_800 };
        assert_eq!(count(&server, "ticket", &closed).await, wanted);
    }
    let status = status(&server).await;
    assert_eq!(status["entity"], "ticket");
    assert_eq!(status["oldest_due"], Json::Null);
    assert_eq!(status["archive"]["dictionary"]["samples"], 1_800);
    assert!(
        status["archive"]["ratio"].as_f64().unwrap() > 2.5,
        "{status}"
    );
    sound(&server);
    // Nothing is left to do.
    let runs = told(&server.data(), &["archive", "run", "-t", "demo"]);
    assert_eq!(runs["items"][0]["state"], "skipped");
    // A report counts them all the same.
    let path = "/v1/jobs/by-status/run";
    let request = server.bearer(&operator, Method::POST, path);
    let request = request.json(&json!({"tenants": ["demo"]}));
    assert_eq!(request.send().await.unwrap().status(), 202);
    settled(&server, &operator).await;
    let report = ok(server.get("/v1/tenants/demo/records/report?job=by-status")).await;
    let report = &report["items"][0]["data"];
    assert_eq!(report["total"], 2_000, "{report}");
    assert_eq!(report["groups"][0]["count"], 1_800);
    // One comes back, with its comments, and stays.
    let path = "/v1/tenants/demo/records/ticket/t00001";
    let record = ok(server.get(path)).await;
    assert_eq!(record["tier"], "archive");
    problem(
        server.put(path, &json!({"subject": "x", "status": "open"})),
        409,
        "record_archived",
    )
    .await;
    let back = ok(server.post(&format!("{path}/restore"), &Json::Null)).await;
    assert_eq!(
        (&back["tier"], &back["data"]),
        (&json!("hot"), &record["data"])
    );
    assert_eq!(count(&server, "comment", "&tier=hot").await, COMMENTS);
    let runs = told(&server.data(), &["archive", "run", "-t", "demo"]);
    assert_eq!(runs["items"][0]["state"], "skipped");
    let again = ok(server.post(&format!("{path}/archive"), &Json::Null)).await;
    assert_eq!(again["tier"], "archive");
    assert_eq!(count(&server, "comment", "&tier=hot").await, 0);
    problem(
        server.post("/v1/tenants/demo/records/ticket/none/archive", &Json::Null),
        404,
        "not_found",
    )
    .await;
    let metrics = server.bearer(&operator, Method::GET, "/metrics");
    let metrics = metrics.send().await.unwrap().text().await.unwrap();
    assert!(
        metrics.contains("tenantry_archive_moved_records_total{way=\"archive\"}"),
        "{metrics}"
    );
    sound(&server);
}

#[tokio::test]
async fn records_move_by_query_and_come_back() {
    let server = Server::start().await;
    let operator = filled(&server, 1_000).await;
    let data = server.data();
    let query = "status=open&closed_at[lt]=2019-07-01";
    let args = [
        "archive", "run", "-t", "demo", "-e", "ticket", "--where", query,
    ];
    let run = &told(&data, &args)["items"][0];
    assert_eq!(run["state"], "succeeded", "{run}");
    let moved = count(&server, "ticket", "&status=open&tier=archive").await;
    assert_eq!(run["progress"]["done"], moved);
    assert!(moved > 20, "{moved}");
    let args = [
        "archive",
        "restore",
        "demo",
        "ticket",
        "--where",
        "status=open",
    ];
    let run = &told(&data, &args)["items"][0];
    assert_eq!(
        (&run["state"], &run["progress"]["done"]),
        (&json!("succeeded"), &json!(moved))
    );
    assert_eq!(count(&server, "ticket", "&tier=archive").await, 0);
    let call = |query: &str, entity: &str| {
        let request = server.bearer(&operator, Method::POST, "/v1/tenants/demo/archive");
        request.json(&json!({"entity": entity, "query": query}))
    };
    problem(call("subject=x", "ticket"), 422, "query_needs_index").await;
    problem(call("tier=archive", "ticket"), 400, "bad_request").await;
    problem(call("", "comment"), 400, "bad_request").await;
    problem(call("", "none"), 404, "not_found").await;
    sound(&server);
}

#[tokio::test]
async fn a_tenant_has_durations_of_its_own_and_purges_leave_receipts() {
    let server = Server::start().await;
    filled(&server, 500).await;
    let data = server.data();
    let set = |pairs: &[&str]| {
        let args: Vec<&str> = ["tenant", "set", "demo"]
            .iter()
            .chain(pairs)
            .copied()
            .collect();
        told(&data, &args)
    };
    let tenant = set(&["archive.ticket.after=30y"]);
    assert_eq!(tenant["archive"]["ticket"]["after"], "30y");
    let plan = told(&data, &["archive", "plan", "-t", "demo"]);
    assert_eq!(plan["items"][0]["archive_records"], 0);
    assert_eq!(plan["items"][0]["rule"]["own"], true);
    for wrong in [
        "archive.ticket.after=soon",
        "archive.comment.after=30d",
        "archive.none.after=30d",
    ] {
        let out = command(&data, &["tenant", "set", "demo", wrong])
            .output()
            .unwrap();
        assert_eq!(out.status.code(), Some(1), "{wrong}: {out:?}");
    }
    set(&["archive.ticket.after=", "archive.ticket.purge_after=1y"]);
    told(&data, &["archive", "run", "-t", "demo"]);
    assert_eq!(count(&server, "ticket", "&tier=archive").await, 450);
    // A rule of its own can be taken back when there is nothing to take back, too.
    set(&["archive.comment.after="]);
    // A comment on an archived ticket goes when the ticket goes.
    let path = "/v1/tenants/demo/records/comment";
    let late = json!({"ticket_id": "t00101", "text": "late"});
    let made = server.by_key(Method::POST, path).json(&late).send().await;
    assert_eq!(made.unwrap().status(), 201);
    // A hold on one of them keeps it, and its comments.
    let args = [
        "archive", "hold", "set", "demo", "-e", "ticket", "--record", "t00001", "--reason",
        "a case",
    ];
    let hold = told(&data, &args);
    let runs = told(&data, &["archive", "run", "--purge", "-t", "demo"]);
    assert_eq!(runs["items"][0]["state"], "succeeded", "{runs}");
    assert_eq!(count(&server, "ticket", "&tier=archive").await, 1);
    assert_eq!(count(&server, "comment", "&tier=all").await, COMMENTS);
    let receipts = told(&data, &["archive", "receipts", "demo"]);
    let along = receipt_of(&receipts, "comment");
    assert_eq!(along["records"], 4 * COMMENTS + 1);
    assert_eq!(along["along_with"], "ticket");
    let receipt = receipt_of(&receipts, "ticket");
    assert_eq!(receipt["along_with"], Json::Null);
    assert_eq!(
        (
            &receipt["records"],
            &receipt["entity"],
            &receipt["purge_after"]
        ),
        (&json!(449), &json!("ticket"), &json!("1y"))
    );
    assert_eq!(text(&receipt["digest"]).len(), 64);
    assert_eq!(receipt["oldest"], "2019-01-01T08:00:00.000Z");
    problem(
        server.by_key(Method::DELETE, "/v1/tenants/demo/records/ticket/t00001"),
        409,
        "legal_hold",
    )
    .await;
    let id = text(&hold["id"]);
    told(
        &data,
        &[
            "archive", "hold", "lift", "demo", &id, "--reason", "settled",
        ],
    );
    told(&data, &["archive", "run", "--purge", "-t", "demo"]);
    assert_eq!(count(&server, "ticket", "&tier=archive").await, 0);
    assert_eq!(count(&server, "comment", "&tier=all").await, 0);
    // With the last record the dictionary goes, which held pieces of them.
    assert_eq!(status(&server).await["archive"]["dictionary"], Json::Null);
    let lifted = told(&data, &["archive", "hold", "list", "demo", "--lifted"]);
    assert_eq!(lifted["items"][0]["lifted_reason"], "settled");
    sound(&server);
}

fn receipt_of<'a>(receipts: &'a Json, entity: &str) -> &'a Json {
    let items = receipts["items"].as_array().unwrap();
    let found = items.iter().find(|receipt| receipt["entity"] == entity);
    found.unwrap_or_else(|| panic!("no receipt of {entity}: {receipts}"))
}

#[tokio::test]
async fn a_rule_says_what_it_would_do_before_it_is_applied() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let (rest, rule) = APP.split_once("[entity.ticket.archive]").unwrap();
    let without = format!(
        "{rest}{}",
        &rule[rule.find("[entity.comment.schema]").unwrap()..]
    );
    let without = without.replace("with = { entities = [\"ticket\"] }", "");
    let without = &without[..without.find("[job.archive]").unwrap()];
    server.apply(&operator, without).await;
    let (tickets, _) = lines(0, 1_000);
    import(&server, &operator, "ticket", tickets, "&id_field=id").await;
    let file = server.data().with_file_name("new.toml");
    let plan = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let args = [
            "archive",
            "plan",
            "-t",
            "demo",
            "--file",
            file.to_str().unwrap(),
        ];
        told(&server.data(), &args)["items"].clone()
    };
    let planned = plan(APP);
    assert_eq!(planned[0]["archive_records"], 900, "{planned}");
    assert_eq!(planned[0]["complete"], true);
    assert_eq!(planned[0]["rule"]["after"], "90d");
    // Nothing was applied: there is no rule to carry out.
    let applied = told(&server.data(), &["archive", "plan", "-t", "demo"]);
    assert_eq!(applied["items"], json!([]));
    server.apply(&operator, APP).await;
    let by_rows = told(&server.data(), &["archive", "plan", "-t", "demo"]);
    assert_eq!(by_rows["items"][0]["archive_records"], 900);
    // What is in force is left out; other durations read the rule's own rows.
    assert_eq!(plan(APP), json!([]));
    let longer = APP.replace("after = \"90d\"", "after = \"19y\"");
    let longer = plan(&longer);
    assert_eq!(longer[0]["archive_records"], 0);
    told(&server.data(), &["archive", "run", "-t", "demo"]);
    let purge = APP.replace("purge_after = \"20y\"", "purge_after = \"1y\"");
    assert_eq!(plan(&purge)[0]["purge_records"], 900);
    let other = purge.replacen("by = \"closed_at\"", "by = \"updated_at\"", 1);
    assert_eq!(plan(&other)[0]["purge_records"], 0);
    let out = command(&server.data(), &["archive", "plan", "--file", "none.toml"]);
    assert_eq!({ out }.output().unwrap().status.code(), Some(1));
    let path = "/v1/tenants/demo/archive/plan";
    let by_key = server.by_key(Method::POST, path);
    let by_key = by_key.header("content-type", "text/toml").body(APP);
    problem(by_key, 403, "operator_only").await;
}

#[tokio::test]
async fn an_export_of_both_tiers_is_imported_into_both() {
    let server = Server::start().await;
    let operator = filled(&server, 300).await;
    let data = server.data();
    told(&data, &["archive", "run", "-t", "demo"]);
    let file = data.with_file_name("all.ndjson");
    let args = ["export", "-t", "demo", file.to_str().unwrap()];
    assert!(command(&data, &args).status().unwrap().success());
    let made = command(&data, &["tenant", "create", "copy"])
        .status()
        .unwrap();
    assert!(made.success());
    let args = [
        "import",
        "-t",
        "copy",
        "-e",
        "ticket",
        file.to_str().unwrap(),
    ];
    assert!(command(&data, &args).output().unwrap().status.success());
    for tier in ["hot", "archive"] {
        let path =
            |tenant: &str| format!("/v1/tenants/{tenant}/records/ticket?limit=500&tier={tier}");
        let get = async |tenant: &str| {
            let page = server.bearer(&operator, Method::GET, &path(tenant));
            ok(page).await["items"].clone()
        };
        assert_eq!(get("demo").await, get("copy").await, "{tier}");
    }
    sound(&server);
}

#[tokio::test]
async fn a_server_killed_while_records_move_loses_and_doubles_none() {
    let mut server = Server::start().await;
    let rounds = std::env::var("TENANTRY_KILL_ROUNDS");
    let rounds: u64 = rounds.map_or(7, |text| text.parse().unwrap());
    let tickets = rounds * 900;
    let operator = filled(&server, tickets as usize).await;
    let run = |path: &'static str, body: Json| {
        let request = server.bearer(&operator, Method::POST, path);
        request.json(&body)
    };
    let (archive, purge, all) = (
        "/v1/jobs/archive/run",
        "/v1/jobs/purge/run",
        json!({"tenants": ["demo"]}),
    );
    let ask = async |request: reqwest::RequestBuilder| {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 202);
    };
    ask(run(archive, all.clone())).await;
    kill_rounds(&mut server, rounds).await;
    settled(&server, &operator).await;
    assert_eq!(count(&server, "ticket", "&tier=hot").await, tickets / 10);
    let archived = tickets / 10 * 9;
    assert_eq!(count(&server, "ticket", "&tier=archive").await, archived);
    let comments = tickets / 100 * COMMENTS;
    assert_eq!(count(&server, "comment", "&tier=archive").await, comments);
    sound(&server);
    let request = server.bearer(&operator, Method::POST, "/v1/tenants/demo/restore");
    let query = json!({"entity": "ticket", "query": "status=closed&closed_at[lt]=2019-07-01"});
    ask(request.json(&query)).await;
    kill_rounds(&mut server, rounds).await;
    settled(&server, &operator).await;
    let hot = count(&server, "ticket", "&tier=hot").await;
    assert_eq!(
        hot + count(&server, "ticket", "&tier=archive").await,
        tickets
    );
    assert_eq!(
        count(&server, "ticket", "&tier=all&status=closed").await,
        archived
    );
    sound(&server);
    let left = count(&server, "ticket", "&tier=archive").await;
    told(
        &server.data(),
        &["tenant", "set", "demo", "archive.ticket.purge_after=1y"],
    );
    let request = server.bearer(&operator, Method::POST, purge);
    ask(request.json(&all)).await;
    kill_rounds(&mut server, rounds).await;
    settled(&server, &operator).await;
    assert_eq!(count(&server, "ticket", "&tier=archive").await, 0);
    assert_eq!(count(&server, "ticket", "&tier=hot").await, hot);
    let receipts = told(&server.data(), &["archive", "receipts", "demo"]);
    assert_eq!(receipt_of(&receipts, "ticket")["records"], left);
    let comments = comments - count(&server, "comment", "&tier=hot").await;
    assert_eq!(receipt_of(&receipts, "comment")["records"], comments);
    sound(&server);
}

#[tokio::test]
async fn what_goes_along_stays_with_what_was_changed_meanwhile() {
    let mut server = Server::start().await;
    let operator = filled(&server, 6_000).await;
    let request = server.bearer(&operator, Method::POST, "/v1/jobs/archive/run");
    let response = request.json(&json!({"tenants": ["demo"]})).send().await;
    assert_eq!(response.unwrap().status(), 202);
    // Every hundredth ticket has comments. Each is changed when its turn is about to
    // come, where it can happen that its comments have left and it has not.
    let mut reopened = 0;
    let mut due: Vec<usize> = (0..6_000).filter(|n| n % 10 != 0).collect();
    due.sort_by_key(|n| (n % 12, n % 28, *n));
    let with_comments = due.iter().enumerate().filter(|(_, n)| *n % 100 == 1);
    for (number, (place, n)) in with_comments.enumerate() {
        if number % 9 == 8 {
            server.signal(nix::sys::signal::Signal::SIGKILL);
            server.run();
        }
        while count(&server, "ticket", "&tier=archive").await + 40 < place as u64 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let path = format!("/v1/tenants/demo/records/ticket/t{n:05}");
        let open = server.by_key(Method::PATCH, &path);
        let open = open.header("content-type", "application/merge-patch+json");
        let open = open.json(&json!({"status": "open"})).send().await.unwrap();
        match open.status().as_u16() {
            200 => reopened += 1,
            // It is in the archive by now.
            409 => {}
            other => panic!("{other} for number {number}"),
        }
    }
    settled(&server, &operator).await;
    assert!(reopened > 0);
    for n in (1..6_000).step_by(100) {
        let id = format!("t{n:05}");
        let path = format!("/v1/tenants/demo/records/ticket/{id}");
        let tier = ok(server.get(&path)).await["tier"].clone();
        let along = format!("&ticket_id={id}&tier={}", text(&tier));
        let path = format!("/v1/tenants/demo/records/comment?limit=50{along}");
        let page = ok(server.get(&path)).await;
        let comments = page["items"].as_array().unwrap().len() as u64;
        assert_eq!(comments, COMMENTS, "{id} in {tier}");
    }
    sound(&server);
}

/// Kills the server so many times, each time while records move.
async fn kill_rounds(server: &mut Server, rounds: u64) {
    for round in 0..rounds {
        let archived = count(server, "ticket", "&tier=archive").await;
        let began = std::time::Instant::now();
        while count(server, "ticket", "&tier=archive").await == archived {
            let waited = began.elapsed();
            assert!(
                waited < Duration::from_secs(30),
                "nothing moves in round {round}"
            );
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        // Anywhere within the next batches.
        tokio::time::sleep(Duration::from_millis(round * 7 % 20)).await;
        server.signal(nix::sys::signal::Signal::SIGKILL);
        server.run();
    }
}

/// Waits until no run waits or is under way, and none failed. Twice in a row: one that
/// a restart takes back goes from one list to the other between two looks.
async fn settled(server: &Server, operator: &str) {
    let mut quiet = 0;
    for _ in 0..600 {
        let list = async |state: &str| {
            let path = format!("/v1/runs?state={state}");
            let page = ok(server.bearer(operator, Method::GET, &path)).await;
            page["items"].as_array().unwrap().len()
        };
        for state in ["failed", "dead", "timed_out"] {
            assert_eq!(list(state).await, 0, "{state}");
        }
        let left = list("queued").await + list("running").await;
        quiet = if left == 0 { quiet + 1 } else { 0 };
        if quiet == 2 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("runs do not end");
}

/// A restored record is not due before its time, wherever an export takes it.
#[tokio::test]
async fn an_export_says_how_long_a_restored_record_stays() {
    let server = Server::start().await;
    let operator = filled(&server, 10).await;
    for way in ["archive", "restore"] {
        let path = format!("/v1/tenants/demo/records/ticket/t00001/{way}");
        ok(server.bearer(&server.key, Method::POST, &path)).await;
    }
    let path = "/v1/tenants/demo/records/ticket/t00001";
    let restored = ok(server.get(path)).await;
    let until = text(&restored["restored_until"]);
    assert!(!until.is_empty(), "{restored}");
    let export = server.get("/v1/tenants/demo/export?entity=ticket");
    let export = export.send().await.unwrap().text().await.unwrap();
    assert!(export.contains(&until), "{export}");
    let _ = command(&server.data(), &["tenant", "create", "copy"]).output();
    let path = "/v1/tenants/copy/import?entity=ticket&id_field=id";
    let request = server.bearer(&operator, Method::POST, path);
    let request = request.header("content-type", "application/x-ndjson");
    assert_eq!(ok(request.body(export)).await["created"], 10);
    let path = "/v1/tenants/copy/records/ticket/t00001";
    let copied = ok(server.bearer(&operator, Method::GET, path)).await;
    assert_eq!(text(&copied["restored_until"]), until);
}
