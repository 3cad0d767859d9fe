//! `tenantry job ...`.

use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, bail};
use hyper::Method;
use serde_json::{Value, json};

use crate::cli::args::{Job, Whom};
use crate::cli::client::Target;
use crate::cli::output::{Progress, grouped, members, note, plain, print};
use crate::cli::session::Session;
use crate::cli::{Context, FAILED};

/// How often a run is looked at that is waited for.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Runs on one page.
const PAGE: usize = 500;

pub fn run(context: &Context, command: &Job) -> Result<ExitCode> {
    match command {
        Job::Run { job, whom, wait } => return run_now(context, job, whom, *wait),
        Job::Log { run, follow } => log(context, run, *follow)?,
        Job::List => {
            let session = context.session("job list")?;
            let items = session.list(&Target::new("/v1/jobs"))?;
            session.close()?;
            let columns = ["name", "kind", "schedule", "timezone", "next_at", "paused"];
            context.out.list(items, &columns)?;
        }
        Job::Show { job } => {
            let shown = ask(context, "job show", Method::GET, &of(job), &Value::Null)?;
            context.out.result(&shown, || members(&shown))?;
        }
        Job::Backfill {
            job,
            whom,
            from,
            to,
        } => {
            let call = json!({"tenants": tenants(whom), "from": from, "to": to});
            let target = of(job).segment("backfill");
            let asked = ask(context, "job backfill", Method::POST, &target, &call)?;
            context.out.result(&asked, || told(&asked))?;
        }
        Job::Runs {
            job,
            tenant,
            state,
            limit,
        } => {
            let session = context.session("job runs")?;
            let target = Target::new("/v1/runs")
                .query_opt("job", job.as_deref())
                .query_opt("tenant", tenant.as_deref())
                .query_opt("state", state.as_deref());
            let items = runs(&session, &target, *limit)?;
            session.close()?;
            let columns = [
                "id",
                "state",
                "reason",
                "attempt",
                "queued_at",
                "started_at",
                "ended_at",
                "error",
            ];
            context.out.list(items, &columns)?;
        }
        Job::Cancel { run } => {
            let target = of_run(run).segment("cancel");
            let run = ask(context, "job cancel", Method::POST, &target, &Value::Null)?;
            context.out.result(&run, || state(&run))?;
        }
        Job::Retry { run: Some(run), .. } => {
            let target = of_run(run).segment("retry");
            let run = ask(context, "job retry", Method::POST, &target, &Value::Null)?;
            context.out.result(&run, || state(&run))?;
        }
        Job::Retry { all, state, .. } => {
            let target = of(all.as_deref().unwrap_or_default()).segment("retry");
            let call = json!({ "state": state });
            let done = ask(context, "job retry", Method::POST, &target, &call)?;
            context.out.result(&done, || {
                format!("{} runs wait again", plain(&done["queued"]))
            })?;
        }
        Job::Pause {
            job,
            tenant,
            reason,
            everything,
        } => {
            let mut call = json!({"job": job, "tenant": tenant, "everything": everything});
            if let Some(reason) = reason {
                call["reason"] = reason.as_str().into();
            }
            let target = Target::new("/v1/pauses");
            ask(context, "job pause", Method::POST, &target, &call)?;
            context
                .out
                .result(&json!({"paused": true}), || "paused".into())?;
        }
        Job::Resume {
            job,
            tenant,
            everything,
        } => {
            let target = Target::new("/v1/pauses")
                .query("everything", &everything.to_string())
                .query_opt("job", job.as_deref())
                .query_opt("tenant", tenant.as_deref());
            ask(context, "job resume", Method::DELETE, &target, &Value::Null)?;
            context
                .out
                .result(&json!({"paused": false}), || "not paused".into())?;
        }
        Job::Pauses => {
            let session = context.session("job pauses")?;
            let items = session.list(&Target::new("/v1/pauses"))?;
            session.close()?;
            context
                .out
                .list(items, &["job", "tenant", "since", "by", "reason"])?;
        }
        Job::Secret {
            job,
            tenant,
            rotate,
        } => {
            let target = Target::new("/v1/tenants").segment(tenant);
            let target = target.segment("jobs").segment(job).segment("secret");
            let method = if *rotate { Method::POST } else { Method::GET };
            let secret = ask(context, "job secret", method, &target, &Value::Null)?;
            context.out.result(&secret, || plain(&secret["secret"]))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn ask(
    context: &Context,
    command: &str,
    method: Method,
    target: &Target,
    body: &Value,
) -> Result<Value> {
    let session = context.session(command)?;
    let answer = session.json(method, target, body)?;
    session.close()?;
    Ok(answer)
}

fn of(job: &str) -> Target {
    Target::new("/v1/jobs").segment(job)
}

pub(super) fn of_run(run: &str) -> Target {
    Target::new("/v1/runs").segment(run)
}

fn tenants(whom: &Whom) -> Value {
    match whom.all {
        true => json!("all"),
        false => json!(whom.tenant),
    }
}

fn state(run: &Value) -> String {
    format!("{} is {}", plain(&run["id"]), plain(&run["state"]))
}

fn told(asked: &Value) -> String {
    let mut text = format!("{} queued", plain(&asked["queued"]));
    for (member, words) in [
        ("existing", "have a run already"),
        ("refused", "refused: too many wait"),
    ] {
        if asked[member].as_u64().is_some_and(|count| count > 0) {
            text += &format!(", {} {words}", plain(&asked[member]));
        }
    }
    text
}

/// Up to `limit` runs, page by page; a page may be short, or empty, and not the last.
fn runs(session: &Session, target: &Target, limit: usize) -> Result<Vec<Value>> {
    let mut found = Vec::new();
    let mut cursor: Option<String> = None;
    while found.len() < limit {
        let size = (limit - found.len()).min(PAGE).to_string();
        let page = target.clone().query("limit", &size);
        let mut page = session.get(&page.query_opt("cursor", cursor.as_deref()))?;
        if let Some(items) = page["items"].as_array_mut() {
            found.append(items);
        }
        cursor = page["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    Ok(found)
}

fn run_now(context: &Context, job: &str, whom: &Whom, wait: bool) -> Result<ExitCode> {
    let session = context.session("job run")?;
    if !session.is_remote() {
        if wait {
            bail!("--wait waits for the server, and none is running");
        }
        note("No server is running: the runs begin when one does.");
    }
    let call = json!({ "tenants": tenants(whom) });
    let asked = session.json(Method::POST, &of(job).segment("run"), &call)?;
    if !wait {
        session.close()?;
        context.out.result(&asked, || told(&asked))?;
        return Ok(ExitCode::SUCCESS);
    }
    let ended = watch(&session, job, &asked)?;
    session.close()?;
    let failed = ended
        .iter()
        .filter(|run| run["state"] != "succeeded")
        .count();
    let columns = ["id", "state", "ended_at", "error"];
    context.out.list(ended, &columns)?;
    Ok(match failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::from(FAILED),
    })
}

/// Waits until what was asked for is over. Of more than 100 runs the first 100 are
/// named; when those are over, nothing of the job may wait or run.
pub(super) fn watch(session: &Session, job: &str, asked: &Value) -> Result<Vec<Value>> {
    let names = asked["runs"].as_array().cloned().unwrap_or_default();
    let total = asked["queued"].as_u64().unwrap_or(0);
    let mut progress = Progress::new(Some(total));
    let mut ended = Vec::new();
    for name in names.iter().filter_map(Value::as_str) {
        loop {
            let run = session.get(&of_run(name))?;
            if !matches!(run["state"].as_str(), Some("queued" | "running")) {
                ended.push(run);
                break;
            }
            sleep(LOOK_EVERY);
        }
        let done = ended.len() as u64;
        progress.at(done, || {
            format!("{} of {} runs", grouped(done), grouped(total))
        });
    }
    for state in ["queued", "running"] {
        let target = Target::new("/v1/runs")
            .query("job", job)
            .query("state", state);
        while total > names.len() as u64 && !runs(session, &target, 1)?.is_empty() {
            progress.at(ended.len() as u64, || format!("some are {state}"));
            sleep(LOOK_EVERY);
        }
    }
    progress.done();
    Ok(ended)
}

fn log(context: &Context, run: &str, follow: bool) -> Result<()> {
    let session = context.session("job log")?;
    let mut sent = 0;
    loop {
        let shown = session.get(&of_run(run))?;
        let log = session.get(&of_run(run).segment("log"))?;
        let over = !matches!(shown["state"].as_str(), Some("queued" | "running"));
        if context.out.json && (over || !follow) {
            session.close()?;
            return context
                .out
                .result(&json!({"run": shown, "log": log}), String::new);
        }
        if !context.out.json {
            print(&lines(&log, &mut sent))?;
            if over || !follow {
                session.close()?;
                return print(&ending(&shown));
            }
        }
        sleep(LOOK_EVERY);
    }
}

/// The lines that were not printed yet.
fn lines(log: &Value, sent: &mut u64) -> String {
    let mut out = String::new();
    let cut_after = log["cut_after"].as_u64().unwrap_or(0);
    for line in log["lines"].as_array().into_iter().flatten() {
        let number = line["number"].as_u64().unwrap_or(0);
        if number <= *sent {
            continue;
        }
        if number > cut_after && *sent <= cut_after && cut_after > 0 {
            let cut = plain(&log["cut_lines"]);
            out += &format!("... {cut} lines were not kept ...\n");
        }
        *sent = number;
        out += &format!("{}  {}\n", plain(&line["at"]), plain(&line["text"]));
    }
    out
}

fn ending(run: &Value) -> String {
    let mut text = state(run);
    if let Some(error) = run["error"].as_str() {
        text += &format!(": {error}");
    }
    if let Some(result) = run["result"].as_object() {
        let part = |name: &str| result.get(name).map(plain).unwrap_or_default();
        text += &format!(" ({}/{})", part("entity"), part("id"));
    }
    text + "\n"
}
