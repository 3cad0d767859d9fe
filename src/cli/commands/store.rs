//! `tenantry store stats|check|compact|convert`.

use std::{
    fmt::Write as _,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Instant,
};

use anyhow::{Result, bail};
use hyper::Method;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use crate::base::{Lock, owner};
use crate::cli::args::Store;
use crate::cli::client::Target;
use crate::cli::output::{Progress, grouped, note, plain, table};
use crate::cli::session::running;
use crate::cli::{Context, Told, server::STORE_FOLDER};
use crate::store::{self, Copied, CopyProgress, DiskEngine, Stage, StoreError};

/// From this size and this amplification on, `store stats` tells of compaction.
const WORTH_COMPACTING_BYTES: u64 = 256 << 20;
const WORTH_COMPACTING_TIMES: f64 = 3.0;

pub fn run(context: &Context, command: &Store) -> Result<()> {
    match command {
        Store::Stats => {
            let session = context.session("store stats")?;
            let stats = session.get(&Target::new("/v1/store/stats"))?;
            session.close()?;
            context.out.result(&stats, || sizes(&stats))
        }
        Store::Check { repair, schema } => check(context, *repair, *schema),
        Store::Compact => compact(context),
        Store::Convert { to: Some(to), .. } => convert(context, to),
        Store::Convert { to: None, .. } => drop_converted(context),
    }
}

fn sizes(stats: &Value) -> String {
    let count = |value: &Value| grouped(value.as_u64().unwrap_or(0));
    let none = Vec::new();
    let trees = stats["trees"].as_array().unwrap_or(&none);
    let rows = trees.iter().map(|tree| {
        json!({
            "tree": tree["tree"],
            "keys": count(&tree["keys"]),
            "key_bytes": count(&tree["key_bytes"]),
            "value_bytes": count(&tree["value_bytes"]),
        })
    });
    let rows: Vec<Value> = rows.collect();
    let mut text = table(&rows, &["tree", "keys", "key_bytes", "value_bytes"]);
    let disk = stats["disk_bytes"].as_u64().unwrap_or(0);
    let amplification = stats["space_amplification"].as_f64().unwrap_or(0.0);
    let _ = writeln!(
        text,
        "the engine {} uses {} bytes of disk, {amplification:.1} times the keys and values",
        plain(&stats["engine"]),
        grouped(disk),
    );
    if disk > WORTH_COMPACTING_BYTES && amplification > WORTH_COMPACTING_TIMES {
        text.push_str("`tenantry store compact` gives much of it back; stop the server first\n");
    }
    text
}

fn check(context: &Context, repair: bool, schema: bool) -> Result<()> {
    let session = context.session("store check")?;
    let mut target = Target::new("/v1/store/check");
    for (name, wanted) in [("repair", repair), ("schema", schema)] {
        if wanted {
            target = target.query(name, "true");
        }
    }
    let found = session.json(Method::POST, &target, &Value::Null)?;
    session.close()?;
    context.out.result(&found, || verdict(&found))?;
    if sound(&found) {
        Ok(())
    } else {
        Err(Told.into())
    }
}

/// Nothing is wrong, or all that was wrong is repaired, and all could be judged.
fn sound(found: &Value) -> bool {
    found["unsettled"].as_u64().unwrap_or(0) == 0
        && total(found) <= found["repaired"].as_u64().unwrap_or(0)
}

/// All problems, also those beyond the ones that the answer lists.
fn total(found: &Value) -> u64 {
    let listed = found["problems"].as_array().map_or(0, Vec::len) as u64;
    found["problems_total"].as_u64().unwrap_or(listed)
}

fn verdict(found: &Value) -> String {
    let count = |name: &str| found[name].as_u64().unwrap_or(0);
    let mut text = String::new();
    let none = Vec::new();
    let problems = found["problems"].as_array().unwrap_or(&none);
    for problem in problems {
        let member = |name: &str| plain(&problem[name]);
        let _ = writeln!(
            text,
            "{}: {}: {}",
            member("kind"),
            member("key"),
            member("detail")
        );
    }
    let [keys, records, rows, counters] =
        ["keys", "records", "index_rows", "counters"].map(|name| grouped(count(name)));
    let _ = writeln!(
        text,
        "read {keys} keys: {records} records, {rows} index rows, {counters} counters"
    );
    let _ = match (total(found), count("repaired")) {
        (0, _) => writeln!(text, "nothing is wrong"),
        (wrong, 0) => writeln!(text, "{wrong} problems"),
        (wrong, repaired) => writeln!(text, "{wrong} problems, {repaired} repaired"),
    };
    let unsettled = count("unsettled");
    if unsettled > 0 {
        let _ = writeln!(
            text,
            "{unsettled} places changed too often to be judged; check again when less is written"
        );
    }
    text
}

fn compact(context: &Context) -> Result<()> {
    let copied = alone(context, "store compact", |dir| {
        let mut shown = Shown::new();
        let copied = store::compact(dir, &mut |at| shown.at(at));
        shown.done();
        copied
    })?;
    context.out.result(&sizes_of(copied), || {
        format!(
            "{} bytes before, {} after",
            grouped(copied.bytes_before),
            grouped(copied.bytes_after)
        )
    })
}

/// A copy under way, as it is shown; Ctrl-C stops it.
struct Shown {
    began: Instant,
    stage: Stage,
    bar: Option<Progress>,
    stopped: Arc<AtomicBool>,
}

