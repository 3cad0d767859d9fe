//! How old the newest backup is, and whether it can be relied on.

use super::finding::Finding;
use crate::base::{Clock as _, SystemClock};
use crate::config::Config;
use crate::service::backups::{Folder, Manifest, Outcome, State};

/// One a day, and one that may fail.
const AGE_MS_MAX: i64 = 48 * 3_600_000;
const CHECK: &str = "last backup";
const ADVICE: &str = "`tenantry backup create` makes one, a job of the kind \"backup\" one every day; keep a copy on another machine: a disk can break";

/// Looks into the folder of backups.
pub fn backup(config: &Config) -> Finding {
    let folder = &config.backup.folder;
    let all = match Folder(folder.clone()).list() {
        Ok(all) => all,
        Err(error) => {
            let advice = "[backup] folder names another folder; the server has to write there";
            return Finding::fail(CHECK, error.to_string(), advice);
        }
    };
    let complete = all.iter().filter(|one| one.state == State::Complete);
    match complete.max_by_key(|one| one.moment().0) {
        Some(newest) => judge(newest, SystemClock.now().0),
        None => Finding::warn(CHECK, format!("none in {}", folder.display()), ADVICE),
    }
}

fn judge(newest: &Manifest, now_ms: i64) -> Finding {
    let age_ms = now_ms - newest.moment().0;
    let found = format!("{} hours old", age_ms.max(0) / 3_600_000);
    match newest.verification.as_ref().map(|last| last.result) {
        Some(Outcome::Bad) => Finding::fail(
            CHECK,
            format!("{found}, and it is damaged"),
            "`tenantry backup list` says what is wrong with it; make another one now",
        ),
        _ if age_ms > AGE_MS_MAX => Finding::warn(CHECK, found, ADVICE),
        Some(Outcome::Whole) => Finding::ok(CHECK, format!("{found}, found whole")),
        Some(Outcome::Untried) | None => Finding::warn(
            CHECK,
            format!("{found}, never verified"),
            format!(
                "`tenantry backup verify {}` restores it into a scratch store",
                newest.id
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::service::backups::Manifest;

    fn newest(result: Option<&str>) -> Manifest {
        let verification = result.map(|result| {
            serde_json::json!({
                "at": "2026-03-01T03:01:00Z", "result": result, "error": null,
                "keys": 1, "records": 1, "took_ms": 1
            })
        });
        serde_json::from_value(serde_json::json!({
            "id": "20260301T030000000Z", "kind": "manual", "state": "complete", "error": null,
            "engine": "sled", "version": "0.1.0", "encrypted": false,
            "started_at": "2026-03-01T03:00:00Z", "moment": "2026-03-01T03:00:00Z",
            "sequence": 1, "took_ms": 1, "bytes": 1, "keys": 1, "changes": 0,
            "logical_bytes": 1, "verification": verification
        }))
        .unwrap()
    }

    #[test]
    fn age_and_soundness_are_judged() {
        let made = newest(None).moment().0;
        let told = |result, hours: i64| {
            let finding = judge(&newest(result), made + hours * 3_600_000);
            serde_json::to_value(finding).unwrap()
        };
        for (result, hours, status, says) in [
            (Some("whole"), 5, "ok", "5 hours old, found whole"),
            (Some("whole"), 49, "warn", "49 hours old"),
            (Some("bad"), 1, "fail", "1 hours old, and it is damaged"),
            (Some("untried"), 1, "warn", "1 hours old, never verified"),
            (None, 1, "warn", "1 hours old, never verified"),
        ] {
            let told = told(result, hours);
            assert_eq!(told["status"], status, "{told}");
            assert_eq!(told["found"], says, "{told}");
        }
    }
}
