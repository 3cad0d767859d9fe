//! `tenantry backup create|list|verify|delete|restore`.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use hyper::Method;
use serde_json::{Value, json};

use crate::base::{Clock as _, Lock, Random, SystemClock, owner};
use crate::cli::args::Backup;
use crate::cli::client::Target;
use crate::cli::output::{Progress, grouped, note, plain, table};
use crate::cli::session::{Session, make_data_folder, running};
use crate::cli::{Context, server::STORE_FOLDER};
use crate::config::Config;
use crate::service::backups::{
    Folder, is_id,
    verify::{Ground, engine_of, verify},
};
use crate::store::{
    DiskEngine,
    backup::{self, BackupError, BackupReader, Identities},
};

/// How often a backup under way is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const LIST: &str = "/v1/backups";

pub fn run(context: &Context, command: &Backup) -> Result<()> {
    match command {
        Backup::Create { verify } => create(context, *verify),
        Backup::List => list(context),
        Backup::Verify { backup, identity } => {
            let identity = identity.as_deref().map(read_identity).transpose()?;
            match is_id(backup) {
                true => verify_known(context, backup, identity),
                false => verify_file(context, Path::new(backup), identity.as_deref()),
            }
        }
        Backup::Delete { backup } => delete(context, backup),
        Backup::Restore {
            backup,
            tenant: Some(tenant),
            name,
            identity,
            ..
        } => {
            let identity = identity.as_deref().map(read_identity).transpose()?;
            let call = json!({ "tenant": tenant, "as": name, "identity": identity });
            bring_back(context, backup, &call)
        }
        Backup::Restore {
            backup,
            overwrite,
            identity,
            ..
        } => restore(context, backup, *overwrite, identity.as_deref()),
    }
}

fn create(context: &Context, verify: bool) -> Result<()> {
    let session = context.session("backup create")?;
    let call = json!({ "verify": verify });
    let begun = session.json(Method::POST, &Target::new(LIST), &call)?;
    let made = follow(&session, &plain(&begun["id"]))?;
    session.close()?;
    context.out.result(&made, || {
        format!(
            "backup {} of {}: {} keys, {} changes meanwhile, {} bytes, in {} ms; {}",
            plain(&made["id"]),
            plain(&made["moment"]),
            grouped(made["keys"].as_u64().unwrap_or(0)),
            grouped(made["changes"].as_u64().unwrap_or(0)),
            grouped(made["bytes"].as_u64().unwrap_or(0)),
            grouped(made["took_ms"].as_u64().unwrap_or(0)),
            verdict(&made),
        )
    })
}

fn verdict(backup: &Value) -> String {
    let found = &backup["verification"];
    match (found["result"].as_str(), found["error"].as_str()) {
        (Some("whole"), _) => format!("found whole {}", plain(&found["at"])),
        (Some(other), Some(error)) => format!("{other}: {error}"),
        _ => "not verified".into(),
    }
}

fn list(context: &Context) -> Result<()> {
    let session = context.session("backup list")?;
    let items = session.list(&Target::new(LIST))?;
    session.close()?;
    let rows = items.iter().map(|one| {
        let state = match one["state"].as_str() {
            Some("complete") => verdict(one),
            Some("failed") => format!("failed: {}", plain(&one["error"])),
            _ => plain(&one["state"]),
        };
        json!({
            "id": one["id"],
            "kind": one["kind"],
            "moment": one["moment"],
            "bytes": grouped(one["bytes"].as_u64().unwrap_or(0)),
            "encrypted": one["encrypted"],
            "state": state,
            "kept_for": reasons(one),
        })
    });
    let columns = [
        "id",
        "kind",
        "moment",
        "bytes",
        "encrypted",
        "state",
        "kept_for",
    ];
    let shown = table(&rows.collect::<Vec<_>>(), &columns);
    let all = json!({ "items": items });
    context.out.result(&all, || shown)
}

/// Why a backup stays, for a table.
fn reasons(backup: &Value) -> String {
    let all = backup["kept_for"].as_array().into_iter().flatten();
    all.map(plain).collect::<Vec<_>>().join(", ")
}

/// Waits until what is being done with a backup is over; the backup then.
fn follow(session: &Session, id: &str) -> Result<Value> {
    let target = Target::new(LIST).segment(id);
    let mut bar = Progress::new(None);
    let over = loop {
        let now = session.get(&target)?;
        let operation = &now["operation"];
        if operation["running"] != true {
            break now;
        }
        let at = |name: &str| operation["progress"][name].as_u64().unwrap_or(0);
        let (keys, bytes) = (at("keys"), at("bytes"));
        bar.at(keys, || {
            let what = plain(&operation["what"]);
            format!("{what}: {} keys, {} bytes", grouped(keys), grouped(bytes))
        });
        std::thread::sleep(LOOK_EVERY);
    };
    bar.done();
    match over["operation"]["error"].as_str() {
        Some(error) => bail!("backup {id}: {error}"),
        None => Ok(over),
    }
}

fn verify_known(context: &Context, id: &str, identity: Option<String>) -> Result<()> {
    let session = context.session("backup verify")?;
    let target = Target::new(LIST).segment(id).segment("verify");
    session.json(Method::POST, &target, &json!({ "identity": identity }))?;
    let found = follow(&session, id)?;
    session.close()?;
    told(context, id, &found["verification"])
}

