//! A server of a test's own: a fresh data folder, the real binary, and clients
//! with the credentials that `init` made.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc,
    },
    time::Duration,
};

use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::Value as Json;

/// No test waits longer for a server.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Server {
    pub dir: tempfile::TempDir,
    pub url: String,
    /// The operator's password.
    pub password: String,
    /// The API key of the tenant `demo`.
    pub key: String,
    pub http: Client,
    env: Vec<(String, String)>,
    process: Option<Child>,
    log: Arc<Mutex<Vec<String>>>,
    /// Nobody reads the log.
    unread: Arc<AtomicBool>,
}

pub fn command(data: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenantry"));
    command.args(args).arg("--data").arg(data);
    // What is measured here is not how slow a password hash is.
    command.env("TENANTRY_AUTH__ARGON2_MEMORY_KIB", "64");
    command.env("TENANTRY_AUTH__ARGON2_PASSES", "1");
    command.current_dir(data.parent().unwrap());
    command
}

/// Runs a command to its end and gives its JSON.
pub fn json(data: &Path, args: &[&str]) -> Json {
    output_of(command(data, args))
}

fn output_of(mut command: Command) -> Json {
    let output = command.arg("--json").output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    serde_json::from_slice(&output.stdout).unwrap()
}

impl Server {
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// A server with settings of its own, as `TENANTRY_SECTION__KEY`.
    pub async fn start_with(env: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut init = command(&dir.path().join("data"), &["init", "--yes"]);
        init.envs(env.iter().copied());
        let made = output_of(init);
        let mut server = Self {
            url: String::new(),
            password: text(&made["operator"]["password"]),
            key: text(&made["key"]),
            http: client(),
            env: env
                .iter()
                .map(|(k, v)| (k.to_string(), v.to_string()))
                .collect(),
            process: None,
            log: Arc::default(),
            unread: Arc::default(),
            dir,
        };
        server.run();
        server
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Starts the binary and waits until it serves.
    pub fn run(&mut self) {
        self.run_as(command(&self.data(), &["serve", "--listen", "127.0.0.1:0"]));
    }

    /// As [`Server::run`]; a write beyond the limit of a file's size is an error and
    /// does not end the process, which lets a test have writes fail.
    pub fn run_limited(&mut self) {
        let plain = command(&self.data(), &["serve", "--listen", "127.0.0.1:0"]);
        let mut limited = Command::new("sh");
        limited.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]);
        limited.arg(plain.get_program()).args(plain.get_args());
        let set = |(name, value): (_, Option<_>)| Some((name, value?));
        limited.envs(plain.get_envs().filter_map(set));
        limited.current_dir(self.dir.path());
        self.run_as(limited);
    }

    fn run_as(&mut self, mut serve: Command) {
        serve.envs(self.env.iter().cloned());
        let mut process = serve
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let (ready, address) = mpsc::channel();
        let (log, unread) = (self.log.clone(), self.unread.clone());
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Some(at) = line.find("listening on http") {
                    let _ = ready.send(line[at + 13..].trim().to_owned());
                }
                log.lock().unwrap().push(line);
                while unread.load(SeqCst) {
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        });
        self.process = Some(process);
        self.url = match address.recv_timeout(PATIENCE) {
            Ok(url) => url,
            Err(_) => panic!("no server: {:#?}", self.log.lock().unwrap()),
        };
    }

    pub fn pid(&self) -> i32 {
        self.process.as_ref().unwrap().id() as i32
    }

    /// Sends a signal and waits for the end; the exit code where there is one.
    pub fn signal(&mut self, signal: nix::sys::signal::Signal) -> Option<i32> {
        let mut process = self.process.take().unwrap();
        let pid = nix::unistd::Pid::from_raw(process.id() as i32);
        nix::sys::signal::kill(pid, signal).unwrap();
        process.wait().unwrap().code()
    }

    pub fn stop(&mut self) {
        assert_eq!(self.signal(nix::sys::signal::Signal::SIGTERM), Some(0));
    }

    pub fn restart(&mut self) {
        self.stop();
        self.run();
    }

    /// Everything that the server logged.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// Whether somebody reads the log on.
    pub fn read_log(&self, reads: bool) {
        self.unread.store(!reads, SeqCst);
    }

    /// The first line of the log with this in it, once it is there.
    pub async fn wait_for_log(&self, part: &str) -> String {
        let until = std::time::Instant::now() + PATIENCE;
        while std::time::Instant::now() < until {
            if let Some(line) = self.log().into_iter().find(|line| line.contains(part)) {
                return line;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{part:?} was not logged: {:#?}", self.log());
    }

    /// A request without credentials.
    pub fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    /// A request with a bearer token.
    pub fn bearer(&self, token: &str, method: Method, path: &str) -> RequestBuilder {
        self.anonymous(method, path).bearer_auth(token)
    }

    /// A request with the key of the tenant `demo`.
    pub fn by_key(&self, method: Method, path: &str) -> RequestBuilder {
        self.bearer(&self.key, method, path)
    }

    pub fn get(&self, path: &str) -> RequestBuilder {
        self.by_key(Method::GET, path)
    }

    pub fn post(&self, path: &str, body: &Json) -> RequestBuilder {
        self.by_key(Method::POST, path).json(body)
    }

    pub fn put(&self, path: &str, body: &Json) -> RequestBuilder {
        self.by_key(Method::PUT, path).json(body)
    }

    /// Signs the operator in.
    pub async fn operator(&self) -> String {
        let login = serde_json::json!({"email": "admin@localhost", "password": self.password});
        let request = self.anonymous(Method::POST, "/v1/auth/login").json(&login);
        text(&ok(request).await["token"])
    }

    /// Makes a tenant and gives an API key of it.
    pub fn tenant(&self, slug: &str) -> String {
        text(&json(&self.data(), &["tenant", "create", slug, "--key"])["key"])
    }

    /// Applies an app file and waits for its indexes.
    pub async fn apply(&self, operator: &str, app: &str) {
        let request = self.bearer(operator, Method::PUT, "/v1/app");
        let request = request.header("content-type", "text/toml");
        ok(request.body(app.to_owned())).await;
        for _ in 0..200 {
            let app = ok(self.bearer(operator, Method::GET, "/v1/app")).await;
            let indexes = app["indexes"].as_array().unwrap().clone();
            if indexes.iter().all(|index| index["state"] == "ready") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("the indexes are not ready");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
        if std::thread::panicking() {
            eprintln!("{}", self.log().join("\n"));
        }
    }
}

/// An HTTP client. Ours has no cryptography of its own choice.
pub fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::new()
}

pub fn text(value: &Json) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("no text: {value}"))
        .to_owned()
}

