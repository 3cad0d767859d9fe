//! A server to be tried: the debug build on a fresh folder and a free port, as a
//! process of its own.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Result;
use crate::command::{cargo, program, run};
use crate::place;

/// No start takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Instance {
    process: Child,
    folder: PathBuf,
    /// `host:port`.
    pub address: String,
    /// An operator's bearer token.
    pub token: String,
    /// An API key of the tenant `demo`.
    pub key: String,
}

impl Instance {
    /// Builds, makes a store in a folder of this name below `target/tried`, and serves it.
    pub fn start(name: &str) -> Result<Self> {
        // With the tests' own features of the dependencies: what they built is used again.
        run(&mut cargo(&["build", "--workspace", "--all-targets"]))?;
        let folder = place::target()?.join("tried").join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let made = output(tenantry(&folder, &["init", "--yes", "--json"])?)?;
        let log = File::create(folder.join("log")).map_err(|e| e.to_string())?;
        let process = tenantry(&folder, &["serve", "--listen", "127.0.0.1:0"])?
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|e| format!("serve: {e}"))?;
        let mut instance = Self {
            process,
            folder,
            address: String::new(),
            token: String::new(),
            key: member(&made, "key")?,
        };
        instance.address = instance.listening()?;
        let password = member(&made, "password")?;
        let login = format!("{{\"email\":\"admin@localhost\",\"password\":\"{password}\"}}");
        let head = format!(
            "POST /v1/auth/login HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            login.len()
        );
        let answer = exchange(&instance.address, &[head, login].concat())?;
        instance.token = member(&answer, "token")?;
        Ok(instance)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    fn listening(&self) -> Result<String> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if let Some((_, rest)) = self.log().split_once("listening on http://") {
                let end = rest.find(|c: char| c.is_whitespace()).unwrap_or(rest.len());
                return Ok(rest[..end].to_owned());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(format!("the server does not listen: {}", self.log()))
    }

    /// The memory of the process, in KiB.
    pub fn memory_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        number.unwrap_or_default()
    }

    /// Stops the server: nothing may have panicked, and the store has to be whole.
    pub fn finish(mut self) -> Result<()> {
        let id = self.process.id().to_string();
        run(&mut program("kill", &self.folder, &["-TERM", &id]))?;
        let ended = self.process.wait().map_err(|e| e.to_string())?;
        if !ended.success() {
            return Err(format!("the server ended with {ended}: {}", self.log()));
        }
        if let Some(line) = self.log().lines().find(|line| line.contains("panicked")) {
            return Err(format!("the server panicked: {line}"));
        }
        run(&mut tenantry(
            &self.folder,
            &["store", "check", "--schema"],
        )?)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn tenantry(folder: &Path, args: &[&str]) -> Result<Command> {
    let binary = place::target()?.join("debug/tenantry");
    let mut command = program(&binary.to_string_lossy(), folder, args);
    command.arg("--data").arg(folder.join("data"));
    // What is tried here is not how slow a password's hash is.
    command.env("TENANTRY_AUTH__ARGON2_MEMORY_KIB", "64");
    command.env("TENANTRY_AUTH__ARGON2_PASSES", "1");
    Ok(command)
}

fn output(mut command: Command) -> Result<String> {
    let output = command.output().map_err(|e| e.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => Err(text(&output.stderr)),
    }
}

/// A member of JSON whose value is a string without escapes.
fn member(json: &str, name: &str) -> Result<String> {
    let rest = json
        .split_once(&format!("\"{name}\":\""))
        .map(|(_, rest)| rest);
    let value = rest.and_then(|rest| rest.split('"').next());
    value
        .map(str::to_owned)
        .ok_or_else(|| format!("no {name} in {json}"))
}

/// Sends a request that closes its connection, and reads the whole answer.
pub fn exchange(address: &str, request: &str) -> Result<String> {
    let told = |e: std::io::Error| format!("{address}: {e}");
    let mut stream = TcpStream::connect(address).map_err(told)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(told)?;
    stream.write_all(request.as_bytes()).map_err(told)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(told)?;
    Ok(answer)
}
