//! When runs are made, and what becomes of them: over a store in memory, by a clock
//! that moves only when told to.
#![allow(clippy::unwrap_used, clippy::expect_used)]
use std::{collections::BTreeSet, sync::Arc};

use super::*;
use crate::{
    app::App,
    base::{Clock, Instant, ManualClock},
    domain::job::{Reason, Run, RunId, RunState, run::Spent},
    service::{
        Caller, Code,
        testing_data::{app_with, apply, ensure},
    },
    store::{self, Key, Scan, Tree, codec, keys::jobs},
};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

struct Bench {
    app: App,
    clock: Arc<ManualClock>,
    store: store::OpenStore,
}

fn at(text: &str) -> Instant {
    Instant::parse_rfc3339(text).unwrap()
}

async fn bench(file: &str, tenants: &[&str]) -> Bench {
    bench_with(file, tenants, |_| {}).await
}

async fn bench_with(
    file: &str,
    tenants: &[&str],
    change: impl FnOnce(&mut crate::config::Config),
) -> Bench {
    let store = store::memory().unwrap();
    let clock = Arc::new(ManualClock::new(at("2026-03-02T00:00:00Z")));
    let app = app_with(store.clone(), clock.clone(), change).await;
    apply(&app, file).await;
    for tenant in tenants {
        ensure(&app, tenant).await;
    }
    app.runs.tick(clock.now()).await.unwrap();
    Bench { app, clock, store }
}

impl Bench {
    async fn tick_after(&self, ms: i64) {
        self.clock.advance_ms(ms);
        self.app.runs.tick(self.clock.now()).await.unwrap();
    }

    async fn runs(&self) -> Vec<Run> {
        let rows = self.rows(jobs::RUNS).await;
        let mut runs = Vec::new();
        for key in rows {
            let (id, _) = jobs::read_listed(&key).unwrap();
            runs.push(self.app.runs.stored(&id).await.unwrap().unwrap().0);
        }
        runs
    }

    async fn rows(&self, prefix: &'static str) -> Vec<Key> {
        let mut scan = Scan::prefix(Tree::Hot, prefix);
        scan.limit = usize::MAX;
        scan.bytes_max = usize::MAX;
        let page = self.store.engine.scan(&scan).await.unwrap();
        page.rows.into_iter().map(|(key, _)| key).collect()
    }

    /// The states of the runs of one job, with their reasons, by slot.
    async fn told(&self) -> Vec<(String, RunState, Reason)> {
        let mut runs = self.runs().await;
        runs.sort_by_key(|run| (run.id.owner.clone(), run.id.slot));
        runs.iter()
            .map(|run| {
                (
                    run.id.slot.at.to_rfc3339()[..16].into(),
                    run.state,
                    run.reason,
                )
            })
            .collect()
    }

    async fn begin(&self, id: &RunId) -> Claimed {
        self.app.runs.claim(id).await.unwrap().expect("it waits")
    }

    async fn end(&self, claimed: &Claimed, ended: Ended) -> Option<Run> {
        let end = End {
            ended,
            spent: Spent::default(),
            result: None,
        };
        self.app.runs.finish(claimed, &end).await.unwrap()
    }

    /// Has every run that is ready succeed.
    async fn finish_all(&self) {
        for run in self.runs().await {
            if let Some(claimed) = self.app.runs.claim(&run.id).await.unwrap() {
                self.end(&claimed, Ended::Succeeded).await.unwrap();
            }
        }
    }

    async fn asked(&self, job: &str) -> RunId {
        let whom = Whom::Tenants(vec!["acme".into()]);
        let asked = self.app.runs.run_now(&Caller::Local, job, &whom);
        RunId::parse(&asked.await.unwrap().runs[0]).unwrap()
    }
}

fn failed(error: &str) -> Ended {
    Ended::Failed {
        error: error.into(),
        permanent: false,
        after_ms: None,
    }
}

fn daily(rest: &str) -> String {
    format!(
        "[job.daily]\nkind = \"testing\"\nschedule = \"0 6 * * *\"\nwith = {{ does = \"nothing\" }}\n{rest}\n"
    )
}

