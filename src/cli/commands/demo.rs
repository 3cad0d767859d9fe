//! `tenantry serve --demo`: a server to look at, with data that is the same each
//! time, in a folder of its own that goes when it ends, or in one named by
//! `--data` that stays until the next demo there.

use std::fmt::Write as _;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, TimeDelta};
use hyper::Method;
use serde_json::json;

use super::serve;
use super::setup::{FIRST_TENANT, make_key, set_up};
use crate::base::{self, Clock as _, SystemClock, socket};
use crate::cli::client::{Client, Target};
use crate::cli::output::note;
use crate::cli::session::make_data_folder;
use crate::cli::{Context, WrongConfig, password, server};
use crate::config::{Config, Flags, Sources};
use crate::domain::EXAMPLE_APP;

const EMAIL: &str = "admin@localhost";
/// Tenant, name, tickets: one large customer and several small ones, as in life.
const TENANTS: [(&str, &str, u64); 4] = [
    (FIRST_TENANT, "Demo", 500),
    ("acme", "Acme Tools", 2_000),
    ("globex", "Globex Travel", 300),
    ("initech", "Initech", 40),
];

pub fn run(context: &Context, listen: Option<String>) -> Result<()> {
    let folder = match &context.common.data {
        Some(path) => Folder::given(path)?,
        None => Folder::make()?,
    };
    let flags = Flags {
        data: Some(folder.path.clone()),
        listen,
    };
    let sources = Sources::of_process(context.common.config.clone(), flags);
    let config = Config::load(sources).map_err(WrongConfig)?;
    let lock = serve::lock(&config)?;
    folder.clear()?;
    let (data, out) = (config.data.clone(), context.out);
    let ready = move |url: &str| {
        let url = url.to_owned();
        // On a thread of its own: what it asks is answered by whoever called this.
        std::thread::spawn(move || {
            let told = fill(&data).and_then(|filled| {
                let result = json!({
                    "url": url,
                    "operator": {"email": EMAIL, "password": filled.password},
                    "keys": filled.keys.iter().map(|(t, k)| json!({"tenant": t, "key": k})).collect::<Vec<_>>(),
                });
                out.result(&result, || filled.text(&url))
            });
            if let Err(error) = told {
                note(format_args!("the demo's data could not be made: {error:#}"));
            }
        });
    };
    server::serve(&config, lock, Box::new(ready))
}

/// What a visitor needs.
struct Filled {
    password: String,
    keys: Vec<(&'static str, String)>,
}

impl Filled {
    fn text(&self, url: &str) -> String {
        let mut text = format!(
            "address   {url}\noperator  {EMAIL}\npassword  {}\n",
            self.password
        );
        for (tenant, key) in &self.keys {
            let _ = writeln!(text, "key       {key}  ({tenant})");
        }
        text
    }
}

fn fill(data: &Path) -> Result<Filled> {
    let client = Client::new(&data.join(socket::SERVER_SOCKET))?;
    let password = password::obtain(false, false, EMAIL)?.text;
    let first = set_up(&client, EXAMPLE_APP.to_owned(), EMAIL, &password)?;
    let mut keys = vec![(FIRST_TENANT, first)];
    let mut random = Random(2_026);
    for (tenant, name, tickets) in TENANTS {
        if tenant != FIRST_TENANT {
            let wish = json!({"id": tenant, "name": name});
            client.json(Method::POST, &Target::new("/v1/tenants"), &wish)?;
            keys.push((tenant, make_key(&client, tenant, &json!({"name": "demo"}))?));
        }
        let target = Target::new("/v1/tenants").segment(tenant).segment("import");
        let target = target.query("entity", "ticket").query("format", "ndjson");
        let lines = Bytes::from(lines(&mut random, tickets));
        client.send(Method::POST, &target, "application/x-ndjson", lines)?;
    }
    // What the archive rule takes of the largest one.
    let archive = Target::new("/v1/jobs/archive/run");
    client.json(Method::POST, &archive, &json!({"tenants": ["acme"]}))?;
    // A week of reports to look at.
    let week = json!({"tenants": "all", "from": "2026-03-14", "to": "2026-03-21"});
    let backfill = Target::new("/v1/jobs/daily-report/backfill");
    client.json(Method::POST, &backfill, &week)?;
    Ok(Filled { password, keys })
}

/// Tickets of the example app file, newest in March 2026.
fn lines(random: &mut Random, count: u64) -> String {
    const WHAT: [&str; 5] = ["Printer", "Login", "Invoice", "Delivery", "Phone line"];
    const WRONG: [&str; 4] = [
        "does not work",
        "is too slow",
        "shows an error",
        "is missing",
    ];
    const STATUS: [&str; 5] = ["open", "pending", "closed", "closed", "closed"];
    let newest = DateTime::from_timestamp(1_774_000_000, 0).unwrap_or_default();
    let mut text = String::new();
    for number in 0..count {
        let age = TimeDelta::seconds(random.below(90 * 86_400).cast_signed());
        let ticket = json!({
            "subject": format!("{} {} (#{})", random.pick(&WHAT), random.pick(&WRONG), number + 1),
            "status": random.pick(&STATUS),
            "opened_at": (newest - age).to_rfc3339_opts(SecondsFormat::Secs, true),
        });
        let _ = writeln!(text, "{ticket}");
    }
    text
}

/// The same numbers each time (xorshift64*): a demo needs variety, not chance.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % end
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len() as u64) as usize]
    }
}

