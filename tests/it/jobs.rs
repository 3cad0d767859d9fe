//! Jobs over HTTP and from the shell, in the real binary: reports, webhooks, the life
//! of a run, and a server that is killed while it works.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::{Duration, Instant},
};

use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::server::{Server, command, ok, problem, text};

const APP: &str = r#"
[entity.order.schema]
required = ["status", "at", "total"]
properties.status = { type = "string" }
properties.at = { type = "string", format = "date-time" }
properties.total = { type = "number" }

[[entity.order.index]]
name = "by_at"
fields = ["at"]

[[entity.order.index]]
name = "by_status"
fields = ["status", "at"]

[job.daily]
kind = "report"
schedule = "0 6 * * *"
with = { entity = "order", by = "at", group_by = "status", measures = ["total"], period = { from = "2026-03-01", to = "2026-04-01" } }

[job.by-week]
kind = "report"
timezone = "Europe/Vienna"
with = { entity = "order", by = "at", bucket = "week", period = { from = "2026-03-01", to = "2026-04-01" } }
"#;

async fn filled(server: &Server, operator: &str, app: &str, records: usize) {
    server.apply(operator, app).await;
    let lines: String = (0..records)
        .map(|n| {
            let status = ["new", "paid", "sent"][n % 3];
            let at = format!("2026-03-{:02}T{:02}:30:00Z", n % 31 + 1, n % 24);
            let total = n as f64 / 10.0;
            json!({"status": status, "at": at, "total": total}).to_string() + "\n"
        })
        .collect();
    let path = "/v1/tenants/demo/import?entity=order&format=ndjson";
    let request = server.bearer(operator, Method::POST, path);
    let request = request.header("content-type", "application/x-ndjson");
    let report = request.body(lines).send().await.unwrap();
    assert_eq!(report.status(), 200, "{}", report.text().await.unwrap());
}

async fn ask(server: &Server, operator: &str, job: &str) -> String {
    let request = server.bearer(operator, Method::POST, &format!("/v1/jobs/{job}/run"));
    let response = request
        .json(&json!({"tenants": ["demo"]}))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 202);
    let asked: Json = response.json().await.unwrap();
    assert_eq!(asked["queued"], 1);
    text(&asked["runs"][0])
}

