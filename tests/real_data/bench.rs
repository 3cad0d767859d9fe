//! An installation in a folder of its own: commands of the real binary and, over
//! HTTP, its server.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Instant;

use reqwest::Client;
use serde_json::{Value, json};
use tempfile::TempDir;

pub struct Bench {
    folder: TempDir,
    password: String,
}

impl Bench {
    /// A fresh installation with this app file applied.
    pub fn new(app: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("own.toml"), app).unwrap();
        let mut bench = Self {
            folder,
            password: String::new(),
        };
        let made = bench.json(&["init", "--yes", "--json"]);
        bench.password = made["operator"]["password"].as_str().unwrap().to_owned();
        bench.json(&["apply", "own.toml", "--json"]);
        bench
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tenantry"));
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("TENANTRY_") {
                command.env_remove(name);
            }
        }
        command
    }

    /// Runs a command that must work, and reads the JSON that it prints.
    pub fn json(&self, args: &[&str]) -> Value {
        let started = Instant::now();
        let output = self.command().args(args).output().unwrap();
        println!("{:>8.2?}  tenantry {}", started.elapsed(), args.join(" "));
        let Output { status, stdout, .. } = &output;
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(
            status.success(),
            "{args:?}: {told}\n{}",
            String::from_utf8_lossy(stdout)
        );
        serde_json::from_slice(stdout).unwrap()
    }

    /// Imports a file into the tenants that `how` names.
    pub fn import(&self, entity: &str, id_field: &str, file: &str, how: &[&str]) -> Value {
        let mut args = vec!["import", "--json", "--create-tenants", "--entity", entity];
        args.extend(["--id-field", id_field]);
        args.extend(how);
        args.push(file);
        let report = self.json(&args);
        assert_eq!(report["failed"], 0, "{report}");
        report
    }

    /// Asserts that everything that is stored agrees; answers what was read.
    pub fn check(&self) -> Value {
        let found = self.json(&["store", "check", "--schema", "--json"]);
        assert_eq!(found["problems"], json!([]), "{found}");
        assert_eq!(found["unsettled"], 0, "{found}");
        found
    }

    /// Starts the server and signs in.
    pub async fn serve(&self) -> Served {
        let mut child = self
            .command()
            .args(["serve", "--listen", "127.0.0.1:0"])
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = lines
            .find_map(|line| Some(line.unwrap().split_once("listening on ")?.1.to_owned()))
            .expect("the server says where it listens");
        // Nobody reads further, and a full pipe must not stop the server.
        std::thread::spawn(move || lines.for_each(drop));
        let mut served = Served {
            child,
            address,
            client: client(),
            token: String::new(),
        };
        let who = json!({"email": "admin@localhost", "password": self.password});
        let session = served.client.post(served.url("/v1/auth/login")).json(&who);
        let session: Value = session.send().await.unwrap().json().await.unwrap();
        served.token = session["token"].as_str().unwrap().to_owned();
        served
    }
}

pub struct Served {
    child: Child,
    address: String,
    client: Client,
    token: String,
}

impl Served {
    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    /// A page of a list that must be served.
    pub async fn list(&self, tenant: &str, entity: &str, query: &[(&str, &str)]) -> Value {
        let url = self.url(&format!("/v1/tenants/{tenant}/records/{entity}"));
        let request = self.client.get(url).bearer_auth(&self.token).query(query);
        let response = request.send().await.unwrap();
        let status = response.status();
        let page: Value = response.json().await.unwrap();
        assert_eq!(status, 200, "{tenant} {query:?}: {page}");
        page
    }

    /// What a GET answers that must work.
    pub async fn get(&self, path: &str) -> Value {
        let request = self.client.get(self.url(path)).bearer_auth(&self.token);
        let response = request.send().await.unwrap();
        assert!(
            response.status().is_success(),
            "{path}: {}",
            response.status()
        );
        response.json().await.unwrap()
    }

    /// What a POST answers that must work.
    pub async fn post(&self, path: &str, body: &Value) -> Value {
        let request = self.client.post(self.url(path)).bearer_auth(&self.token);
        let response = request.json(body).send().await.unwrap();
        assert!(
            response.status().is_success(),
            "{path}: {}",
            response.status()
        );
        response.json().await.unwrap()
    }

    /// The server's memory in RAM.
    pub fn resident_mb(&self) -> f64 {
        let status = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(status).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|text| text.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
        kib.unwrap_or(f64::NAN) / 1_024.0
    }

    /// All pages of a list.
    pub async fn pages(&self, tenant: &str, entity: &str, query: &[(&str, &str)]) -> Vec<Value> {
        let mut pages = vec![self.list(tenant, entity, query).await];
        while let Some(cursor) = pages[pages.len() - 1]["next_cursor"].as_str() {
            let mut next = query.to_vec();
            next.push(("cursor", cursor));
            let page = self.list(tenant, entity, &next).await;
            pages.push(page);
        }
        pages
    }

    /// How many records match, by the counter.
    pub async fn count(&self, tenant: &str, entity: &str, query: &[(&str, &str)]) -> u64 {
        let mut query = query.to_vec();
        query.extend([("count", "true"), ("limit", "1")]);
        let page = self.list(tenant, entity, &query).await;
        page["count"].as_u64().unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // The folder goes next; what a crash leaves is another test's matter.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An HTTP client. Ours has no cryptography of its own choice.
fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::new()
}