/// In a folder that a demo was in, so that no other folder is ever cleared.
const MARKER: &str = "DEMO";

/// The demo's folder; dropping it removes it, unless the user named it.
struct Folder {
    path: PathBuf,
    kept: bool,
}

impl Folder {
    fn make() -> Result<Self> {
        // An id nobody can guess: the temporary folder belongs to everybody.
        let (id, _) = base::Random::system().id(SystemClock.now())?;
        let path = std::env::temp_dir().join(format!("tenantry-demo-{id}"));
        make_data_folder(&path)?;
        Ok(Self { path, kept: false })
    }

    /// The folder that the user named: missing, empty, or a demo's.
    fn given(path: &Path) -> Result<Self> {
        make_data_folder(path)?;
        let marker = path.join(MARKER);
        if !marker.exists() {
            if fs::read_dir(path)?.next().is_some() {
                bail!(
                    "{} holds something that is no demo's; a demo takes a folder that is missing, empty, or held one before",
                    path.display()
                );
            }
            fs::write(
                &marker,
                "A demo of Tenantry; the next one in this folder clears it.\n",
            )?;
        }
        let path = path.canonicalize()?;
        Ok(Self { path, kept: true })
    }

    /// Removes what an earlier demo left. The folder is locked.
    fn clear(&self) -> Result<()> {
        match fs::remove_dir_all(self.path.join(server::STORE_FOLDER)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        if let Err(error) = fs::remove_dir_all(&self.path) {
            note(format_args!(
                "cannot remove {}: {error}",
                self.path.display()
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn only_a_demos_folder_is_taken_and_cleared() {
        let dir = tempfile::tempdir().unwrap();
        let (fresh, foreign) = (dir.path().join("fresh"), dir.path().join("foreign"));
        fs::create_dir(&foreign).unwrap();
        fs::write(foreign.join("holiday.jpg"), "x").unwrap();
        assert!(Folder::given(&foreign).is_err());
        assert!(foreign.join("holiday.jpg").exists());
        for _ in 0..2 {
            let folder = Folder::given(&fresh).unwrap();
            folder.clear().unwrap();
            assert!(!fresh.join(server::STORE_FOLDER).exists());
            fs::create_dir(fresh.join(server::STORE_FOLDER)).unwrap();
        }
        assert!(fresh.join(MARKER).exists());
    }

    #[test]
    fn the_tickets_are_the_same_each_time() {
        let made = lines(&mut Random(1), 3);
        assert_eq!(made, lines(&mut Random(1), 3));
        assert_eq!(made.lines().count(), 3);
        assert!(
            made.lines()
                .all(|line| line.contains("\"opened_at\":\"202"))
        );
    }
}
