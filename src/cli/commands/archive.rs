//! `tenantry archive ...`.

use std::path::Path;
use std::process::ExitCode;
use std::thread::sleep;

use anyhow::{Result, bail};
use bytes::Bytes;
use hyper::Method;
use serde_json::{Value, json};

use super::apply;
use super::job::{LOOK_EVERY, of_run, watch};
use crate::cli::args::{Archive, Hold};
use crate::cli::client::Target;
use crate::cli::output::{Progress, grouped, plain};
use crate::cli::session::Session;
use crate::cli::{Context, FAILED};

pub fn run(context: &Context, command: &Archive) -> Result<ExitCode> {
    match command {
        Archive::Plan { tenant, file } => plan(context, tenant, file.as_deref())?,
        Archive::Status { tenant } => status(context, tenant)?,
        Archive::Run {
            tenant,
            purge,
            entity,
            query,
        } => match (entity, query) {
            (Some(entity), query) => {
                let [tenant] = &tenant[..] else {
                    bail!("--entity archives records of one tenant: name it with --tenant");
                };
                let query = query.as_deref().unwrap_or_default();
                return by_query(context, "archive", tenant, entity, query);
            }
            _ => return by_rules(context, tenant, if *purge { "purge" } else { "archive" }),
        },
        Archive::Restore {
            tenant,
            entity,
            id,
            query,
        } => match (id, query) {
            (Some(id), _) => {
                let session = context.session("archive restore")?;
                let target = of_tenant(tenant).segment("records").segment(entity);
                let target = target.segment(id).segment("restore");
                let record = session.json(Method::POST, &target, &Value::Null)?;
                session.close()?;
                context
                    .out
                    .result(&record, || format!("{id} is hot again"))?;
            }
            (None, query) => {
                let query = query.as_deref().unwrap_or_default();
                return by_query(context, "restore", tenant, entity, query);
            }
        },
        Archive::Receipts { tenant } => {
            let session = context.session("archive receipts")?;
            let target = of_tenant(tenant).segment("archive").segment("receipts");
            let items = session.list(&target)?;
            session.close()?;
            let columns = [
                "began_at", "entity", "records", "bytes", "oldest", "newest", "run",
            ];
            context.out.list(items, &columns)?;
        }
        Archive::Hold(command) => hold(context, command)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn of_tenant(tenant: &str) -> Target {
    Target::new("/v1/tenants").segment(tenant)
}

/// The tenants named, or all of them.
fn tenants(session: &Session, named: &[String]) -> Result<Vec<String>> {
    if !named.is_empty() {
        return Ok(named.to_vec());
    }
    let all = session.list(&Target::new("/v1/tenants"))?;
    Ok(all.iter().map(|tenant| plain(&tenant["id"])).collect())
}

/// What `ask` says of each tenant, put together.
fn of_each(
    context: &Context,
    named: &[String],
    command: &str,
    ask: &dyn Fn(&Session, &str) -> Result<Vec<Value>>,
) -> Result<Vec<Value>> {
    let session = context.session(command)?;
    let tenants = tenants(&session, named)?;
    let mut progress = Progress::new(Some(tenants.len() as u64));
    let mut items = Vec::new();
    for (number, tenant) in tenants.iter().enumerate() {
        items.extend(ask(&session, tenant)?);
        progress.at(number as u64 + 1, || tenant.clone());
    }
    progress.done();
    session.close()?;
    Ok(items)
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

fn plan(context: &Context, tenants: &[String], file: Option<&Path>) -> Result<()> {
    let file = match file {
        None => None,
        Some(path) => Some((path, Bytes::from(apply::read(path)?))),
    };
    let mut items = of_each(context, tenants, "archive plan", &|session, tenant| {
        let target = of_tenant(tenant).segment("archive").segment("plan");
        let Some((path, file)) = &file else {
            return session.list(&target);
        };
        let plans = session.send(Method::POST, &target, "text/toml", file.clone());
        let mut plans = plans.map_err(|error| apply::explained(error, path))?;
        match plans["items"].take() {
            Value::Array(items) => Ok(items),
            _ => Ok(Vec::new()),
        }
    })?;
    if !context.out.json && tenants.is_empty() {
        items.retain(|item| number(&item["archive_records"]) + number(&item["purge_records"]) > 0);
    }
    if context.out.json {
        return context.out.list(items, &[]);
    }
    let sum = |name: &str| items.iter().map(|item| number(&item[name])).sum::<u64>();
    let total = format!(
        "{} records ({} bytes) would be archived, {} erased; hot: {} bytes now, {} then",
        grouped(sum("archive_records")),
        grouped(sum("archive_bytes")),
        grouped(sum("purge_records")),
        grouped(sum("hot_bytes")),
        grouped(sum("hot_bytes_after")),
    );
    let rows = items.iter().map(|item| {
        let rule = &item["rule"];
        let [ready, whole] = ["ready", "complete"].map(|name| item[name].as_bool() == Some(true));
        json!({
            "tenant": item["tenant"],
            "entity": item["entity"],
            "after": rule["after"],
            "archive": match ready {
                true => format!("{}{}", grouped(number(&item["archive_records"])), if whole { "" } else { " or more" }),
                false => "index being built".into(),
            },
            "bytes": grouped(number(&item["archive_bytes"])),
            "hot_then": grouped(number(&item["hot_bytes_after"])),
            "purge_after": rule["purge_after"],
            "purge": grouped(number(&item["purge_records"])),
            "held": rule["held"],
        })
    });
    let columns = [
        "tenant",
        "entity",
        "after",
        "archive",
        "bytes",
        "hot_then",
        "purge_after",
        "purge",
        "held",
    ];
    context.out.list(rows.collect(), &columns)?;
    context.out.result(&Value::Null, || total)
}

fn status(context: &Context, tenants: &[String]) -> Result<()> {
    let mut items = of_each(context, tenants, "archive status", &|session, tenant| {
        session.list(&of_tenant(tenant).segment("archive"))
    })?;
    if context.out.json {
        return context.out.list(items, &[]);
    }
    if tenants.is_empty() {
        let some =
            |item: &Value| number(&item["hot"]["records"]) + number(&item["archive"]["records"]);
        items.retain(|item| some(item) > 0);
    }
    let rows = items.iter().map(|item| {
        let (hot, archive) = (&item["hot"], &item["archive"]);
        json!({
            "tenant": item["tenant"],
            "entity": item["entity"],
            "hot": grouped(number(&hot["records"])),
            "hot_bytes": grouped(number(&hot["bytes"])),
            "archived": grouped(number(&archive["records"])),
            "archived_bytes": grouped(number(&archive["bytes"])),
            "ratio": archive["ratio"],
            "oldest_due": item["oldest_due"],
        })
    });
    let columns = [
        "tenant",
        "entity",
        "hot",
        "hot_bytes",
        "archived",
        "archived_bytes",
        "ratio",
        "oldest_due",
    ];
    context.out.list(rows.collect(), &columns)
}

/// A session with a running server: nobody else does the work of jobs.
fn served(context: &Context, command: &str) -> Result<Session> {
    let session = context.session(command)?;
    if !session.is_remote() {
        session.close()?;
        bail!(
            "no server is running, and the server does this work; start it with `tenantry serve`"
        );
    }
    Ok(session)
}

/// Runs the job of a kind for the tenants named, or for all.
fn by_rules(context: &Context, tenants: &[String], kind: &str) -> Result<ExitCode> {
    let session = served(context, "archive run")?;
    let jobs = session.list(&Target::new("/v1/jobs"))?;
    let Some(job) = jobs.iter().find(|job| job["kind"] == kind) else {
        session.close()?;
        bail!("no entity has an archive rule; declare [entity.NAME.archive] in app.toml");
    };
    let job = plain(&job["name"]);
    let whom = match tenants {
        [] => json!("all"),
        some => json!(some),
    };
    let target = Target::new("/v1/jobs").segment(&job).segment("run");
    let asked = session.json(Method::POST, &target, &json!({ "tenants": whom }))?;
    let runs = match asked["runs"].as_array().map(Vec::as_slice) {
        Some([run]) => vec![follow(&session, &plain(run))?],
        _ => watch(&session, &job, &asked)?,
    };
    ended(context, session, runs)
}

/// Moves what a query names.
fn by_query(
    context: &Context,
    way: &str,
    tenant: &str,
    entity: &str,
    query: &str,
) -> Result<ExitCode> {
    let session = served(context, "archive run")?;
    let target = of_tenant(tenant).segment(way);
    let call = json!({"entity": entity, "query": query});
    let run = session.json(Method::POST, &target, &call)?;
    let run = follow(&session, &plain(&run["id"]))?;
    ended(context, session, vec![run])
}

/// Waits for one run, and shows how far it is.
fn follow(session: &Session, run: &str) -> Result<Value> {
    let mut progress = Progress::new(Some(100));
    loop {
        let shown = session.get(&of_run(run))?;
        let at = &shown["progress"];
        let (done, total) = (number(&at["done"]), number(&at["total"]));
        let hundredths = done * 100 / total.max(1);
        progress.at(hundredths, || {
            format!("{} of {} records", grouped(done), grouped(total))
        });
        if !matches!(shown["state"].as_str(), Some("queued" | "running")) {
            progress.done();
            return Ok(shown);
        }
        sleep(LOOK_EVERY);
    }
}

fn ended(context: &Context, session: Session, runs: Vec<Value>) -> Result<ExitCode> {
    session.close()?;
    // A run that found nothing to do is skipped.
    let right = |run: &Value| matches!(run["state"].as_str(), Some("succeeded" | "skipped"));
    let failed = runs.iter().any(|run| !right(run));
    if context.out.json {
        context.out.list(runs, &[])?;
    } else {
        let rows = runs.iter().map(|run| {
            json!({
                "id": run["id"],
                "state": run["state"],
                "records": grouped(number(&run["progress"]["done"])),
                "ended_at": run["ended_at"],
                "error": run["error"],
            })
        });
        let columns = ["id", "state", "records", "ended_at", "error"];
        context.out.list(rows.collect(), &columns)?;
    }
    Ok(match failed {
        false => ExitCode::SUCCESS,
        true => ExitCode::from(FAILED),
    })
}

fn hold(context: &Context, command: &Hold) -> Result<()> {
    let session = context.session("archive hold")?;
    match command {
        Hold::Set {
            tenant,
            entity,
            record,
            reason,
        } => {
            let call = json!({"entity": entity, "record": record, "reason": reason});
            let target = of_tenant(tenant).segment("holds");
            let hold = session.json(Method::POST, &target, &call)?;
            session.close()?;
            context.out.result(&hold, || plain(&hold["id"]))
        }
        Hold::List { tenant, lifted } => {
            let target = of_tenant(tenant).segment("holds");
            let target = match lifted {
                true => target.query("lifted", "true"),
                false => target,
            };
            let items = session.list(&target)?;
            session.close()?;
            let mut columns = vec!["id", "entity", "record", "reason", "set_by", "set_at"];
            if *lifted {
                columns.extend(["lifted_by", "lifted_at", "lifted_reason"]);
            }
            context.out.list(items, &columns)
        }
        Hold::Lift {
            tenant,
            hold,
            reason,
        } => {
            let target = of_tenant(tenant).segment("holds").segment(hold);
            let target = target.query("reason", reason);
            let lifted = session.json(Method::DELETE, &target, &Value::Null)?;
            session.close()?;
            context.out.result(&lifted, || "lifted".into())
        }
    }
}