/// Verifies a file that is nobody's: no server has to run, and no store be there.
fn verify_file(context: &Context, path: &Path, identity: Option<&str>) -> Result<()> {
    let config = context.config()?;
    let identities = identities(identity, &config)?;
    let clock = Arc::new(SystemClock);
    let folder = Folder(std::env::temp_dir());
    let scratch = folder.scratch(&format!("file-{}", std::process::id()))?;
    let ground = Ground {
        limits: Arc::new(config.limits),
        clock,
        random: Arc::new(Random::system()),
    };
    let mut shown = shown();
    let store = scratch.store();
    let work = verify(&ground, path, identities.as_ref(), &store, &mut shown);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let found = runtime.block_on(work)?;
    if let Some(wrong) = found.wrong {
        bail!("{wrong}");
    }
    let found = json!({ "result": "whole", "keys": found.keys, "records": found.records });
    told(context, &path.display().to_string(), &found)
}

fn told(context: &Context, what: &str, found: &Value) -> Result<()> {
    context.out.result(found, || {
        let count = |name: &str| grouped(found[name].as_u64().unwrap_or(0));
        let (keys, records) = (count("keys"), count("records"));
        format!("{what} is whole: {keys} keys, {records} records")
    })
}

fn delete(context: &Context, id: &str) -> Result<()> {
    let session = context.session("backup delete")?;
    let target = Target::new(LIST).segment(id);
    session.json(Method::DELETE, &target, &Value::Null)?;
    session.close()?;
    let result = json!({ "deleted": id });
    context.out.result(&result, || format!("deleted {id}"))
}

/// Brings one tenant back, through the server.
fn bring_back(context: &Context, backup: &str, call: &Value) -> Result<()> {
    if !is_id(backup) {
        bail!(
            "one tenant comes back out of a backup of the installation's own folder, by its id: put the file into {} and see `tenantry backup list`",
            context.config()?.backup.folder.display()
        );
    }
    let session = context.session("backup restore")?;
    let target = Target::new(LIST).segment(backup).segment("restore");
    session.json(Method::POST, &target, call)?;
    let done = follow(&session, backup)?;
    session.close()?;
    let said = plain(&done["operation"]["result"]);
    context
        .out
        .result(&json!({ "result": said }), || said.clone())
}

fn restore(
    context: &Context,
    backup: &str,
    overwrite: bool,
    identity: Option<&Path>,
) -> Result<()> {
    let config = context.config()?;
    let folder = Folder(config.backup.folder.clone());
    let path = match is_id(backup) {
        true => folder.file(backup),
        false => PathBuf::from(backup),
    };
    // Before this process acts as the folder's owner: what only the caller can read.
    let identity = identity.map(read_identity).transpose()?;
    let identities = identities(identity.as_deref(), &config)?;
    let mut reader = BackupReader::open(&path, identities.as_ref())?;
    make_data_folder(&config.data)?;
    owner::act_as_owner(&config.data)?;
    if running(&config.data)? {
        bail!("the server is running and has the store open; stop it first, then restore again");
    }
    let _lock = Lock::acquire(&config.data, "backup restore")?;
    let dir = config.data.join(STORE_FOLDER);
    backup::settle(&dir)?;
    let before = kept_name(&dir, overwrite)?;
    let known = folder.get(&reader.facts().id)?;
    let logical_bytes = known.and_then(|known| known.logical_bytes).unwrap_or(0);
    backup::need_room(&config.data, logical_bytes)?;
    // Every name but "auto", as the configuration has checked.
    let engine = DiskEngine::named(&config.store.engine).map_or_else(|| engine_of(&reader), Ok)?;
    let restored = backup::switch(&mut reader, &dir, engine, before.as_deref(), &mut shown())?;
    let moment = crate::base::Instant(restored.trailer.moment_ms).to_rfc3339();
    let result = json!({
        "backup": reader.facts().id,
        "moment": moment,
        "sequence": restored.trailer.sequence,
        "writes": restored.writes,
        "engine": engine.name(),
        "before": before.as_ref().map(|name| dir.with_file_name(name)),
    });
    context.out.result(&result, || {
        let kept = before.as_ref().map_or_else(String::new, |name| {
            let kept = dir.with_file_name(name);
            format!(
                "\nthe store before is kept as {}; remove it when you are sure",
                kept.display()
            )
        });
        format!(
            "the store is as it was at {moment}: {} writes{kept}",
            grouped(restored.writes)
        )
    })?;
    note(
        "API keys, operators and passwords are as they were then: revoke again what was revoked since. Nobody is signed in.",
    );
    Ok(())
}

/// What the store that is there will be called; `None` where there is none.
fn kept_name(dir: &Path, overwrite: bool) -> Result<Option<String>> {
    let there = match fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_some(),
        Err(_) => false,
    };
    if !there {
        return Ok(None);
    }
    if !overwrite {
        bail!(
            "there is a store in {}; --overwrite puts the backup in its place and keeps it beside, --data names another folder",
            dir.display()
        );
    }
    let now = SystemClock.now().to_rfc3339();
    let digits: String = now.chars().filter(char::is_ascii_alphanumeric).collect();
    Ok(Some(format!("{STORE_FOLDER}.before-{digits}")))
}

fn read_identity(path: &Path) -> Result<String> {
    fs::read_to_string(path)
        .with_context(|| format!("cannot read the identity file {}", path.display()))
}

/// Who opens an encrypted backup: the text that was given, or the configured file.
fn identities(given: Option<&str>, config: &Config) -> Result<Option<Identities>> {
    let text = match (given, &config.backup.identity) {
        (Some(text), _) => text.to_owned(),
        (None, Some(path)) => read_identity(path)?,
        (None, None) => return Ok(None),
    };
    Ok(Some(Identities::parse(&text)?))
}

/// Shows how much of a file was read.
fn shown() -> impl FnMut((u64, u64)) -> Result<(), BackupError> {
    let mut bar: Option<Progress> = None;
    move |(read, length)| {
        let bar = bar.get_or_insert_with(|| Progress::new(Some(length)));
        bar.at(read, || {
            format!("{} of {} bytes read", grouped(read), grouped(length))
        });
        Ok(())
    }
}