async fn over(server: &Server, operator: &str, run: &str) -> Json {
    let began = Instant::now();
    loop {
        let shown = ok(server.bearer(operator, Method::GET, &format!("/v1/runs/{run}"))).await;
        if !matches!(shown["state"].as_str(), Some("queued" | "running")) {
            return shown;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{shown}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_report_counts_and_sums_what_the_records_say() {
    let server = Server::start().await;
    let operator = server.operator().await;
    filled(&server, &operator, APP, 3_100).await;
    let run = over(&server, &operator, &ask(&server, &operator, "daily").await).await;
    assert_eq!(run["state"], "succeeded", "{run}");
    assert_eq!(
        (&run["reason"], &run["attempt"]),
        (&json!("manual"), &json!(1))
    );
    assert_eq!(run["progress"]["done"], 3_100);
    let id = text(&run["result"]["id"]);
    let report = ok(server.get(&format!("/v1/tenants/demo/records/report/{id}"))).await;
    let data = &report["data"];
    assert_eq!(
        (&data["total"], &data["entity"]),
        (&json!(3_100), &json!("order"))
    );
    for (n, status) in ["new", "paid", "sent"].iter().enumerate() {
        let totals = (n..3_100).step_by(3).map(|n| n as f64 / 10.0);
        let (count, sum) = (totals.clone().count(), totals.clone().sum::<f64>());
        let group = &data["groups"][n];
        assert_eq!(
            (&group["key"], &group["count"]),
            (&json!(status), &json!(count))
        );
        let near = |member: &str, wanted: f64| {
            let found = group["total"][member].as_f64().unwrap();
            assert!(
                (found - wanted).abs() < 1e-6,
                "{status} {member} {found} {wanted}"
            );
        };
        near("sum", sum);
        near("avg", sum / count as f64);
        near("min", n as f64 / 10.0);
        near("max", totals.max_by(f64::total_cmp).unwrap());
    }
    let csv = server
        .get(&format!("/v1/tenants/demo/reports/{id}/csv"))
        .send();
    let csv = csv.await.unwrap().text().await.unwrap();
    assert!(
        csv.starts_with("status,count,total.count,total.sum,"),
        "{csv}"
    );
    assert_eq!(csv.lines().count(), 4);

    // Nobody else makes one; everybody may list and delete them.
    let reports = "/v1/tenants/demo/records/report";
    problem(
        server.post(reports, &json!({"job": "x"})),
        422,
        "invalid_record",
    )
    .await;
    let listed = ok(server.get(&format!("{reports}?job=daily&order=-from"))).await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);

    let run = over(
        &server,
        &operator,
        &ask(&server, &operator, "by-week").await,
    )
    .await;
    let id = text(&run["result"]["id"]);
    let report = ok(server.get(&format!("{reports}/{id}"))).await;
    let weeks = report["data"]["groups"].as_array().unwrap().clone();
    let mondays: Vec<_> = weeks.iter().map(|week| text(&week["bucket"])).collect();
    let wanted = [
        "2026-02-23",
        "2026-03-02",
        "2026-03-09",
        "2026-03-16",
        "2026-03-23",
        "2026-03-30",
    ];
    assert_eq!(mondays, wanted);
    // March in Vienna ends at 22:00 of its last day, and begins at 23:00 of the day before.
    let last_hours = (0..3_100).filter(|n| n % 31 == 30 && n % 24 >= 22).count();
    assert_eq!(report["data"]["total"], 3_100 - last_hours);
}

#[tokio::test]
async fn what_an_index_does_not_serve_is_refused_with_the_lines_to_add() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let app = APP.replace("fields = [\"at\"]", "fields = [\"total\"]");
    let put = |app: String| {
        let request = server.bearer(&operator, Method::PUT, "/v1/app");
        request.header("content-type", "text/toml").body(app)
    };
    let refused = problem(put(app), 422, "invalid_app").await;
    let problems = refused["problems"].as_array().unwrap();
    // The job with a group has an index that begins with it.
    assert_eq!(problems.len(), 1, "{refused}");
    let message = text(&problems[0]["message"]);
    assert!(message.contains("[[entity.order.index]]") && message.contains("fields = [\"at\"]"));
}

#[tokio::test]
async fn jobs_are_shown_paused_and_asked_from_the_shell() {
    let server = Server::start().await;
    let operator = server.operator().await;
    filled(&server, &operator, APP, 10).await;
    let run = |args: &[&str]| {
        let output = command(&server.data(), args).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), text + &errors)
    };
    let (code, listed) = run(&["job", "list"]);
    assert_eq!(code, 0);
    assert!(listed.contains("daily    report  0 6 * * *"), "{listed}");
    let (code, ran) = run(&["job", "run", "daily", "--tenant", "demo", "--wait"]);
    assert!(code == 0 && ran.contains("succeeded"), "{ran}");
    let id = ran
        .lines()
        .nth(1)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .to_owned();
    let (_, log) = run(&["job", "log", &id]);
    assert!(
        log.contains("10 records of order") && log.contains("is succeeded (report/"),
        "{log}"
    );
    assert_eq!(run(&["job", "pause", "daily", "--reason", "a test"]).0, 0);
    let (_, pauses) = run(&["job", "pauses"]);
    assert!(
        pauses.contains("daily") && pauses.contains("a test"),
        "{pauses}"
    );
    assert_eq!(run(&["job", "resume", "daily"]).0, 0);
    let filling = [
        "job",
        "backfill",
        "daily",
        "--all",
        "--from",
        "2026-01-01",
        "--to",
        "2026-01-04",
    ];
    assert!(run(&filling).1.contains("3 queued"));
    let began = Instant::now();
    while !run(&["job", "runs", "--state", "queued"]).1.is_empty() {
        assert!(began.elapsed() < Duration::from_secs(20));
    }
    assert!(run(&filling).1.contains("3 have a run already"));
    let (_, runs) = run(&["job", "runs", "--job", "daily", "--state", "succeeded"]);
    assert_eq!(runs.lines().count(), 5, "{runs}");
    for (args, words) in [
        (
            vec!["job", "show", "nothing"],
            "There is no job \"nothing\"",
        ),
        (
            vec!["job", "run", "daily", "--tenant", "nobody"],
            "There is no tenant \"nobody\"",
        ),
        (vec!["job", "cancel", &id], "The run is over: it succeeded."),
        (
            vec!["job", "retry", &id],
            "Nothing to retry: the run succeeded.",
        ),
        (vec!["job", "log", "x"], "There is no run \"x\""),
        (vec!["job", "pause", "nothing"], "There is no job"),
    ] {
        let (code, told) = run(&args);
        assert!(code == 1 && told.contains(words), "{args:?} {told}");
    }
}

/// Takes requests one by one; gives each to the test, and answers with its status.
struct Receiver {
    url: String,
    requests: mpsc::Receiver<Vec<String>>,
}

impl Receiver {
    fn start(statuses: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let (sender, requests) = mpsc::channel();
        std::thread::spawn(move || {
            let statuses = statuses.iter().chain(std::iter::repeat(&"200 OK"));
            for (stream, status) in listener.incoming().zip(statuses) {
                let request = answer(stream.unwrap(), status);
                if sender.send(request).is_err() {
                    return;
                }
            }
        });
        Self { url, requests }
    }