impl Shown {
    fn new() -> Self {
        let stopped = Arc::new(AtomicBool::new(false));
        stop_on_signals(stopped.clone());
        Self {
            began: Instant::now(),
            stage: Stage::Counting,
            bar: Some(Progress::new(None)),
            stopped,
        }
    }

    fn at(&mut self, at: CopyProgress) -> Result<(), StoreError> {
        if self.stopped.load(Relaxed) {
            let why = "stopped; the store is as it was";
            return Err(StoreError::Open(why.into()));
        }
        if self.stage == Stage::Counting && at.stage == Stage::Copying {
            // Everything is read twice more and written once.
            let about = self.began.elapsed().as_secs_f64() * 4.0;
            note(format_args!(
                "{} keys of {} bytes are to be copied and compared; that takes about {about:.0} s. Ctrl-C stops it and leaves the store as it is.",
                grouped(at.keys_total),
                grouped(at.bytes_total)
            ));
        }
        if self.stage != at.stage {
            self.done();
            self.bar = Some(Progress::new(Some(at.keys_total)));
            self.stage = at.stage;
        }
        let what = match at.stage {
            Stage::Counting => "counted",
            Stage::Copying => "copied",
            Stage::Comparing => "compared",
        };
        if let Some(bar) = &mut self.bar {
            bar.at(at.keys, || format!("{} keys {what}", grouped(at.keys)));
        }
        Ok(())
    }

    fn done(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.done();
        }
    }
}

/// Notes SIGINT and SIGTERM from now on, on a thread that ends with the process.
fn stop_on_signals(stopped: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let Ok(runtime) = runtime else { return };
        runtime.block_on(async {
            let Ok(mut term) = signal(SignalKind::terminate()) else {
                return;
            };
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = term.recv() => {}
            }
            stopped.store(true, Relaxed);
        });
    });
}

fn convert(context: &Context, to: &str) -> Result<()> {
    let Some(engine) = DiskEngine::named(to) else {
        bail!("there is no engine {to:?}");
    };
    let copied = alone(context, "store convert", |dir| {
        let mut shown = Shown::new();
        let copied = store::convert(dir, engine, &mut |at| shown.at(at));
        shown.done();
        copied
    })?;
    context.out.result(&sizes_of(copied), || {
        format!(
            "{} keys copied and compared: {} bytes before, {} with {to}\n\
             the store before is kept; `tenantry store convert --drop-old` removes it",
            grouped(copied.keys),
            grouped(copied.bytes_before),
            grouped(copied.bytes_after)
        )
    })?;
    let configured = context.config()?.store.engine;
    if DiskEngine::named(&configured).is_some_and(|named| named != engine) {
        note(format_args!(
            "[store] engine = {configured:?} in the configuration no longer fits; make it \"auto\" or {to:?}"
        ));
    }
    Ok(())
}

fn drop_converted(context: &Context) -> Result<()> {
    let bytes = alone(context, "store convert", store::drop_converted)?;
    let result = json!({"bytes_freed": bytes});
    context.out.result(&result, || match bytes {
        0 => "nothing is kept of a conversion".into(),
        bytes => format!("{} bytes freed", grouped(bytes)),
    })
}

fn sizes_of(copied: Copied) -> Value {
    json!({
        "keys": copied.keys,
        "bytes_before": copied.bytes_before,
        "bytes_after": copied.bytes_after,
    })
}

/// Works on the store's folder as its owner, while no server runs and none starts.
fn alone<T>(
    context: &Context,
    what: &str,
    work: impl FnOnce(&Path) -> Result<T, StoreError>,
) -> Result<T> {
    let config = context.config()?;
    owner::act_as_owner(&config.data)?;
    if !config.data.is_dir() {
        bail!("there is no data folder at {}", config.data.display());
    }
    if running(&config.data)? {
        bail!(
            "the server is running and has the store open; stop it first, then run `tenantry {what}` again"
        );
    }
    let lock = Lock::acquire(&config.data, what)?;
    let done = work(&config.data.join(STORE_FOLDER))?;
    drop(lock);
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_sound_when_nothing_is_wrong_or_all_is_repaired() {
        let problem = json!({"kind": "index_row", "key": "acme#t@x#", "detail": "no record"});
        let found = |problems: &[&Value], repaired: u64| json!({"keys": 1200, "records": 3, "index_rows": 4, "counters": 5, "problems": problems, "repaired": repaired});
        assert!(sound(&found(&[], 0)));
        assert!(!sound(&found(&[&problem], 0)));
        assert!(sound(&found(&[&problem], 1)));
        assert_eq!(
            verdict(&found(&[&problem], 0)),
            "index_row: acme#t@x#: no record\nread 1,200 keys: 3 records, 4 index rows, 5 counters\n1 problems\n"
        );
    }

    #[test]
    fn sizes_are_a_table_and_name_compaction_only_where_it_is_worth_it() {
        let stats = |disk: u64, times: f64| json!({"engine": "sled", "trees": [{"tree": "hot", "keys": 1200, "key_bytes": 5, "value_bytes": 6}], "disk_bytes": disk, "space_amplification": times});
        assert_eq!(
            sizes(&stats(532_480, 53.419)),
            "TREE  KEYS   KEY BYTES  VALUE BYTES\nhot   1,200  5          6\nthe engine sled uses 532,480 bytes of disk, 53.4 times the keys and values\n"
        );
        assert!(sizes(&stats(1 << 30, 4.0)).contains("store compact"));
        assert!(!sizes(&stats(1 << 30, 2.0)).contains("store compact"));
    }
}
