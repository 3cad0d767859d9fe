//! Backups of a running server: made under load, verified, restored whole and in part.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use nix::sys::signal::Signal;
use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::server::{Server, client, command, json as run, ok, problem, text};

const TICKETS: &str = "/v1/tenants/demo/records/ticket";

fn ticket(number: u64) -> Json {
    json!({
        "subject": number.to_string(),
        "status": (["open", "pending", "closed"][number as usize % 3]),
        "opened_at": "2026-03-01T00:00:00Z",
        "filler": "x".repeat(number as usize * 131 % 3_000),
    })
}

/// Puts tickets until told to stop; how many were acknowledged.
async fn write(
    url: String,
    key: String,
    writer: u64,
    stop: Arc<AtomicBool>,
    told: Arc<AtomicU64>,
) -> u64 {
    let http = client();
    let mut number = 0;
    while !stop.load(SeqCst) {
        let path = format!("{url}{TICKETS}/w{writer}-{number:06}");
        let request = http.put(&path).bearer_auth(&key).json(&ticket(number));
        ok(request).await;
        number += 1;
        told.fetch_add(1, SeqCst);
    }
    number
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A command that has to fail; what it says.
fn refused(data: &Path, args: &[&str]) -> String {
    let output = command(data, args).output().unwrap();
    assert!(!output.status.success(), "{args:?}");
    String::from_utf8(output.stderr).unwrap()
}

async fn fill(server: &Server, tickets: u64) {
    for number in 0..tickets {
        ok(server.put(&format!("{TICKETS}/t{number:04}"), &ticket(number))).await;
    }
}

/// The store is in order.
fn whole(server: &Server) {
    let output = command(&server.data(), &["store", "check"])
        .output()
        .unwrap();
    let found = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{found}");
}

/// Enough that a backup takes a while.
fn import(server: &Server, tickets: u64) {
    let lines: String = (0..tickets).map(|n| format!("{}\n", ticket(n))).collect();
    let file = server.dir.path().join("tickets.ndjson");
    fs::write(&file, lines).unwrap();
    let file = file.to_str().unwrap();
    run(
        &server.data(),
        &["import", "-t", "demo", "-e", "ticket", file],
    );
}

/// The backup when nothing is being done with it any more.
async fn over(server: &Server, operator: &str, id: &str) -> Json {
    loop {
        let path = format!("/v1/backups/{id}");
        let backup = ok(server.bearer(operator, Method::GET, &path)).await;
        if backup["operation"]["running"] != true {
            return backup;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_before_a_backup_is_in_it() {
    let mut server = Server::start().await;
    import(&server, 4_000);
    let (stop, told) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let writers: Vec<_> = (0..4)
        .map(|n| {
            let to = (server.url.clone(), server.key.clone());
            tokio::spawn(write(to.0, to.1, n, stop.clone(), told.clone()))
        })
        .collect();
    let wait_for = async |count| {
        while told.load(SeqCst) < count {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    wait_for(200).await;
    let before = told.load(SeqCst);
    let data = server.data();
    let made = tokio::task::spawn_blocking(move || run(&data, &["backup", "create", "--verify"]));
    let made = made.await.unwrap();
    let after = told.load(SeqCst);
    wait_for(after + 20).await;
    stop.store(true, SeqCst);
    let mut written = 0;
    for writer in writers {
        written += writer.await.unwrap();
    }
    assert_eq!(made["state"], "complete", "{made}");
    assert_eq!(made["kind"], "manual");
    assert!(made["changes"].as_u64().unwrap() > 0, "{made}");
    assert_eq!(made["verification"]["result"], "whole", "{made}");
    let records = made["verification"]["records"].as_u64().unwrap();
    let in_it = records - 4_000;
    assert!(
        before <= in_it && in_it <= after + 4,
        "{before} {in_it} {after}"
    );
    server.stop();

    // Into a folder of its own, without a server.
    let other = server.dir.path().join("other");
    let file = server
        .data()
        .join("backups")
        .join(format!("tenantry-{}.backup", text(&made["id"])));
    let restored = run(&other, &["backup", "restore", file.to_str().unwrap()]);
    assert_eq!(restored["moment"], made["moment"]);
    assert_eq!(restored["sequence"], made["sequence"]);
    let checked = run(&other, &["store", "check"]);
    assert_eq!(checked["problems"], json!([]));
    assert_eq!(checked["records"], records);

    // Over the store that is there: never without a word.
    let id = text(&made["id"]);
    let told = refused(&server.data(), &["backup", "restore", &id]);
    assert!(
        told.contains("there is a store in") && told.contains("--overwrite"),
        "{told}"
    );
    let kept = run(&server.data(), &["backup", "restore", &id, "--overwrite"]);
    let kept = text(&kept["before"]);
    assert!(Path::new(&kept).join("FORMAT").exists(), "{kept}");
    server.run();
    let counted = ok(server.get(&format!("{TICKETS}?limit=1&count=true"))).await;
    assert_eq!(counted["count"], records);
    assert!(in_it < written);
    let told = refused(&server.data(), &["backup", "restore", &id, "--overwrite"]);
    assert!(told.contains("the server is running"), "{told}");
}

#[tokio::test]
async fn a_restored_store_has_nobody_signed_in() {
    let mut server = Server::start().await;
    let operator = server.operator().await;
    let made = run(&server.data(), &["backup", "create"]);
    ok(server.bearer(&operator, Method::GET, "/v1/auth/me")).await;
    server.stop();
    run(
        &server.data(),
        &["backup", "restore", &text(&made["id"]), "--overwrite"],
    );
    server.run();
    let me = server.bearer(&operator, Method::GET, "/v1/auth/me");
    problem(me, 401, "unauthenticated").await;
    server.operator().await;
    ok(server.get(&format!("{TICKETS}?limit=1"))).await;
}

#[tokio::test]
async fn a_server_killed_in_the_middle_leaves_no_half_backup() {
    let mut server = Server::start().await;
    import(&server, 4_000);
    let operator = server.operator().await;
    let request = server.bearer(&operator, Method::POST, "/v1/backups");
    let begun = ok(request).await;
    assert_eq!(begun["state"], "running", "{begun}");
    // Two at once are one too many.
    problem(
        server.bearer(&operator, Method::POST, "/v1/backups"),
        409,
        "backup_busy",
    )
    .await;
    let folder = server.data().join("backups");
    assert!(
        names(&folder).iter().any(|name| name.ends_with(".partial")),
        "{:?}",
        names(&folder)
    );
    server.signal(Signal::SIGKILL);
    server.run();
    assert_eq!(names(&folder), [""; 0]);
    assert_eq!(run(&server.data(), &["backup", "list"])["items"], json!([]));
    let made = run(&server.data(), &["backup", "create"]);
    let listed = run(&server.data(), &["backup", "list"]);
    assert_eq!(listed["items"][0]["id"], made["id"]);
    assert_eq!(
        listed["items"][0]["kept_for"],
        json!(["by hand", "the newest"])
    );
    assert_eq!(names(&folder).len(), 2);
}

#[tokio::test]
async fn a_job_makes_backups_of_the_installation() {
    let server = Server::start().await;
    fill(&server, 20).await;
    let operator = server.operator().await;
    let app =
        "[job.nightly]\nkind = \"backup\"\nfor = \"installation\"\nschedule = \"0 3 * * *\"\n";
    let wrong = app.replace("for = \"installation\"\n", "");
    let request = server.bearer(&operator, Method::PUT, "/v1/app?drop_data=true");
    let wrong = problem(
        request.header("content-type", "text/toml").body(wrong),
        422,
        "invalid_app",
    )
    .await;
    assert!(
        wrong.to_string().contains("works on the whole store"),
        "{wrong}"
    );
    let app = format!("{}{app}", tenantry::domain::EXAMPLE_APP);
    server.apply(&operator, &app).await;
    run(
        &server.data(),
        &["job", "run", "nightly", "--all", "--wait"],
    );
    let listed = run(&server.data(), &["backup", "list"]);
    let made = &listed["items"][0];
    assert_eq!(made["kind"], "scheduled", "{listed}");
    assert_eq!(made["verification"]["result"], "whole", "{made}");
    let kept = made["kept_for"].to_string();
    assert!(
        kept.contains("day ") && kept.contains("the newest found whole"),
        "{kept}"
    );
    // A second one of the same day takes the place of the first.
    run(
        &server.data(),
        &["job", "run", "nightly", "--all", "--wait"],
    );
    let listed = run(&server.data(), &["backup", "list"]);
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed}");
    assert_ne!(listed["items"][0]["id"], made["id"]);
    let runs = run(&server.data(), &["job", "runs", "--job", "nightly"]);
    let log = command(
        &server.data(),
        &["job", "log", &text(&runs["items"][0]["id"])],
    )
    .output()
    .unwrap();
    let log = String::from_utf8(log.stdout).unwrap();
    assert!(log.contains("found whole: "), "{log}");
    let metrics = server
        .anonymous(Method::GET, "/metrics")
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(
        metrics.contains("tenantry_backup_last_verified_whole 1"),
        "{metrics}"
    );
    assert!(metrics.contains("tenantry_backups 1"), "{metrics}");
}

#[tokio::test]
async fn a_backup_is_made_when_its_slot_is_due() {
    let server = Server::start().await;
    let operator = server.operator().await;
    let job =
        "[job.often]\nkind = \"backup\"\nfor = \"installation\"\nschedule = \"* * * * * *\"\n";
    let app = format!("{}{job}", tenantry::domain::EXAMPLE_APP);
    server.apply(&operator, &app).await;
    let began = std::time::Instant::now();
    let made = loop {
        let listed = ok(server.bearer(&operator, Method::GET, "/v1/backups")).await;
        let mut items = listed["items"].as_array().unwrap().iter().cloned();
        if let Some(made) = items.find(|one| one["state"] == "complete") {
            break made;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{listed}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(made["kind"], "scheduled", "{made}");
}

#[tokio::test]
async fn a_backup_is_deleted_for_good() {
    let server = Server::start().await;
    fill(&server, 20).await;
    let operator = server.operator().await;
    let made = run(&server.data(), &["backup", "create", "--verify"]);
    let kept = run(&server.data(), &["backup", "create"]);
    let (id, kept) = (text(&made["id"]), text(&kept["id"]));
    let path = format!("/v1/backups/{id}");
    // Not while something is being done with it.
    let verify = server.bearer(&operator, Method::POST, &format!("{path}/verify"));
    ok(verify.json(&json!({}))).await;
    let while_busy = server.bearer(&operator, Method::DELETE, &path).send().await;
    let status = while_busy.unwrap().status();
    if status == 409 {
        over(&server, &operator, &id).await;
        let deleted = run(&server.data(), &["backup", "delete", &id]);
        assert_eq!(deleted["deleted"], id.as_str());
    } else {
        // It was over before.
        assert_eq!(status, 204);
    }
    let folder = server.data().join("backups");
    assert!(
        names(&folder).iter().all(|name| name.contains(&kept)),
        "{:?}",
        names(&folder)
    );
    let again = server.bearer(&operator, Method::DELETE, &path);
    problem(again, 404, "not_found").await;
    refused(&server.data(), &["backup", "delete", "../x"]);
    let left = run(&server.data(), &["backup", "list"]);
    assert_eq!(left["items"].as_array().unwrap().len(), 1, "{left}");
    assert_eq!(left["items"][0]["id"], kept.as_str());
}

#[tokio::test]
async fn a_damaged_backup_is_found_bad_and_stays_known_as_such() {
    let server = Server::start().await;
    fill(&server, 50).await;
    let made = run(&server.data(), &["backup", "create"]);
    let id = text(&made["id"]);
    let file = server
        .data()
        .join("backups")
        .join(format!("tenantry-{id}.backup"));
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::write(&file, bytes).unwrap();
    let told = refused(&server.data(), &["backup", "verify", &id]);
    assert!(told.contains("is damaged before byte "), "{told}");
    let path = file.to_str().unwrap();
    let told = refused(&server.data(), &["backup", "verify", path]);
    assert!(told.contains("is damaged before byte "), "{told}");
    let other = server.dir.path().join("other");
    let told = refused(&other, &["backup", "restore", path]);
    assert!(told.contains("is damaged before byte "), "{told}");
    assert!(!other.join("store").exists());
    let listed = run(&server.data(), &["backup", "list"]);
    assert_eq!(
        listed["items"][0]["verification"]["result"], "bad",
        "{listed}"
    );
    let operator = server.operator().await;
    let missing = server.bearer(
        &operator,
        Method::POST,
        "/v1/backups/20260301T000000000Z/verify",
    );
    problem(missing, 404, "not_found").await;
    let climbing = server.bearer(&operator, Method::GET, "/v1/backups/..%2F..%2Fetc");
    problem(climbing, 404, "not_found").await;
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_fails_the_backup_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let blocked = dir.path().join("file");
    fs::write(&blocked, "no folder").unwrap();
    let folder = blocked.join("backups");
    let server = Server::start_with(&[("TENANTRY_BACKUP__FOLDER", folder.to_str().unwrap())]).await;
    let operator = server.operator().await;
    let told = problem(
        server.bearer(&operator, Method::POST, "/v1/backups"),
        422,
        "backup_unusable",
    )
    .await;
    let detail = text(&told["detail"]);
    assert!(
        detail.contains("cannot be made: Not a directory"),
        "{detail}"
    );
}

/// All records of a tenant, in order, as an export has them.
fn exported(server: &Server, tenant: &str) -> Vec<String> {
    let output = command(&server.data(), &["export", "--tenant", tenant])
        .output()
        .unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[tokio::test]
async fn one_tenant_comes_back_beside_the_living_ones() {
    let server = Server::start().await;
    let acme = server.tenant("acme");
    fill(&server, 10).await;
    for number in 0..40 {
        let path = format!("/v1/tenants/acme/records/ticket/t{number:04}");
        ok(server
            .bearer(&acme, Method::PUT, &path)
            .json(&ticket(number)))
        .await;
    }
    let archive = "/v1/tenants/acme/records/ticket/t0002/archive";
    ok(server.bearer(&acme, Method::POST, archive)).await;
    run(
        &server.data(),
        &[
            "archive", "hold", "set", "acme", "-e", "ticket", "--record", "t0003", "--reason", "r",
        ],
    );
    let original = exported(&server, "acme");
    assert_eq!(original.len(), 40);
    let made = run(&server.data(), &["backup", "create"]);
    let id = text(&made["id"]);

    // The living one changes, and the app gets an index that the backup does not have.
    ok(server
        .bearer(&acme, Method::PUT, "/v1/tenants/acme/records/ticket/later")
        .json(&ticket(1)))
    .await;
    let operator = server.operator().await;
    let index = "[[entity.ticket.index]]\nname = \"by_subject\"\nfields = [\"subject\"]\n";
    server
        .apply(
            &operator,
            &format!("{}\n{index}", tenantry::domain::EXAMPLE_APP),
        )
        .await;

    let told = refused(
        &server.data(),
        &["backup", "restore", &id, "--tenant", "acme"],
    );
    assert!(told.contains("bring it back under another name"), "{told}");
    let told = refused(
        &server.data(),
        &["backup", "restore", &id, "--tenant", "nobody"],
    );
    assert!(told.contains("there was no tenant nobody"), "{told}");
    run(
        &server.data(),
        &[
            "backup",
            "restore",
            &id,
            "--tenant",
            "acme",
            "--as",
            "acme-then",
        ],
    );

    assert_eq!(exported(&server, "acme-then"), original);
    assert_eq!(exported(&server, "acme").len(), 41);
    assert_eq!(exported(&server, "demo").len(), 10);
    let lookup = "/v1/tenants/acme-then/records/ticket?subject=7";
    let found = ok(server.bearer(&operator, Method::GET, lookup)).await;
    assert_eq!(
        found["items"].as_array().unwrap().len(),
        1,
        "the new index has its rows"
    );
    whole(&server);
    // Holds are back, keys are not.
    let held = server.bearer(
        &operator,
        Method::DELETE,
        "/v1/tenants/acme-then/records/ticket/t0003",
    );
    problem(held, 409, "legal_hold").await;
    let keys = ok(server.bearer(&operator, Method::GET, "/v1/tenants/acme-then/keys")).await;
    assert_eq!(keys["items"], json!([]));
    let foreign = server.bearer(
        &acme,
        Method::GET,
        "/v1/tenants/acme-then/records/ticket?limit=1",
    );
    problem(foreign, 404, "not_found").await;

    // One that was deleted comes back under its own name.
    ok(server.bearer(&operator, Method::DELETE, "/v1/tenants/demo?confirm=demo")).await;
    let restore = ["backup", "restore", &id, "--tenant", "demo"];
    let began = std::time::Instant::now();
    loop {
        let output = command(&server.data(), &restore).output().unwrap();
        if output.status.success() {
            break;
        }
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            told.contains("still being erased") && began.elapsed() < Duration::from_secs(20),
            "{told}"
        );
    }
    assert_eq!(exported(&server, "demo").len(), 10);
    let revoked = server.get("/v1/tenants/demo");
    problem(revoked, 401, "unauthenticated").await;
    whole(&server);
    let tenants = ok(server.bearer(&operator, Method::GET, "/v1/tenants")).await;
    assert_eq!(tenants["items"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn an_encrypted_backup_is_made_without_its_identity_and_verified_with_it() {
    use age::secrecy::ExposeSecret as _;
    let key = age::x25519::Identity::generate();
    let public = key.to_public().to_string();
    let server = Server::start_with(&[("TENANTRY_BACKUP__RECIPIENTS", &public)]).await;
    fill(&server, 30).await;
    let made = run(&server.data(), &["backup", "create", "--verify"]);
    assert_eq!(made["encrypted"], true, "{made}");
    assert_eq!(made["verification"], Json::Null);
    let said = text(&made["operation"]["result"]);
    assert!(said.contains("not verified: it is encrypted"), "{said}");
    let id = text(&made["id"]);
    let told = refused(&server.data(), &["backup", "verify", &id]);
    assert!(told.contains("it takes an identity file of age"), "{told}");
    let secret = server.dir.path().join("secret");
    fs::write(&secret, key.to_string().expose_secret()).unwrap();
    let secret = secret.to_str().unwrap();
    let found = run(
        &server.data(),
        &["backup", "verify", &id, "--identity", secret],
    );
    assert_eq!(found["result"], "whole", "{found}");
    let operator = server.operator().await;
    let backup = over(&server, &operator, &id).await;
    assert_eq!(backup["verification"]["records"], 30, "{backup}");
}
