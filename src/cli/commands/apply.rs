//! `tenantry apply`: the app file goes to the server, its mistakes come back with
//! their lines.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use bytes::Bytes;
use hyper::Method;
use serde_json::Value;

use crate::cli::args::Apply;
use crate::cli::client::{ApiError, Client, Target};
use crate::cli::output::{Progress, grouped, members, plain};
use crate::cli::session::Session;
use crate::cli::{Context, Told, note};

/// An app file is written by hand; the server's limit for a body is higher.
const FILE_BYTES_MAX: u64 = 4 << 20;
const POLL_FIRST: Duration = Duration::from_millis(10);
const POLL_MAX: Duration = Duration::from_millis(500);

pub fn run(context: &Context, apply: &Apply) -> Result<()> {
    let source = read(&apply.file)?;
    let session = context.session("apply")?;
    let mut target = Target::new("/v1/app");
    for (name, wanted) in [("dry_run", apply.dry_run), ("drop_data", apply.drop_data)] {
        if wanted {
            target = target.query(name, "true");
        }
    }
    let body = Bytes::from(source);
    let applied = session
        .send(Method::PUT, &target, "text/toml", body)
        .map_err(|error| explained(error, &apply.file))?;
    finish(context, session, applied, apply.dry_run, apply.wait)
}

/// Waits for the index builds where nobody else would do them, then prints.
pub fn finish(
    context: &Context,
    session: Session,
    applied: Value,
    dry_run: bool,
    wait: bool,
) -> Result<()> {
    if !dry_run && (wait || !session.is_remote()) {
        wait_for_indexes(&session)?;
    }
    session.close()?;
    context.out.result(&applied, || changes(&applied, dry_run))
}

pub(super) fn read(path: &Path) -> Result<String> {
    let mut source = String::new();
    let read = if path == Path::new("-") {
        io::stdin()
            .lock()
            .take(FILE_BYTES_MAX + 1)
            .read_to_string(&mut source)
    } else {
        File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut source))
    };
    let bytes = read.with_context(|| format!("cannot read {}", path.display()))?;
    if bytes as u64 > FILE_BYTES_MAX {
        bail!("{} is larger than {FILE_BYTES_MAX} bytes", path.display());
    }
    Ok(source)
}

/// Prints the mistakes of an app file like a compiler does, `app.toml:12:3: ...`;
/// leaves any other error as it is.
pub fn explained(error: anyhow::Error, file: &Path) -> anyhow::Error {
    let Some(api) = error.downcast_ref::<ApiError>() else {
        return error;
    };
    if let Some(problems) = api.problem["problems"]
        .as_array()
        .filter(|all| !all.is_empty())
    {
        note(lines(problems, file).trim_end());
        return Told.into();
    }
    if let Some(dropped) = api.problem["dropped"].as_array() {
        let mut text = error.to_string();
        for entity in dropped {
            let records = entity["records"].as_u64().unwrap_or(0);
            let _ = write!(
                text,
                "\n  {}: {} records",
                plain(&entity["entity"]),
                grouped(records)
            );
        }
        return anyhow!("{text}\n--drop-data drops them for good");
    }
    error
}

fn lines(problems: &[Value], file: &Path) -> String {
    let file = if file == Path::new("-") {
        Path::new("<stdin>")
    } else {
        file
    };
    let mut text = String::new();
    for problem in problems {
        let _ = write!(text, "{}:", file.display());
        for place in ["line", "column"] {
            if let Some(number) = problem[place].as_u64() {
                let _ = write!(text, "{number}:");
            }
        }
        let key = plain(&problem["key"]);
        let separator = if key.is_empty() { "" } else { ": " };
        let _ = writeln!(text, " {key}{separator}{}", plain(&problem["message"]));
    }
    text
}

/// Waits until nothing is being built or dropped; a build that failed is an error.
pub fn wait_for_indexes(client: &Client) -> Result<()> {
    let mut progress = Progress::new(Some(100));
    let mut pause = POLL_FIRST;
    loop {
        let app = client.get(&Target::new("/v1/app"))?;
        let none = Vec::new();
        let indexes = app["indexes"].as_array().unwrap_or(&none);
        let in_state = |state: &str| indexes.iter().find(|index| index["state"] == state);
        let busy = in_state("building").or(in_state("dropping"));
        let purging = app["purging"].as_array().is_some_and(|all| !all.is_empty());
        if busy.is_none() && !purging {
            progress.done();
            return match in_state("failed") {
                Some(index) => bail!("{} failed: {}", name(index), plain(&index["reason"])),
                None => Ok(()),
            };
        }
        let (percent, message) = busy.map_or((0, "removing dropped records".into()), step);
        progress.at(percent, || message);
        std::thread::sleep(pause);
        pause = (pause * 2).min(POLL_MAX);
    }
}