    /// The next request's lines; the last one is the body.
    fn next(&self) -> Vec<String> {
        self.requests.recv_timeout(Duration::from_secs(20)).unwrap()
    }
}

fn answer(mut stream: TcpStream, status: &str) -> Vec<String> {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut lines, mut length) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        }
        lines.push(line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    lines.push(String::from_utf8(body).unwrap());
    let end = "content-length: 0\r\nconnection: close\r\n\r\n";
    let _ = stream.write_all(format!("HTTP/1.1 {status}\r\n{end}").as_bytes());
    lines
}

fn hook(rest: &str) -> String {
    format!(
        "{APP}\n[job.hook]\nkind = \"webhook\"\nretries = {{ max = 2, first = \"100ms\" }}\nwith = {{ {rest}, entity = \"order\", where = {{ status = \"paid\" }}, batch = 4 }}\n"
    )
}

#[tokio::test]
async fn a_webhook_is_signed_and_sent_batch_by_batch_until_it_is_taken() {
    let allow = &[("TENANTRY_JOBS__ALLOW_PRIVATE_ADDRESSES", "true")];
    let server = Server::start_with(allow).await;
    let operator = server.operator().await;
    let receiver = Receiver::start(&["200 OK", "503 Busy", "200 OK"]);
    filled(&server, &operator, &hook("url_from = \"meta.hook\""), 30).await;
    // Without an address there is nothing to do.
    let run = over(&server, &operator, &ask(&server, &operator, "hook").await).await;
    assert_eq!(run["state"], "skipped", "{run}");
    let change = server.bearer(&operator, Method::PATCH, "/v1/tenants/demo");
    ok(change.json(&json!({"meta": {"hook": receiver.url}}))).await;
    let secret = "/v1/tenants/demo/jobs/hook/secret";
    let secret = ok(server.bearer(&operator, Method::GET, secret)).await;
    let secret = text(&secret["secret"]);
    let run = ask(&server, &operator, "hook").await;
    let requests: Vec<_> = (0..4).map(|_| receiver.next()).collect();
    let run = over(&server, &operator, &run).await;
    assert_eq!(
        (&run["state"], &run["attempt"]),
        (&json!("succeeded"), &json!(2))
    );
    let header = |request: &[String], name: &str| -> String {
        let line = request
            .iter()
            .find_map(|l| l.strip_prefix(&format!("{name}: ")));
        line.unwrap().to_owned()
    };
    let ids: Vec<_> = requests.iter().map(|r| header(r, "webhook-id")).collect();
    let id = text(&run["id"]);
    // The batch that was not taken comes again, under its own name; others do not.
    assert_eq!(
        ids,
        [".1", ".2", ".2", ".3"].map(|end| format!("{id}{end}"))
    );
    let mut records = Vec::new();
    for (n, request) in requests.iter().enumerate() {
        let body = request.last().unwrap();
        let at = header(request, "webhook-timestamp");
        assert_eq!(
            header(request, "webhook-signature"),
            signed(&secret, &ids[n], &at, body)
        );
        let body: Json = serde_json::from_str(body).unwrap();
        assert_eq!(body["type"], "records.batch");
        if n != 1 {
            records.extend(body["data"]["records"].as_array().unwrap().clone());
        }
    }
    assert_eq!(records.len(), 10);
    assert!(
        records
            .iter()
            .all(|record| record["data"]["status"] == "paid")
    );
}

/// As the specification says, by hand.
fn signed(secret: &str, id: &str, at: &str, body: &str) -> String {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    use hmac::{Hmac, KeyInit as _, Mac as _};
    let key = secret.strip_prefix("whsec_").unwrap();
    let key = BASE64_STANDARD.decode(key).unwrap();
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&key).unwrap();
    mac.update(format!("{id}.{at}.{body}").as_bytes());
    format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
}

