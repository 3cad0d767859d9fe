//! Drives the real binary.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};
use tenantry::base::{Lock, socket};

/// The binary in `dir`, without anything of ours in its environment.
fn tenantry(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenantry"));
    command.current_dir(dir).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TENANTRY_") {
            command.env_remove(name);
        }
    }
    command
}

fn run(dir: &Path, args: &[&str]) -> Output {
    tenantry(dir).args(args).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

/// Runs what must work and reads its JSON.
fn json_of(dir: &Path, args: &[&str]) -> Value {
    let output = tenantry(dir).args(args).arg("--json").output().unwrap();
    assert_eq!(code(&output), 0, "{args:?}: {}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn with_input(dir: &Path, args: &[&str], input: &str) -> Output {
    let mut command = tenantry(dir);
    command.args(args).stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    child.wait_with_output().unwrap()
}

/// A folder with an installation in it.
fn installed() -> (tempfile::TempDir, Value) {
    let dir = tempfile::tempdir().unwrap();
    let made = json_of(dir.path(), &["init", "--yes"]);
    (dir, made)
}

#[test]
fn help_and_version_are_no_failure() {
    let dir = tempfile::tempdir().unwrap();
    for args in [&["--help"][..], &["--version"], &["import", "--help"]] {
        let output = run(dir.path(), args);
        assert_eq!(code(&output), 0);
        assert!(!output.stdout.is_empty() && output.stderr.is_empty());
    }
    let help = stdout(&run(dir.path(), &["import", "--help"]));
    assert!(
        help.contains("Exit status: 0 when the file was read to its end"),
        "{help}"
    );
}

#[test]
fn wrong_use_is_two() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("rows"), "a,b\n").unwrap();
    let cases = [
        &["frobnicate"][..],
        &[],
        &["import", "--entity", "t", "x.csv"],
        &["tenant", "set", "acme"],
        &["tenant", "set", "acme", "nonsense"],
        &["key", "create", "acme", "--scopes", "all"],
        &["import", "--tenant", "t", "--entity", "e", "rows"],
        &["serve", "--listen", "nowhere"],
        &["serve", "--config", "no-such.toml"],
        &["operator", "add", "a@b", "--password-stdin"],
    ];
    for args in cases {
        let output = run(dir.path(), args);
        assert_eq!(code(&output), 2, "{args:?}: {}", stderr(&output));
        assert!(
            output.stdout.is_empty() && !output.stderr.is_empty(),
            "{args:?}"
        );
    }
}

#[test]
fn every_problem_of_the_configuration_is_told_at_once() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        dir.path().join("config.toml"),
        "[server]\nlisten = 5\nworker = 2\n",
    )
    .unwrap();
    let mut command = tenantry(dir.path());
    command.env("TENANTRY_LOG__FORMAT", "xml").arg("serve");
    let output = command.output().unwrap();
    assert_eq!(code(&output), 2);
    assert_eq!(
        stderr(&output),
        "the configuration is wrong:\n\
         config.toml:2: server.listen: expected an address and a port such as \"127.0.0.1:8080\", found the integer 5\n\
         config.toml:3: server.worker: unknown key; did you mean server.workers?\n\
         TENANTRY_LOG__FORMAT: log.format: expected \"text\" or \"json\", found \"xml\"\n"
    );
}

#[test]
fn completions_and_the_man_page_are_printed() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = run(dir.path(), &["completions", shell]);
        assert_eq!(code(&output), 0);
        assert!(stdout(&output).contains("tenantry"));
    }
    let page = stdout(&run(dir.path(), &["man"]));
    assert!(page.contains(".TH tenantry 1"), "{page}");
    assert!(
        page.contains("id\\-field"),
        "the subcommands are in it: {page}"
    );
}

#[test]
fn a_missing_data_folder_is_named_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    for args in [&["tenant", "list"][..], &["serve"], &["store", "compact"]] {
        let output = run(dir.path(), args);
        assert_eq!(code(&output), 1);
        let told = stderr(&output);
        assert!(
            told.starts_with("error: there is no data folder at "),
            "{told}"
        );
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_second_server_learns_who_holds_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("data")).unwrap();
    let _lock = Lock::acquire(&dir.path().join("data"), "serve").unwrap();
    let output = run(dir.path(), &["serve"]);
    assert_eq!(code(&output), 1);
    let told = stderr(&output);
    let holder = format!(
        "is in use by `tenantry serve` (process {}, since 2",
        std::process::id()
    );
    assert!(told.contains(&holder), "{told}");
}