#[tokio::test]
async fn applying_a_file_starts_nothing_and_each_slot_runs_once() {
    let bench = bench(&daily(""), &["acme"]).await;
    assert!(bench.runs().await.is_empty());
    for hours in 0..72 {
        for _ in 0..2 {
            bench.app.runs.tick(bench.clock.now()).await.unwrap();
        }
        let runs = bench.runs().await.len();
        assert_eq!(runs, (hours + 18) / 24, "{hours}");
        for run in bench.runs().await {
            if run.state == RunState::Queued {
                let claimed = bench.begin(&run.id).await;
                bench.end(&claimed, Ended::Succeeded).await;
            }
        }
        bench.clock.advance_ms(HOUR);
    }
    let told = bench.told().await;
    assert_eq!(told[0].0, "2026-03-02T06:00");
    assert!(told.iter().all(|(_, state, reason)| {
        (*state, *reason) == (RunState::Succeeded, Reason::Schedule)
    }));
}

#[tokio::test]
async fn downtime_of_an_hour_a_day_and_a_month_under_each_rule() {
    use Reason::{CatchUp, Schedule};
    use RunState::{Queued, Skipped};
    for (rule, down, wanted) in [
        // The slot was 30 minutes ago.
        (
            "run-once",
            6 * HOUR + HOUR / 2,
            ("2026-03-02T06:00", Queued, CatchUp),
        ),
        (
            "skip",
            6 * HOUR + HOUR / 2,
            ("2026-03-02T06:00", Skipped, Schedule),
        ),
        // The last of several.
        (
            "run-once",
            DAY + 7 * HOUR,
            ("2026-03-03T06:00", Queued, CatchUp),
        ),
        (
            "skip",
            DAY + 7 * HOUR,
            ("2026-03-03T06:00", Skipped, Schedule),
        ),
        (
            "run-once",
            30 * DAY + 8 * HOUR,
            ("2026-04-01T06:00", Queued, CatchUp),
        ),
        (
            "skip",
            30 * DAY + 8 * HOUR,
            ("2026-04-01T06:00", Skipped, Schedule),
        ),
        // It came back just in time.
        (
            "skip",
            30 * DAY + 6 * HOUR + 5_000,
            ("2026-04-01T06:00", Queued, Schedule),
        ),
    ] {
        let bench = bench(&daily(&format!("missed = \"{rule}\"")), &["acme"]).await;
        bench.tick_after(down).await;
        let told = bench.told().await;
        let wanted = (wanted.0.to_owned(), wanted.1, wanted.2);
        assert_eq!(told, [wanted], "{rule} {down}");
        // Nothing more until the next slot, and then that one.
        bench.tick_after(60_000).await;
        assert_eq!(bench.runs().await.len(), 1, "{rule} {down}");
        bench.tick_after(DAY).await;
        assert_eq!(bench.runs().await.len(), 2, "{rule} {down}");
    }
}

#[tokio::test]
async fn what_is_later_than_the_window_is_not_run_after_all() {
    let weekly = daily("missed = \"run-once\"").replace("0 6 * * *", "0 6 * * MON");
    let bench = bench(&weekly, &["acme"]).await;
    bench.tick_after(6 * HOUR + 25 * HOUR).await;
    let runs = bench.runs().await;
    assert_eq!(runs[0].state, RunState::Skipped);
    assert!(runs[0].error.as_ref().unwrap().contains("24 hours"));
}

#[tokio::test]
async fn what_runs_after_all_is_staggered() {
    let names: Vec<String> = (0..50).map(|n| format!("t{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let bench = bench(&daily("spread = \"10m\"\noverlap = \"queue\""), &names).await;
    bench.tick_after(12 * HOUR).await;
    let runs = bench.runs().await;
    let now = bench.clock.now();
    let waits: BTreeSet<i64> = runs.iter().map(|run| run.ready_at.0 - now.0).collect();
    assert_eq!(runs.len(), 50);
    assert!(waits.len() > 40 && waits.iter().all(|wait| (0..600_000).contains(wait)));
    // Due times are spread too, and always the same.
    let offsets: BTreeSet<i64> = runs
        .iter()
        .map(|run| run.due_at.0 - run.id.slot.at.0)
        .collect();
    assert!(offsets.len() > 40 && offsets.iter().all(|offset| (0..600_000).contains(offset)));
}

