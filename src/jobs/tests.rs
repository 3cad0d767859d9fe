//! What runs when, and what becomes of it: the whole engine over a store in memory, by
//! the machine's clock.
#![allow(clippy::unwrap_used, clippy::expect_used)]
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant as Moment},
};

use super::engine::Engine;
use crate::{
    app::App,
    base::{Instant, SystemClock},
    config::Config,
    domain::job::RunState,
    service::{
        Caller,
        runs::{LogView, RunFilter, RunView, Whom},
        testing_data::{app_with, apply, ensure},
    },
    store,
};

struct Bench {
    app: App,
    engine: Option<Engine>,
}

async fn bench(file: &str, tenants: usize, change: impl FnOnce(&mut Config)) -> Bench {
    let store = store::memory().unwrap();
    let settings = |config: &mut Config| {
        config.jobs.cpu_slots = 2;
        config.jobs.grace_s = 1;
        change(config);
    };
    let app = app_with(store, Arc::new(SystemClock), settings).await;
    apply(&app, file).await;
    for tenant in 0..tenants {
        ensure(&app, &format!("t{tenant}")).await;
    }
    let mut bench = Bench { app, engine: None };
    bench.start();
    bench
}

fn job(name: &str, does: &str, rest: &str) -> String {
    format!("[job.{name}]\nkind = \"testing\"\nwith = {{ does = \"{does}\" }}\n{rest}\n")
}

fn ms(from: &str, to: &str) -> i64 {
    let at = |text| Instant::parse_rfc3339(text).unwrap().0;
    at(to) - at(from)
}

impl Bench {
    fn start(&mut self) {
        let App {
            runs,
            records,
            archive,
            backups,
            apps,
            job_metrics,
            ..
        } = &self.app;
        let engine = Engine::start(
            runs.clone(),
            records.clone(),
            archive.clone(),
            backups.clone(),
            apps.clone(),
            job_metrics.clone(),
        );
        self.engine = Some(engine.unwrap());
    }

    async fn stop(&mut self) {
        self.engine.take().unwrap().stop().await;
    }

    async fn ask(&self, job: &str, tenants: &[&str]) -> Vec<String> {
        let whom = Whom::Tenants(tenants.iter().map(|&name| name.into()).collect());
        let asked = self.app.runs.run_now(&Caller::Local, job, &whom);
        asked.await.unwrap().runs
    }

    async fn get(&self, run: &str) -> RunView {
        self.app.runs.get(&Caller::Local, run).await.unwrap()
    }

    async fn log(&self, run: &str) -> LogView {
        self.app.runs.log(&Caller::Local, run).await.unwrap()
    }