#[test]
fn a_reader_that_goes_away_is_no_failure_to_report() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = tenantry(dir.path());
    command.args(["completions", "bash"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(stderr(&output), "");
}

/// Answers each request on the data folder's socket with the next of these; for
/// what a command makes of an answer.
fn answering(data: &Path, answers: Vec<(u16, Value)>) -> std::thread::JoinHandle<()> {
    use std::io::Read as _;
    fs::create_dir_all(data).unwrap();
    let listener = socket::bind(data).unwrap();
    std::thread::spawn(move || {
        let mut answers = answers.into_iter();
        while answers.len() > 0 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 65_536];
            // A look whether someone listens sends nothing.
            if stream.read(&mut head).unwrap() == 0 {
                continue;
            }
            let (status, body) = answers.next().unwrap();
            let body = body.to_string();
            let length = body.len();
            write!(
                stream,
                "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{body}"
            )
            .unwrap();
        }
    })
}

#[test]
fn mistakes_in_an_app_file_are_told_like_a_compiler_does() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("app.toml"), "[entity]").unwrap();
    let problem = json!({"line": 12, "column": 3, "key": "entity.ticket.index[0].fields", "message": "expected a list"});
    let answer = json!({"code": "invalid_app", "detail": "1 mistake", "problems": [problem]});
    let server = answering(&dir.path().join("data"), vec![(422, answer)]);
    let output = run(dir.path(), &["apply", "app.toml"]);
    server.join().unwrap();
    assert_eq!(code(&output), 1);
    assert_eq!(
        stderr(&output),
        "app.toml:12:3: entity.ticket.index[0].fields: expected a list\n"
    );
}

#[test]
fn an_import_fails_only_when_no_row_was_good() {
    let dir = tempfile::tempdir().unwrap();
    let import = ["import", "-t", "a", "-e", "t", "--format", "csv", "-"];
    for (failed, expected) in [(0, 0), (1, 0), (2, 1)] {
        let error = json!({"line": 2, "reason": "no subject"});
        let errors: Vec<_> = (0..failed).map(|_| &error).collect();
        let answer = json!({"rows": 2, "created": 2 - failed, "failed": failed, "errors": errors});
        let server = answering(&dir.path().join("data"), vec![(200, answer)]);
        let output = with_input(dir.path(), &import, "a\n1\n2\n");
        server.join().unwrap();
        assert_eq!(code(&output), expected, "{}", stderr(&output));
        let told = stderr(&output).matches("line 2: no subject").count();
        assert_eq!(told, failed);
    }
}

/// Root acts as the folder's owner: what it leaves there is the owner's.
#[test]
fn root_leaves_nothing_behind_that_the_owner_cannot_open() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let data = dir.path().join("data");
    fs::create_dir(&data).unwrap();
    std::os::unix::fs::chown(&data, Some(12_345), Some(12_346)).unwrap();
    run(dir.path(), &["tenant", "list"]);
    let lock = fs::metadata(data.join("LOCK")).unwrap();
    assert_eq!((lock.uid(), lock.gid()), (12_345, 12_346));
    assert!(!fs::read_dir(&data).unwrap().any(|entry| {
        entry
            .unwrap()
            .file_name()
            .to_string_lossy()
            .starts_with("cli-")
    }));
}

#[test]
fn init_makes_an_installation_once() {
    let (dir, made) = installed();
    assert_eq!(made["operator"]["email"], "admin@localhost");
    assert!(made["operator"]["password"].as_str().unwrap().len() >= 20);
    assert_eq!(made["tenant"], "demo");
    assert!(made["key"].as_str().unwrap().starts_with("tk_"));
    let data = Path::new(made["data"].as_str().unwrap());
    assert_eq!(fs::metadata(data).unwrap().mode() & 0o777, 0o700);
    assert!(dir.path().join("config.toml").exists() && dir.path().join("app.toml").exists());

    let again = run(dir.path(), &["init", "--yes"]);
    assert_eq!(code(&again), 1);
    assert!(stderr(&again).contains("holds an installation already"));
}

#[test]
fn init_keeps_files_that_are_there_and_can_be_repeated_after_a_mistake() {
    let dir = tempfile::tempdir().unwrap();
    let app = dir.path().join("app.toml");
    fs::write(&app, "[entity.order]\ntitel = \"x\"\n").unwrap();
    let wrong = run(dir.path(), &["init", "--yes"]);
    assert_eq!(code(&wrong), 1);
    assert!(stderr(&wrong).contains("app.toml:2:"), "{}", stderr(&wrong));
    fs::write(&app, "[entity.order]\ntitle = \"x\"\n").unwrap();
    json_of(dir.path(), &["init", "--yes"]);
    assert!(
        fs::read_to_string(&app)
            .unwrap()
            .starts_with("[entity.order]")
    );
}