#[tokio::test]
async fn two_processes_and_doubled_beats_make_one_run_a_slot() {
    let hourly = daily("overlap = \"queue\"").replace("0 6 * * *", "@hourly");
    let names: Vec<String> = (0..20).map(|n| format!("t{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let bench = bench(&hourly, &names).await;
    let other = app_with(bench.store.clone(), bench.clock.clone(), |_| {}).await;
    for _ in 0..24 {
        bench.clock.advance_ms(HOUR);
        let now = bench.clock.now();
        let (a, b, c) = tokio::join!(
            bench.app.runs.tick(now),
            other.runs.tick(now),
            bench.app.runs.tick(now)
        );
        a.and(b).and(c).unwrap();
        for run in bench.runs().await {
            if run.state == RunState::Queued {
                // Of both, one gets it.
                let (a, b) = tokio::join!(bench.app.runs.claim(&run.id), other.runs.claim(&run.id));
                let (a, b) = (a.unwrap(), b.unwrap());
                assert!(a.is_some() != b.is_some());
                let (service, claimed) = match (a, b) {
                    (Some(a), _) => (&bench.app.runs, a),
                    (_, b) => (&other.runs, b.unwrap()),
                };
                let end = End {
                    ended: Ended::Succeeded,
                    spent: Spent::default(),
                    result: None,
                };
                service.finish(&claimed, &end).await.unwrap().unwrap();
            }
        }
    }
    let slots: BTreeSet<_> = bench
        .runs()
        .await
        .into_iter()
        .map(|run| run.id.slot)
        .collect();
    // History keeps 20 of the 24.
    assert_eq!(slots.len(), 20);
    assert_eq!(bench.runs().await.len(), 20 * 20);
    assert_eq!(bench.rows(jobs::DUE).await.len(), 20);
}

#[tokio::test]
async fn after_a_step_back_slots_come_as_before_and_none_twice() {
    let bench = bench(&daily(""), &["acme"]).await;
    bench.tick_after(7 * HOUR).await;
    bench.clock.advance_ms(20_000);
    bench.finish_all().await;
    // To 2036: a slot of that time runs, wherever it comes from.
    bench.tick_after(3_653 * DAY).await;
    bench.clock.advance_ms(20_000);
    bench.finish_all().await;
    // Back, before the slot that has its run already.
    bench.clock.advance_ms(-3_653 * DAY - 2 * HOUR);
    bench.app.runs.tick(bench.clock.now()).await.unwrap();
    bench.tick_after(2 * HOUR).await;
    let slots = |told: Vec<(String, RunState, Reason)>| -> Vec<String> {
        told.into_iter().map(|(slot, _, _)| slot).collect()
    };
    assert_eq!(
        slots(bench.told().await),
        ["2026-03-02T06:00", "2036-03-02T06:00"]
    );
    // And a process that starts in the past of the mark computes anew, too.
    bench.tick_after(24 * HOUR).await;
    assert_eq!(
        slots(bench.told().await),
        ["2026-03-02T06:00", "2026-03-03T06:00", "2036-03-02T06:00"]
    );
}

#[tokio::test]
async fn a_process_that_starts_before_the_mark_computes_anew() {
    let bench = bench(&daily(""), &["acme"]).await;
    bench.tick_after(3_653 * DAY).await;
    bench.clock.advance_ms(-3_653 * DAY);
    let restarted = app_with(bench.store.clone(), bench.clock.clone(), |_| {}).await;
    restarted.runs.tick(bench.clock.now()).await.unwrap();
    let due = bench.rows(jobs::DUE).await;
    assert_eq!(due.len(), 1);
    assert_eq!(
        jobs::read_due(&due[0]).unwrap().0,
        at("2026-03-02T06:00:00Z")
    );
}

#[tokio::test]
async fn schedules_follow_the_app_file_and_the_tenants_settings() {
    let file = daily("where = { \"meta.tier\" = [\"pro\"] }");
    let bench = bench(&file, &["acme", "acme-2"]).await;
    assert!(bench.rows(jobs::DUE).await.is_empty());
    let set = |change: &str| {
        let change = serde_json::from_str(change).unwrap();
        let tenants = bench.app.tenants.clone();
        async move {
            tenants
                .change(&Caller::Local, "acme", &change)
                .await
                .unwrap()
        }
    };
    let due = || async {
        bench.app.runs.tick(bench.clock.now()).await.unwrap();
        let rows = bench.rows(jobs::DUE).await;
        rows.iter()
            .map(|key| jobs::read_due(key).unwrap().0.to_rfc3339()[..16].to_owned())
            .collect::<Vec<_>>()
    };
    set(r#"{"meta": {"tier": "pro"}}"#).await;
    assert_eq!(due().await, ["2026-03-02T06:00"]);
    set(r#"{"timezone": "Asia/Kolkata"}"#).await;
    assert_eq!(due().await, ["2026-03-02T00:30"]);
    apply(&bench.app, &file.replace("0 6", "0 7")).await;
    assert_eq!(due().await, ["2026-03-02T01:30"]);
    apply(
        &bench.app,
        &format!("timezone = \"UTC\"\n{file}").replace(
            "timezone = \"UTC\"\n[job.daily]",
            "[job.daily]\ntimezone = \"UTC\"",
        ),
    )
    .await;
    assert_eq!(due().await, ["2026-03-02T06:00"]);
    set(r#"{"meta": {"tier": null}}"#).await;
    assert_eq!(due().await, [""; 0]);
    set(r#"{"meta": {"tier": "pro"}}"#).await;
    assert_eq!(due().await.len(), 1);
    apply(&bench.app, "").await;
    assert_eq!(due().await, [""; 0]);
    assert!(bench.rows("acme#~job#").await.is_empty());
}

#[tokio::test]
async fn overlapping_slots() {
    for (rule, states) in [
        (
            "skip",
            vec![RunState::Running, RunState::Skipped, RunState::Skipped],
        ),
        (
            "queue",
            vec![RunState::Running, RunState::Queued, RunState::Skipped],
        ),
    ] {
        let bench = bench(&daily(&format!("overlap = \"{rule}\"")), &["acme"]).await;
        bench.tick_after(6 * HOUR).await;
        let first = bench.runs().await[0].id.clone();
        let claimed = bench.begin(&first).await;
        bench.tick_after(DAY).await;
        bench.tick_after(DAY).await;
        let found: Vec<_> = bench.told().await.into_iter().map(|run| run.1).collect();
        assert_eq!(found, states, "{rule}");
        bench.end(&claimed, Ended::Succeeded).await.unwrap();
    }
    let bench = bench(&daily("overlap = \"cancel-running\""), &["acme"]).await;
    bench.tick_after(6 * HOUR).await;
    let first = bench.runs().await[0].id.clone();
    let claimed = bench.begin(&first).await;
    bench.tick_after(DAY).await;
    let stop = claimed.live.stopped().unwrap();
    assert!(matches!(&stop, Stop::Cancel(by) if by.contains("next slot")));
    let run = bench.end(&claimed, Ended::Stopped(stop)).await.unwrap();
    assert_eq!(run.state, RunState::Cancelled);
    let second = bench.runs().await.pop().unwrap();
    assert_eq!(second.state, RunState::Queued);
    bench.tick_after(DAY).await;
    let found: Vec<_> = bench.told().await.into_iter().map(|run| run.1).collect();
    assert_eq!(
        found,
        [RunState::Cancelled, RunState::Cancelled, RunState::Queued]
    );
}

#[tokio::test]
async fn an_attempt_that_was_taken_over_writes_nothing_more() {
    let bench = bench(&daily(""), &["acme"]).await;
    let id = bench.asked("daily").await;
    let claimed = bench.begin(&id).await;
    let checkpoint = Checkpoint {
        state: b"1".to_vec(),
        done: 100,
        total: None,
    };
    assert!(
        bench
            .app
            .runs
            .commit_checkpoint(&claimed.run, &checkpoint)
            .await
            .unwrap()
    );
    let other = app_with(bench.store.clone(), bench.clock.clone(), |_| {}).await;
    assert_eq!(other.runs.rescue(|_| true).await.unwrap(), 1);
    assert!(
        !bench
            .app
            .runs
            .commit_checkpoint(&claimed.run, &checkpoint)
            .await
            .unwrap()
    );
    assert_eq!(bench.end(&claimed, Ended::Succeeded).await, None);
    let again = other.runs.claim(&id).await.unwrap().unwrap();
    assert_eq!(
        (
            again.run.attempt,
            again.run.interruptions,
            again.run.failures
        ),
        (2, 1, 0)
    );
    assert_eq!(again.checkpoint, checkpoint);
    // Its own runs are nobody's to take back.
    assert_eq!(other.runs.rescue(|_| true).await.unwrap(), 0);
}

#[tokio::test]
async fn a_claim_that_nobody_works_on_is_taken_back() {
    let bench = bench(&daily(""), &["acme"]).await;
    let id = bench.asked("daily").await;
    bench.begin(&id).await;
    assert_eq!(bench.app.runs.rescue(|_| false).await.unwrap(), 0);
    // As when its end could not be written.
    bench.app.runs.live.end(&id);
    assert_eq!(bench.app.runs.rescue(|_| false).await.unwrap(), 1);
    assert_eq!(bench.begin(&id).await.run.attempt, 2);
}

#[tokio::test]
async fn damage_to_one_schedule_stops_no_other() {
    let bench = bench(&daily(""), &["acme", "acme-2"]).await;
    let mut batch = store::Batch::default();
    batch.put(
        Tree::Hot,
        Key::from("acme#~job#daily"),
        store::Value::from_static(b"x"),
    );
    bench.store.engine.commit(batch).await.unwrap();
    bench.tick_after(6 * HOUR).await;
    let runs = bench.runs().await;
    assert_eq!(runs.len(), 1);
    assert_eq!(runs[0].id.owner.as_str(), "acme-2");
}

#[tokio::test]
async fn a_wait_that_a_clock_astray_gave_is_cut() {
    let bench = bench(&daily(""), &["acme"]).await;
    bench.tick_after(3_653 * DAY).await;
    let id = bench.asked("daily").await;
    let claimed = bench.begin(&id).await;
    bench.end(&claimed, failed("no")).await;
    bench.tick_after(-3_653 * DAY).await;
    assert_eq!(bench.begin(&id).await.run.attempt, 2);
}

#[tokio::test]
async fn interruptions_use_up_no_retry_but_have_an_end() {
    let bench = bench(&daily(""), &["acme"]).await;
    let id = bench.asked("daily").await;
    for _ in 0..5 {
        let claimed = bench.begin(&id).await;
        let stop = Ended::Stopped(Stop::Interrupt("the server stopped".into()));
        let run = bench.end(&claimed, stop).await.unwrap();
        assert_eq!((run.state, run.failures), (RunState::Queued, 0));
    }
    let claimed = bench.begin(&id).await;
    let stop = Ended::Stopped(Stop::Interrupt("the server stopped".into()));
    let run = bench.end(&claimed, stop).await.unwrap();
    assert_eq!(run.state, RunState::Dead);
    assert!(run.error.unwrap().contains("6 times"));
}

#[tokio::test]
async fn retries_wait_longer_each_time_and_end() {
    let file = daily("retries = { max = 3, first = \"30s\", most = \"1m\" }");
    let bench = bench(&file, &["acme"]).await;
    let id = bench.asked("daily").await;
    for wait in [30_000, 60_000, 60_000] {
        let claimed = bench.begin(&id).await;
        let run = bench.end(&claimed, failed("no")).await.unwrap();
        assert_eq!(
            (run.state, run.error.as_deref()),
            (RunState::Queued, Some("no"))
        );
        let left = run.ready_at.0 - bench.clock.now().0;
        assert!((wait..=wait + wait / 10).contains(&left), "{left}");
        assert!(bench.app.runs.claim(&id).await.unwrap().is_none());
        bench.clock.advance_ms(left);
    }
    let claimed = bench.begin(&id).await;
    let run = bench.end(&claimed, failed("no")).await.unwrap();
    assert_eq!((run.state, run.attempt), (RunState::Dead, 4));
    // Retried by hand it has all its attempts again.
    let caller = &Caller::Local;
    let runs = &bench.app.runs;
    assert_eq!(
        runs.retry_all(caller, "daily", RunState::Dead)
            .await
            .unwrap(),
        1
    );
    let claimed = bench.begin(&id).await;
    assert_eq!(
        (claimed.run.reason, claimed.run.attempt),
        (Reason::Retry, 5)
    );
    let good = bench.end(&claimed, Ended::Succeeded).await.unwrap();
    assert_eq!((good.state, good.error), (RunState::Succeeded, None));
    let again = runs.retry(caller, &id.to_string()).await.unwrap_err();
    assert_eq!(again.code, Code::AlreadyExists);
    let permanent = bench.asked("daily").await;
    let claimed = bench.begin(&permanent).await;
    let ended = Ended::Failed {
        error: "no".into(),
        permanent: true,
        after_ms: None,
    };
    let run = bench.end(&claimed, ended).await.unwrap();
    assert_eq!(run.state, RunState::Failed);
}

#[tokio::test]
async fn a_job_that_fails_again_and_again_is_paused_for_that_tenant() {
    let file = daily("retries = { max = 0 }");
    let change = |config: &mut crate::config::Config| config.jobs.pause_after_failures = 3;
    let bench = bench_with(&file, &["acme", "acme-2"], change).await;
    for day in 0..6 {
        bench
            .tick_after(if day == 0 { 6 * HOUR } else { DAY })
            .await;
        for run in bench.runs().await {
            if run.state == RunState::Queued {
                let claimed = bench.begin(&run.id).await;
                let bad = run.id.owner.as_str() == "acme";
                bench
                    .end(&claimed, if bad { failed("no") } else { Ended::Succeeded })
                    .await;
            }
        }
    }
    let runs = bench.runs().await;
    let of = |owner: &str| {
        runs.iter()
            .filter(|run| run.id.owner.as_str() == owner)
            .count()
    };
    assert_eq!((of("acme"), of("acme-2")), (3, 6));
    let caller = &Caller::Local;
    let pauses = bench.app.runs.pauses(caller).await.unwrap();
    assert_eq!(pauses.len(), 1);
    assert_eq!(pauses[0].tenant.as_deref(), Some("acme"));
    assert!(pauses[0].reason.contains("3 runs in a row failed"));
    let paused = Paused::of(Some("daily".parse().unwrap()), Owner::parse("acme"));
    bench.app.runs.resume(caller, &paused).await.unwrap();
    bench.tick_after(DAY).await;
    let again = bench
        .runs()
        .await
        .into_iter()
        .filter(|run| run.state == RunState::Queued);
    assert_eq!(again.count(), 2);
}

#[tokio::test]
async fn slots_of_the_past_are_filled_once() {
    let bench = bench(&daily("timezone = \"Europe/Vienna\""), &["acme", "acme-2"]).await;
    let range = Backfill {
        from: at("2026-01-01T00:00:00Z"),
        to: at("2026-02-01T00:00:00Z"),
    };
    let runs = &bench.app.runs;
    let fill = || async {
        let filled = runs.backfill(&Caller::Local, "daily", &Whom::All, range);
        filled.await.unwrap()
    };
    let first = fill().await;
    assert_eq!((first.queued, first.existing), (62, 0));
    let again = fill().await;
    assert_eq!((again.queued, again.existing), (0, 62));
    let run = &bench.runs().await[0];
    assert_eq!(
        (run.reason, run.id.slot.at),
        (Reason::Backfill, at("2026-01-01T05:00:00Z"))
    );
}

#[tokio::test]
async fn history_has_an_end_by_count_and_by_age() {
    let file = daily("").replace("schedule = \"0 6 * * *\"", "every = \"1h\"");
    let bench = bench(&file, &["acme"]).await;
    for _ in 0..60 {
        bench.tick_after(HOUR).await;
        for run in bench.runs().await {
            if run.state == RunState::Queued {
                let claimed = bench.begin(&run.id).await;
                claimed.live.say(bench.clock.now(), "hello");
                bench.end(&claimed, Ended::Succeeded).await;
            }
        }
    }
    let runs = bench.runs().await;
    assert_eq!(runs.len(), 20);
    assert_eq!(bench.rows("acme#~log#").await.len(), 20);
    assert_eq!(runs[19].id.slot.at, bench.clock.now());
    bench.clock.advance_ms(6 * DAY + HOUR);
    let forget = || async {
        while bench.app.runs.forget_step(bench.clock.now()).await.unwrap() {}
        bench.runs().await.len()
    };
    assert_eq!(forget().await, 20);
    bench.clock.advance_ms(DAY - 10 * HOUR);
    let left = forget().await;
    assert!((5..15).contains(&left), "{left}");
    bench.clock.advance_ms(DAY);
    assert_eq!(forget().await, 0);
    for family in ["acme#~run#", "acme#~log#", jobs::RUNS_BY, jobs::QUEUE] {
        assert!(bench.rows(family).await.is_empty(), "{family}");
    }
}

#[tokio::test]
async fn a_tenant_that_is_erased_leaves_nothing_of_its_runs() {
    let bench = bench(&daily("overlap = \"queue\""), &["acme", "acme-2"]).await;
    bench.tick_after(6 * HOUR).await;
    let ids: Vec<RunId> = bench.runs().await.into_iter().map(|run| run.id).collect();
    let mine = ids.iter().find(|id| id.owner.as_str() == "acme").unwrap();
    let claimed = bench.begin(mine).await;
    bench.tick_after(DAY).await;
    for name in ["acme", "acme-2"] {
        let paused = Paused::of(None, Owner::parse(name));
        bench
            .app
            .runs
            .pause(&Caller::Local, &paused, "why not")
            .await
            .unwrap();
    }
    bench
        .app
        .tenants
        .delete(&Caller::Local, "acme")
        .await
        .unwrap();
    while bench.app.tenants.erase_step().await.unwrap() {}
    assert_eq!(bench.end(&claimed, Ended::Succeeded).await, None);
    bench.tick_after(DAY).await;
    let mut scan = Scan::prefix(Tree::Hot, Key::new());
    scan.limit = usize::MAX;
    for (key, _) in bench.store.engine.scan(&scan).await.unwrap().rows {
        let text = String::from_utf8_lossy(&key).into_owned();
        assert!(
            !text.contains("#acme#") && !text.ends_with("#acme") && !text.starts_with("acme#"),
            "{text}"
        );
    }
    assert_eq!(bench.rows(jobs::DUE).await.len(), 1);
    assert_eq!(bench.rows(jobs::WAITING).await.len(), 1);
    let waiting = jobs::waiting(&Owner::parse("acme-2").unwrap());
    let row = bench.store.engine.get(Tree::Hot, &waiting);
    assert_eq!(
        codec::decode_counter(row.await.unwrap().as_ref()).unwrap(),
        1
    );
}

#[tokio::test]
async fn a_tenant_has_so_many_runs_waiting() {
    let change = |config: &mut crate::config::Config| config.jobs.queued_per_tenant_max = 5;
    let bench = bench_with(&daily(""), &["acme"], change).await;
    for _ in 0..5 {
        bench.asked("daily").await;
    }
    let whom = Whom::Tenants(vec!["acme".into()]);
    let over = bench.app.runs.run_now(&Caller::Local, "daily", &whom).await;
    assert_eq!(over.unwrap_err().code, Code::LimitReached);
    let range = Backfill {
        from: at("2026-01-01T00:00:00Z"),
        to: at("2026-02-01T00:00:00Z"),
    };
    let filled = bench
        .app
        .runs
        .backfill(&Caller::Local, "daily", &Whom::All, range);
    assert_eq!(filled.await.unwrap().refused, 31);
}

#[tokio::test]
async fn lists_of_runs_by_every_filter_page_by_page() {
    let file = daily("overlap = \"queue\"") + &daily("").replace("daily", "other");
    let bench = bench(&file, &["acme", "acme-2", "b"]).await;
    // Two jobs' runs of one moment, and a later one.
    for (name, later) in [("daily", 0), ("other", 0), ("daily", 10)] {
        bench.clock.advance_ms(later);
        bench
            .app
            .runs
            .run_now(&Caller::Local, name, &Whom::All)
            .await
            .unwrap();
    }
    let all = bench.runs().await;
    for run in all.iter().filter(|run| run.id.job.as_str() == "other") {
        let claimed = bench.begin(&run.id).await;
        bench.end(&claimed, Ended::Succeeded).await;
    }
    for (job, tenant, state, wanted) in [
        (None, None, None, 9),
        (Some("daily"), None, None, 6),
        (None, Some("acme"), None, 3),
        (Some("daily"), Some("acme"), None, 2),
        (None, None, Some(RunState::Succeeded), 3),
        (Some("daily"), None, Some(RunState::Succeeded), 0),
        (Some("other"), None, Some(RunState::Succeeded), 3),
        (None, Some("b"), Some(RunState::Queued), 2),
    ] {
        let filter = RunFilter {
            job: job.map(Into::into),
            tenant: tenant.map(Into::into),
            state,
        };
        let mut seen = BTreeSet::new();
        let mut cursor: Option<String> = None;
        loop {
            let page = bench
                .app
                .runs
                .list(&Caller::Local, &filter, 2, cursor.as_deref());
            let (items, next) = page.await.unwrap();
            assert!(items.len() <= 2);
            for run in items {
                assert!(seen.insert(run.id.clone()), "{filter:?} {} twice", run.id);
            }
            match next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        assert_eq!(seen.len(), wanted, "{filter:?}");
    }
    let key = Caller::Key {
        tenant: "acme".parse().unwrap(),
        id: "k".into(),
        scopes: [crate::service::Scope::Admin].into(),
    };
    let refused = bench
        .app
        .runs
        .list(&key, &RunFilter::default(), 2, None)
        .await;
    assert_eq!(refused.unwrap_err().code, Code::OperatorOnly);
}