fn name(index: &Value) -> String {
    format!(
        "index {} of {}",
        plain(&index["name"]),
        plain(&index["entity"])
    )
}

fn step(index: &Value) -> (u64, String) {
    let count = |name: &str| index["progress"][name].as_u64().unwrap_or(0);
    let (done, total) = (count("done"), count("total"));
    let percent = (done * 100).checked_div(total).unwrap_or(0).min(100);
    let of = format!("{} of {}", grouped(done), grouped(total));
    (
        percent,
        format!("{} {}: {of}", plain(&index["state"]), name(index)),
    )
}

/// What changed, for a person: the members of the difference that say something.
fn changes(applied: &Value, dry_run: bool) -> String {
    let mut text = members(&telling(&applied["changes"]));
    for entity in applied["dropped"].as_array().unwrap_or(&Vec::new()) {
        let records = grouped(entity["records"].as_u64().unwrap_or(0));
        let _ = writeln!(
            text,
            "{} is dropped with {records} records",
            plain(&entity["entity"])
        );
    }
    let version = plain(&applied["version"]);
    let _ = match (dry_run, applied["applied"].as_bool()) {
        (true, _) if text.trim().is_empty() => writeln!(text, "nothing would change"),
        (true, _) => writeln!(text, "nothing was changed: this was a dry run"),
        (false, Some(false)) => writeln!(text, "nothing to change; version {version} stays"),
        (false, _) => writeln!(text, "applied as version {version}"),
    };
    text.trim_start().to_owned()
}

/// The value without members that are empty, false or null.
fn telling(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members
                .iter()
                .map(|(name, value)| (name.clone(), telling(value)));
            Value::Object(kept.filter(|(_, value)| !silent(value)).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(telling).collect()),
        other => other.clone(),
    }
}

fn silent(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::sync::atomic::{AtomicUsize, Ordering};

    use serde_json::json;

    use super::*;
    use crate::cli::testing::{FakeServer, answer};

    #[test]
    fn mistakes_are_printed_with_their_place() {
        let problems = [
            json!({"line": 12, "column": 3, "key": "entity.ticket.index[0].fields", "message": "expected a list"}),
            json!({"message": "expected at least one entity"}),
        ];
        assert_eq!(
            lines(&problems, Path::new("app.toml")),
            "app.toml:12:3: entity.ticket.index[0].fields: expected a list\napp.toml: expected at least one entity\n"
        );
    }

    #[test]
    fn waiting_ends_when_all_are_ready_and_fails_with_the_reason() {
        for (last, good) in [("ready", true), ("failed", false)] {
            let asked = AtomicUsize::new(0);
            let server = FakeServer::start(move |_| {
                let states = ["building", "dropping", last];
                let state = states[asked.fetch_add(1, Ordering::SeqCst).min(2)];
                let index = json!({"entity": "ticket", "name": "by_x", "state": state, "reason": "two alike"});
                answer(200, &json!({"indexes": [index]}))
            });
            let waited = wait_for_indexes(&server.client());
            assert_eq!(waited.is_ok(), good);
            assert_eq!(server.asked().len(), 3);
            if let Err(error) = waited {
                assert_eq!(error.to_string(), "index by_x of ticket failed: two alike");
            }
        }
    }

    #[test]
    fn only_what_changes_is_told() {
        let applied = json!({
            "version": 3, "applied": true,
            "changes": {"added": ["comment"], "dropped": [], "changed": [{"entity": "ticket", "schema_changed": false, "indexes_added": ["by_x"]}]},
            "dropped": [],
        });
        assert_eq!(
            changes(&applied, false),
            "added    comment\nchanged  entity=ticket indexes_added=by_x\napplied as version 3\n"
        );
        let nothing = json!({"version": 3, "applied": false, "changes": {"added": []}});
        assert_eq!(
            changes(&nothing, false),
            "nothing to change; version 3 stays\n"
        );
    }
}