#[test]
fn tenants_and_keys_come_and_go() {
    let (dir, _made) = installed();
    let made = json_of(
        dir.path(),
        &["tenant", "create", "acme", "--name", "Acme", "--key"],
    );
    assert_eq!(made["tenant"]["id"], "acme");
    assert!(made["key"].as_str().unwrap().starts_with("tk_"));
    let changes = [
        "tenant",
        "set",
        "acme",
        "timezone=Europe/Vienna",
        "meta.plan=gold",
    ];
    let set = json_of(dir.path(), &changes);
    assert_eq!(
        (&set["timezone"], &set["meta"]["plan"]),
        (&json!("Europe/Vienna"), &json!("gold"))
    );
    let gone = json_of(dir.path(), &["tenant", "set", "acme", "meta.plan="]);
    assert_eq!(gone["meta"], json!({}));
    let all = json_of(dir.path(), &["tenant", "list"]);
    assert_eq!(all["items"].as_array().unwrap().len(), 2);

    let key = json_of(dir.path(), &["key", "create", "acme", "--scopes", "read"]);
    let id = key["id"].as_str().unwrap();
    assert!(key["key"].as_str().unwrap().starts_with("tk_"));
    assert_eq!(
        json_of(dir.path(), &["key", "list", "acme"])["items"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    json_of(dir.path(), &["key", "revoke", "acme", id]);
    assert_eq!(
        json_of(dir.path(), &["key", "list", "acme"])["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn lists_hold_everything_and_not_a_page() {
    let (dir, _made) = installed();
    let rows: String = (0..600).map(|n| format!("{{\"c\":\"t{n}\",\"subject\":\"s\",\"status\":\"open\",\"opened_at\":\"2026-01-01T00:00:00Z\"}}\n")).collect();
    let args = [
        "import",
        "--tenant-field",
        "c",
        "--create-tenants",
        "-e",
        "ticket",
        "-",
    ];
    let output = with_input(dir.path(), &args, &rows);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let all = json_of(dir.path(), &["tenant", "list"]);
    assert_eq!(all["items"].as_array().unwrap().len(), 601);
}

#[test]
fn operators_come_and_go() {
    let (dir, _made) = installed();
    let args = ["operator", "add", "b@example.com", "--password-stdin"];
    assert_eq!(
        code(&with_input(dir.path(), &args, "a long enough one\n")),
        0
    );
    let made = json_of(dir.path(), &["operator", "passwd", "b@example.com"]);
    assert!(made["password"].is_string());
    json_of(dir.path(), &["operator", "remove", "b@example.com"]);
    assert_eq!(
        json_of(dir.path(), &["operator", "list"])["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

const TICKETS: &str = "id,subject,status,opened_at\n\
    t1,\"a, \"\"quoted\"\"\nline\",open,2026-03-01T10:00:00Z\n\
    t2,b,nonsense,2026-03-02T10:00:00Z\n\
    t3,c,closed,2026-03-03T10:00:00Z\n";

#[test]
fn an_import_can_be_repeated_and_an_export_imported() {
    let (dir, _made) = installed();
    let errors = dir.path().join("bad.ndjson");
    let import = [
        "import",
        "-t",
        "demo",
        "-e",
        "ticket",
        "--id-field",
        "id",
        "t.csv.gz",
        "--errors",
        "bad.ndjson",
    ];
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(TICKETS.as_bytes()).unwrap();
    fs::write(dir.path().join("t.csv.gz"), packed.finish().unwrap()).unwrap();
    let first = json_of(dir.path(), &import);
    assert_eq!(
        [&first["rows"], &first["created"], &first["failed"]],
        [3, 2, 1]
    );
    let bad: Value = serde_json::from_str(&fs::read_to_string(&errors).unwrap()).unwrap();
    assert_eq!(bad["line"], 4);
    let second = json_of(dir.path(), &import);
    assert_eq!(
        [&second["created"], &second["unchanged"], &second["failed"]],
        [0, 2, 1]
    );

    let done = json_of(
        dir.path(),
        &["export", "-t", "demo", "-e", "ticket", "out.ndjson"],
    );
    assert_eq!(done["records"], 2);
    assert!(!dir.path().join("out.ndjson.partial").exists());
    json_of(dir.path(), &["tenant", "create", "copy"]);
    let copied = json_of(
        dir.path(),
        &["import", "-t", "copy", "-e", "ticket", "out.ndjson"],
    );
    assert_eq!(copied["created"], 2);
    let (one, two) = ["demo", "copy"]
        .map(|tenant| stdout(&run(dir.path(), &["export", "-t", tenant])))
        .into();
    assert_eq!(one, two);
    assert_eq!(
        json_of(dir.path(), &["store", "check"])["problems"],
        json!([])
    );
}

#[test]
fn an_app_file_is_applied_shown_and_taken_back() {
    let (dir, _made) = installed();
    let new = "[entity.ticket]\n[[entity.ticket.index]]\nname = \"by_subject\"\nfields = [\"subject\"]\n[entity.order]\n";
    fs::write(dir.path().join("new.toml"), new).unwrap();
    let before = json_of(dir.path(), &["app", "show"]);
    let dry = json_of(dir.path(), &["apply", "new.toml", "--dry-run"]);
    assert_eq!(dry["applied"], false);
    assert_eq!(json_of(dir.path(), &["app", "show"]), before);
    json_of(dir.path(), &["apply", "new.toml"]);
    assert_eq!(json_of(dir.path(), &["app", "show"])["source"], new);
    assert_eq!(
        json_of(dir.path(), &["app", "history"])["items"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    json_of(dir.path(), &["app", "rollback", "1"]);
    assert_eq!(
        json_of(dir.path(), &["app", "show"])["source"],
        before["source"]
    );
}

/// A server in the background, told to end when dropped.
struct Serving(Child);

impl Serving {
    fn start(dir: &Path) -> Self {
        let mut command = tenantry(dir);
        let child = command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .spawn()
            .unwrap();
        let serving = Self(child);
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while socket::connect(&dir.join("data")).unwrap().is_none() {
            assert!(
                std::time::Instant::now() < deadline,
                "the server does not start"
            );
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        serving
    }

    fn stop(mut self) -> i32 {
        let kill = format!("kill -TERM {}", self.0.id());
        let killed = Command::new("sh").args(["-c", &kill]).status().unwrap();
        assert!(killed.success());
        self.0.wait().unwrap().code().unwrap()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
    }
}

#[test]
fn commands_work_alike_with_and_without_a_running_server() {
    let (dir, _made) = installed();
    let before = json_of(dir.path(), &["tenant", "list"]);
    let serving = Serving::start(dir.path());
    assert_eq!(json_of(dir.path(), &["tenant", "list"]), before);
    json_of(dir.path(), &["tenant", "create", "acme"]);
    let second = run(dir.path(), &["serve", "--listen", "127.0.0.1:0"]);
    assert!(stderr(&second).contains("is in use by `tenantry serve`"));
    let compact = run(dir.path(), &["store", "compact"]);
    assert_eq!(code(&compact), 1);
    assert_eq!(serving.stop(), 0);
    assert_eq!(
        json_of(dir.path(), &["tenant", "list"])["items"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    json_of(dir.path(), &["store", "compact"]);
    assert_eq!(
        json_of(dir.path(), &["tenant", "list"])["items"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn a_store_is_converted_to_another_engine_and_works_on() {
    let (dir, _made) = installed();
    let engine = |wanted: &str| {
        let stats = json_of(dir.path(), &["store", "stats"]);
        assert_eq!(stats["engine"], wanted);
    };
    json_of(dir.path(), &["tenant", "create", "acme"]);
    engine("sled");
    let serving = Serving::start(dir.path());
    let refused = run(dir.path(), &["store", "convert", "--to", "fjall"]);
    assert!(stderr(&refused).contains("stop it first"));
    assert_eq!(serving.stop(), 0);
    let converted = json_of(dir.path(), &["store", "convert", "--to", "fjall"]);
    assert!(converted["keys"].as_u64().unwrap() > 5, "{converted}");
    engine("fjall");
    assert_eq!(
        json_of(dir.path(), &["tenant", "show", "acme"])["id"],
        "acme"
    );
    let serving = Serving::start(dir.path());
    json_of(dir.path(), &["tenant", "create", "globex"]);
    assert_eq!(serving.stop(), 0);
    let freed = json_of(dir.path(), &["store", "convert", "--drop-old"]);
    assert!(freed["bytes_freed"].as_u64().unwrap() > 0);
    engine("fjall");
    for wrong in [
        &["--to", "oracle"][..],
        &[],
        &["--to", "sled", "--drop-old"],
    ] {
        let args = [&["store", "convert"], wrong].concat();
        assert_eq!(code(&run(dir.path(), &args)), 2, "{args:?}");
    }
}

#[test]
fn a_deep_data_folder_works() {
    let dir = tempfile::tempdir().unwrap();
    let deep = dir.path().join("d".repeat(100)).join("e".repeat(100));
    let data = deep.to_str().unwrap();
    json_of(dir.path(), &["init", "--yes", "--data", data]);
    assert_eq!(
        json_of(dir.path(), &["tenant", "list", "--data", data])["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}
