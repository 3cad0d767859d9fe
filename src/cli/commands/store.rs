//! `tenantry store stats|check|compact`.

use std::fmt::Write as _;

use anyhow::{Result, bail};
use hyper::Method;
use serde_json::{Value, json};

use crate::base::{Lock, owner};
use crate::cli::args::Store;
use crate::cli::client::Target;
use crate::cli::output::{grouped, members, plain};
use crate::cli::session::running;
use crate::cli::{Context, Told, server};

pub fn run(context: &Context, command: &Store) -> Result<()> {
    match command {
        Store::Stats => {
            let session = context.session("store stats")?;
            let stats = session.get(&Target::new("/v1/store/stats"))?;
            session.close()?;
            context.out.result(&stats, || members(&stats))
        }
        Store::Check { repair, schema } => check(context, *repair, *schema),
        Store::Compact => compact(context),
    }
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
    let config = context.config()?;
    owner::act_as_owner(&config.data)?;
    if !config.data.is_dir() {
        bail!("there is no data folder at {}", config.data.display());
    }
    if running(&config.data)? {
        bail!("the server is running and has the store open; stop it first, then compact");
    }
    let lock = Lock::acquire(&config.data, "store compact")?;
    let (before, after) = server::compact(&config.data)?;
    drop(lock);
    let result = json!({"bytes_before": before, "bytes_after": after});
    context.out.result(&result, || {
        format!("{} bytes before, {} after", grouped(before), grouped(after))
    })
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
}