/// The JSON of an answer that has to be a success.
pub async fn ok(request: RequestBuilder) -> Json {
    let response = request.send().await.unwrap();
    let status = response.status();
    let body = response.text().await.unwrap();
    assert!(status.is_success(), "{status}: {body}");
    serde_json::from_str(&body).unwrap_or(Json::Null)
}

/// The problem of an answer that has to be a refusal.
pub async fn problem(request: RequestBuilder, status: u16, code: &str) -> Json {
    problem_of(request.send().await.unwrap(), status, code).await
}

pub async fn problem_of(response: Response, status: u16, code: &str) -> Json {
    let given = response.status();
    let header = |name: &str| {
        let value = response.headers().get(name);
        value
            .map(|v| v.to_str().unwrap().to_owned())
            .unwrap_or_default()
    };
    let (kind, id) = (header("content-type"), header("x-request-id"));
    let body = response.text().await.unwrap();
    assert_eq!(given, StatusCode::from_u16(status).unwrap(), "{body}");
    assert_eq!(kind, "application/problem+json");
    let problem: Json = serde_json::from_str(&body).unwrap();
    assert_eq!(problem["code"], code, "{problem}");
    assert_eq!(problem["status"], status);
    assert_eq!(problem["request_id"], id.as_str());
    assert!(!text(&problem["detail"]).is_empty());
    problem
}