#[tokio::test]
async fn a_webhook_goes_to_the_internet_only_unless_allowed() {
    let server = Server::start().await;
    let operator = server.operator().await;
    for (url, why) in [
        ("http://example.com/", "plain http is refused"),
        (
            "https://127.0.0.1:1/",
            "private and loopback addresses are refused",
        ),
        (
            "https://[::1]/",
            "private and loopback addresses are refused",
        ),
        (
            "https://localhost/",
            "private and loopback addresses are refused",
        ),
    ] {
        filled(&server, &operator, &hook(&format!("url = \"{url}\"")), 3).await;
        let run = over(&server, &operator, &ask(&server, &operator, "hook").await).await;
        assert_eq!(
            (&run["state"], &run["attempt"]),
            (&json!("failed"), &json!(1)),
            "{run}"
        );
        assert!(text(&run["error"]).contains(why), "{run}");
    }
    let allow = &[("TENANTRY_JOBS__ALLOW_PRIVATE_ADDRESSES", "true")];
    let server = Server::start_with(allow).await;
    let operator = server.operator().await;
    let receiver = Receiver::start(&["404 Not Found"]);
    filled(
        &server,
        &operator,
        &hook(&format!("url = \"{}\"", receiver.url)),
        3,
    )
    .await;
    let run = over(&server, &operator, &ask(&server, &operator, "hook").await).await;
    assert_eq!(run["state"], "failed");
    assert!(text(&run["error"]).contains("answered 404"), "{run}");
}

#[tokio::test]
async fn a_log_is_read_live_and_ends_with_the_run() {
    let server = Server::start().await;
    let operator = server.operator().await;
    filled(&server, &operator, APP, 100).await;
    let run = ask(&server, &operator, "daily").await;
    let request = server.bearer(&operator, Method::GET, &format!("/v1/runs/{run}/log"));
    let response = request
        .header("accept", "text/event-stream")
        .send()
        .await
        .unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let events = tokio::time::timeout(Duration::from_secs(20), response.text());
    let events = events.await.unwrap().unwrap();
    assert!(events.contains("id: 1\nevent: line\ndata: {"), "{events}");
    let last = events.trim_end().rsplit("\n\n").next().unwrap();
    assert!(
        last.starts_with("event: end\n") && last.contains("\"state\":\"succeeded\""),
        "{last}"
    );
}

/// Killed again and again while it reports for many tenants; at the end each has
/// exactly one report, right to the record.
#[tokio::test]
async fn a_server_killed_while_it_works_does_each_run_once_and_no_batch_twice() {
    let mut server = Server::start().await;
    let operator = server.operator().await;
    let app = APP.replace("schedule = \"0 6 * * *\"", "timeout = \"1m\"");
    server.apply(&operator, &app).await;
    const TENANTS: usize = 300;
    const RECORDS: usize = 600;
    let mut lines = String::new();
    for tenant in 0..TENANTS {
        for n in 0..RECORDS {
            let record = json!({"status": "new", "at": "2026-03-05T00:00:00Z", "total": n, "t": format!("t{tenant}")});
            lines += &(record.to_string() + "\n");
        }
    }
    let path = "/v1/import?entity=order&format=ndjson&tenant_field=t&create_tenants=true";
    let request = server.bearer(&operator, Method::POST, path);
    let request = request.header("content-type", "application/x-ndjson");
    assert_eq!(request.body(lines).send().await.unwrap().status(), 200);
    let all = server.bearer(&operator, Method::POST, "/v1/jobs/daily/run");
    let asked = all.json(&json!({"tenants": "all"})).send().await.unwrap();
    let asked: Json = asked.json().await.unwrap();
    assert_eq!(asked["queued"], TENANTS + 1);
    for round in 0..20 {
        tokio::time::sleep(Duration::from_millis(20 + round * 7 % 50)).await;
        server.signal(nix::sys::signal::Signal::SIGKILL);
        server.run();
    }
    let list = |state: &'static str| {
        let (server, operator) = (&server, &operator);
        async move {
            let (mut found, mut cursor) = (Vec::new(), String::new());
            loop {
                let path = format!("/v1/runs?limit=500&state={state}{cursor}");
                let page = ok(server.bearer(operator, Method::GET, &path)).await;
                found.extend(page["items"].as_array().unwrap().clone());
                match page["next_cursor"].as_str() {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => return found,
                }
            }
        }
    };
    let began = Instant::now();
    while !list("queued").await.is_empty() || !list("running").await.is_empty() {
        assert!(began.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let done = list("succeeded").await;
    assert_eq!(done.len(), TENANTS + 1);
    let mut interrupted = 0;
    for run in &done {
        let records = if run["tenant"] == "demo" { 0 } else { RECORDS };
        assert_eq!(run["progress"]["done"], records, "{run}");
        interrupted += run["attempts"].as_array().unwrap().len() - 1;
        let path = format!(
            "/v1/tenants/{}/records/report?job=daily",
            text(&run["tenant"])
        );
        let reports = ok(server.bearer(&operator, Method::GET, &path)).await;
        let reports = reports["items"].as_array().unwrap();
        assert_eq!(reports.len(), 1);
        assert_eq!(reports[0]["data"]["total"], records);
    }
    assert!(interrupted > 0, "no kill met a run");
    let check = server.bearer(&operator, Method::POST, "/v1/store/check");
    let check = ok(check).await;
    assert_eq!(check["problems"], json!([]), "{check}");
}