    /// The run when `done` holds of it.
    async fn when(&self, run: &str, done: impl Fn(&RunView) -> bool) -> RunView {
        let began = Moment::now();
        loop {
            let view = self.get(run).await;
            if done(&view) {
                return view;
            }
            assert!(began.elapsed() < Duration::from_secs(30), "{view:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn over(&self, run: &str) -> RunView {
        self.when(run, |view| view.state.is_over()).await
    }

    async fn all(&self, filter: RunFilter) -> Vec<RunView> {
        let mut found = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let page = self
                .app
                .runs
                .list(&Caller::Local, &filter, 500, cursor.as_deref());
            let (items, next) = page.await.unwrap();
            found.extend(items);
            match next {
                Some(next) => cursor = Some(next),
                None => return found,
            }
        }
    }
}

#[tokio::test]
async fn a_timeout_ends_the_run_and_frees_its_slot_within_a_second() {
    for does in ["hang", "spin", "io hang"] {
        let file = job("long", does, "timeout = \"500ms\"") + &job("short", "nothing", "");
        let bench = bench(&file, 1, |config| {
            (config.jobs.cpu_slots, config.jobs.io_slots) = (1, 1);
        })
        .await;
        let long = bench.ask("long", &["t0"]).await.remove(0);
        bench
            .when(&long, |run| run.state == RunState::Running)
            .await;
        let short = bench.ask("short", &["t0"]).await.remove(0);
        let (long, short) = (bench.over(&long).await, bench.over(&short).await);
        assert_eq!(long.state, RunState::TimedOut, "{does}");
        assert!(long.error.unwrap().contains("500ms"));
        let took = ms(&long.started_at.unwrap(), &long.ended_at.clone().unwrap());
        assert!((500..1_500).contains(&took), "{does} {took}");
        let after = ms(&long.ended_at.unwrap(), &short.started_at.unwrap());
        assert!((0..1_000).contains(&after), "{does} {after}");
    }
}

#[tokio::test]
async fn a_panic_is_a_failed_run_and_nothing_else() {
    let file = job("bad", "panic", "retries = { max = 0 }") + &job("good", "nothing", "");
    let bench = bench(&file, 1, |_| {}).await;
    for _ in 0..3 {
        let bad = bench.ask("bad", &["t0"]).await.remove(0);
        let bad = bench.over(&bad).await;
        assert_eq!(bad.state, RunState::Failed);
        assert_eq!(bad.error.as_deref(), Some("panicked: on purpose"));
        let good = bench.ask("good", &["t0"]).await.remove(0);
        assert_eq!(bench.over(&good).await.state, RunState::Succeeded);
    }
}

#[tokio::test]
async fn each_attempt_begins_at_the_checkpoint() {
    let retries = "retries = { max = 9, first = \"10ms\" }";
    let bench = bench(&job("steps", "batches 4", retries), 1, |_| {}).await;
    let run = bench.ask("steps", &["t0"]).await.remove(0);
    let run = bench.over(&run).await;
    assert_eq!(
        (run.state, run.attempt, run.progress.done),
        (RunState::Succeeded, 4, 4)
    );
    let log = bench.log(&run.id).await;
    let batches = log
        .lines
        .iter()
        .filter(|line| line.text.starts_with("batch "));
    let batches: Vec<_> = batches.map(|line| line.text.as_str()).collect();
    assert_eq!(batches, ["batch 1", "batch 2", "batch 3", "batch 4"]);
    assert!(run.attempts[0].error.as_deref() == Some("at the second batch"));
}

#[tokio::test]
async fn a_cancelled_run_goes_on_from_its_checkpoint_when_retried() {
    let file = job("long", "hang", "");
    let bench = bench(&file, 1, |_| {}).await;
    let run = bench.ask("long", &["t0"]).await.remove(0);
    bench
        .when(&run, |view| view.state == RunState::Running)
        .await;
    bench.app.runs.cancel(&Caller::Local, &run).await.unwrap();
    let cancelled = bench.over(&run).await;
    assert_eq!(cancelled.state, RunState::Cancelled);
    assert_eq!(cancelled.error.as_deref(), Some("cancelled by local"));
    bench.app.runs.retry(&Caller::Local, &run).await.unwrap();
    bench
        .when(&run, |view| {
            view.state == RunState::Running && view.attempt == 2
        })
        .await;
    // One that waits is cancelled at once.
    let waits = bench.ask("long", &["t0"]).await.remove(0);
    let cancelled = bench.app.runs.cancel(&Caller::Local, &waits).await.unwrap();
    assert_eq!(cancelled.state, RunState::Cancelled);
}

#[tokio::test]
async fn a_stop_gives_time_and_then_interrupts() {
    let file = job("short", "sleep 300", "") + &job("long", "hang", "");
    let mut bench = bench(&file, 2, |_| {}).await;
    let short = bench.ask("short", &["t0"]).await.remove(0);
    let long = bench.ask("long", &["t1"]).await.remove(0);
    for run in [&short, &long] {
        bench
            .when(run, |view| view.state == RunState::Running)
            .await;
    }
    let began = Moment::now();
    bench.stop().await;
    assert!(
        began.elapsed() < Duration::from_millis(3_500),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(bench.get(&short).await.state, RunState::Succeeded);
    let long = bench.get(&long).await;
    assert_eq!((long.state, long.attempt), (RunState::Queued, 1));
    assert_eq!(long.attempts[0].outcome.as_deref(), Some("interrupted"));
    bench.start();
    bench
        .when(&long.id, |view| {
            view.state == RunState::Running && view.attempt == 2
        })
        .await;
}

#[tokio::test]
async fn a_flooded_log_keeps_its_ends() {
    let bench = bench(&job("loud", "flood", ""), 1, |_| {}).await;
    let run = bench.ask("loud", &["t0"]).await.remove(0);
    assert_eq!(bench.over(&run).await.state, RunState::Succeeded);
    let log = bench.log(&run).await;
    let bytes: usize = log.lines.iter().map(|line| line.text.len()).sum();
    assert!((20_000..=65_536).contains(&bytes), "{bytes}");
    assert_eq!(log.lines[0].number, 1);
    assert_eq!(log.lines.last().unwrap().number, 200_000);
    assert_eq!(log.lines.len() as u64 + log.cut_lines, 200_000);
}

#[tokio::test]
async fn a_tenant_with_very_many_runs_delays_another_by_one_turn() {
    let file = job("work", "sleep 20", "") + &job("other", "sleep 20", "");
    let bench = bench(&file, 12, |_| {}).await;
    for _ in 0..300 {
        bench.ask("work", &["t0"]).await;
    }
    let mut worst = 0;
    for round in 0..3 {
        let mut runs = Vec::new();
        for tenant in 1..=10 {
            runs.extend(bench.ask("other", &[&format!("t{tenant}")]).await);
        }
        for run in runs {
            let run = bench.over(&run).await;
            assert_eq!(run.state, RunState::Succeeded, "{round}");
            worst = worst.max(ms(&run.queued_at, &run.started_at.unwrap()));
        }
    }
    // Ten runs of 20 ms over two slots and the whale's turn among them: 120 ms where
    // the machine has nothing else to do; a queue in order would take 3 seconds.
    assert!(worst < 1_500, "{worst}");
    let done = RunFilter {
        tenant: Some("t0".into()),
        state: Some(RunState::Queued),
        ..RunFilter::default()
    };
    assert!(
        !bench.all(done).await.is_empty(),
        "the whale is not done before them"
    );
}

#[tokio::test]
async fn hung_webhooks_hold_up_no_work() {
    let file = job("hook", "io hang", "timeout = \"2s\"") + &job("work", "nothing", "");
    let bench = bench(&file, 40, |config| config.jobs.io_slots = 8).await;
    let whales: Vec<String> = (0..30).map(|n| format!("t{n}")).collect();
    let whales: Vec<&str> = whales.iter().map(String::as_str).collect();
    let hung = bench.ask("hook", &whales).await;
    bench
        .when(&hung[0], |run| run.state == RunState::Running)
        .await;
    let others: Vec<String> = (30..40).map(|n| format!("t{n}")).collect();
    let others: Vec<&str> = others.iter().map(String::as_str).collect();
    for run in bench.ask("work", &others).await {
        let run = bench.over(&run).await;
        let waited = ms(&run.queued_at, &run.started_at.unwrap());
        assert!(waited < 1_000, "{waited}");
    }
    assert!(bench.get(&hung[29]).await.started_at.is_none());
}

#[tokio::test]
async fn limits_of_runs_at_once_hold() {
    let file = job("one", "sleep 30", "max_running = 2") + &job("two", "sleep 30", "");
    let bench = bench(&file, 6, |config| config.jobs.cpu_slots = 4).await;
    let mut runs = Vec::new();
    for tenant in 0..6 {
        let name = format!("t{tenant}");
        for _ in 0..2 {
            runs.extend(bench.ask("one", &[&name]).await);
            runs.extend(bench.ask("two", &[&name]).await);
        }
    }
    let mut spans = Vec::new();
    for run in &runs {
        let run = bench.over(run).await;
        let at = |text: String| Instant::parse_rfc3339(&text).unwrap().0;
        let span = (at(run.started_at.unwrap()), at(run.ended_at.unwrap()));
        spans.push((run.job, run.tenant.unwrap(), span));
    }
    for (_, _, (start, _)) in &spans {
        let going = spans
            .iter()
            .filter(|(_, _, (from, to))| from <= start && start < to);
        let (mut by_tenant, mut by_job) = (HashMap::new(), HashMap::new());
        for (job, tenant, _) in going {
            *by_tenant.entry(tenant).or_insert(0) += 1;
            *by_job.entry(job.as_str()).or_insert(0) += 1;
        }
        assert!(by_tenant.values().all(|count| *count == 1), "{by_tenant:?}");
        assert!(
            by_job.get("one").is_none_or(|count| *count <= 2),
            "{by_job:?}"
        );
    }
}

#[tokio::test]
async fn a_pause_stops_the_schedule_and_not_what_is_asked_for() {
    let file = job("often", "nothing", "every = \"1s\"");
    let bench = bench(&file, 1, |_| {}).await;
    let of_job = || RunFilter {
        job: Some("often".into()),
        ..RunFilter::default()
    };
    let began = Moment::now();
    while bench.all(of_job()).await.is_empty() {
        assert!(began.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let paused = crate::service::runs::Paused::of(Some("often".parse().unwrap()), None);
    let runs = &bench.app.runs;
    runs.pause(&Caller::Local, &paused, "a test").await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let count = bench.all(of_job()).await.len();
    tokio::time::sleep(Duration::from_millis(2_200)).await;
    assert_eq!(bench.all(of_job()).await.len(), count);
    let asked = bench.ask("often", &["t0"]).await.remove(0);
    assert_eq!(bench.over(&asked).await.state, RunState::Succeeded);
    runs.resume(&Caller::Local, &paused).await.unwrap();
    let began = Moment::now();
    while bench.all(of_job()).await.len() <= count + 1 {
        assert!(began.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
