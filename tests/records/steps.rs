//! Writes whose steps are taken one by one, so that they meet where they hardly ever
//! meet in threads.

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
};

use serde_json::json;
use tenantry::{
    app::App,
    base::ManualClock,
    config::{Config, Sources},
    service::{
        Caller, Code, Error,
        archive::Way,
        check::CheckOptions,
        records::{Idempotency, Only, Operation, Outcome, OutcomeKind, Reply},
    },
    store::{
        ByHand, CommitterOptions, OpenStore, Tree,
        engine::{
            Stored,
            faulty::{Call, Fault, Faulty},
            memory::Memory,
        },
    },
};

use crate::bench::*;

const RULED: &str = r#"
[entity.ticket.schema]
properties.subject = { type = "string" }
properties.status = { enum = ["open", "closed"] }

[entity.ticket.archive]
by = "created_at"
after = "90d"
"#;

/// A bench whose committer takes its steps by hand.
async fn stepped() -> (Bench, ByHand, Arc<Faulty<Memory>>) {
    let engine = Arc::new(Faulty::new(Memory::new()));
    let (bench, by_hand) = opened(&engine, RULED).await;
    (bench, by_hand, engine)
}

/// The same over an engine that has an app already, or is given one.
async fn opened(engine: &Arc<Faulty<Memory>>, file: &str) -> (Bench, ByHand) {
    let stored: Arc<dyn Stored> = engine.clone();
    let (store, mut by_hand) = OpenStore::by_hand(stored, CommitterOptions::default(), 1).unwrap();
    let clock = Arc::new(ManualClock::new(START));
    let made = async {
        let config = Config::load(Sources::default()).unwrap();
        let app = App::build(config, store, clock.clone()).await.unwrap();
        apply(&app, file).await;
        let acme = tenant(&app, "acme").await;
        Bench { app, clock, acme }
    };
    let bench = drive(&mut by_hand, made).await;
    (bench, by_hand)
}

/// Polls a future once.
async fn poll<F: Future>(future: &mut Pin<&mut F>) -> Poll<F::Output> {
    std::future::poll_fn(|task| Poll::Ready(future.as_mut().poll(task))).await
}

/// A future to its end, with the committer's steps between its own.
async fn drive<T>(by_hand: &mut ByHand, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = poll(&mut future).await {
            return value;
        }
        by_hand.prepare();
        while by_hand.apply() {}
        // Other threads do some of the work, as that of a check.
        tokio::task::yield_now().await;
    }
}

fn moved(way: Way, id: &str) -> Operation {
    way.operation("ticket", id, Only::Anyhow)
}

async fn keyed(bench: &Bench, operation: Operation) -> Result<(Reply, bool), Error> {
    let key = Idempotency {
        key: "once".into(),
        route: "PUT /t".into(),
        request_hash: [1; 32],
    };
    let reply = |_: &[Outcome]| Reply {
        status: 200,
        etag: None,
        location: None,
        body: Vec::new(),
    };
    let records = &bench.app.records;
    records
        .write_one(&bench.acme, operation, Some(key), &reply)
        .await
}

#[tokio::test]
async fn what_a_batch_finds_unchanged_is_so_when_it_is_committed() {
    let (bench, mut by_hand, _) = stepped().await;
    drive(&mut by_hand, bench.written(put("a", ticket("a")))).await;
    // Both see the record hot; the move is first.
    let archived = bench.write(moved(Way::Archive, "a"));
    let mut archived = pin!(archived);
    assert!(poll(&mut archived).await.is_pending());
    let both = [moved(Way::Restore, "a"), put("b", ticket("b"))];
    let both = bench.write_all(&both);
    let mut both = pin!(both);
    assert!(poll(&mut both).await.is_pending());
    assert_eq!(
        drive(&mut by_hand, archived).await.unwrap().kind,
        OutcomeKind::Archived
    );
    let outcomes = drive(&mut by_hand, both).await.unwrap();
    assert_eq!(outcomes[0].kind, OutcomeKind::Restored);
    assert_eq!(bench.get("a").await.unwrap().tier, Tree::Hot);
}

/// In the middle of a group of writes, some of what is read is from before it.
#[tokio::test]
async fn a_refusal_is_true_at_one_moment() {
    let (bench, mut by_hand, _) = stepped().await;
    let unique =
        "\n[[entity.ticket.index]]\nname = \"by_subject\"\nfields = [\"subject\"]\nunique = true\n";
    drive(&mut by_hand, apply(&bench.app, &format!("{RULED}{unique}"))).await;
    drive(&mut by_hand, bench.settle()).await;
    drive(&mut by_hand, bench.written(put("a", ticket("a")))).await;
    let both = [moved(Way::Archive, "a"), put("b", ticket("b"))];
    let both = bench.write_all(&both);
    let mut both = pin!(both);
    assert!(poll(&mut both).await.is_pending());
    by_hand.prepare();
    while !by_hand.is_out_of_step() {
        assert!(by_hand.apply());
    }
    // It is still read as a hot record, and its new value as one that another has.
    let mut patched = pin!(bench.refused(patch("a", ticket("b"))));
    assert!(poll(&mut patched).await.is_pending());
    assert_eq!(drive(&mut by_hand, both).await.unwrap().len(), 2);
    assert_code(&drive(&mut by_hand, patched).await, Code::RecordArchived);
    // What is so for long is refused as ever.
    let refused = bench.refused(put("c", ticket("b")));
    assert_code(&drive(&mut by_hand, refused).await, Code::UniqueViolation);
}

#[tokio::test]
async fn an_answer_is_not_given_again_before_it_is_on_the_disk() {
    let (bench, mut by_hand, _) = stepped().await;
    let mut first = pin!(keyed(&bench, put("a", json!({"subject": "a"}))));
    assert!(poll(&mut first).await.is_pending());
    by_hand.prepare();
    while !by_hand.is_out_of_step() {
        assert!(by_hand.apply());
    }
    // It can be read already.
    let mut again = pin!(keyed(&bench, put("a", json!({"subject": "a"}))));
    assert!(poll(&mut again).await.is_pending());
    assert!(!drive(&mut by_hand, first).await.unwrap().1);
    assert!(drive(&mut by_hand, again).await.unwrap().1);
}

#[tokio::test]
async fn an_answer_that_may_be_lost_is_not_given_again() {
    let (bench, mut by_hand, engine) = stepped().await;
    engine.plan(Call::Apply, 0, Fault::FailAfter);
    let first = drive(
        &mut by_hand,
        keyed(&bench, put("a", json!({"subject": "a"}))),
    )
    .await;
    let first = first.unwrap_err();
    assert_code(&first, Code::Unavailable);
    assert_eq!(first.members["outcome"], "unknown");
    for _ in 0..2 {
        let again = drive(
            &mut by_hand,
            keyed(&bench, put("a", json!({"subject": "a"}))),
        )
        .await;
        assert_code(&again.unwrap_err(), Code::Unavailable);
    }
    // Nor is it told that a record is where it was to be moved.
    let there = drive(&mut by_hand, bench.write(moved(Way::Restore, "a"))).await;
    assert_code(&there.unwrap_err(), Code::Unavailable);
}

#[tokio::test]
async fn a_write_that_could_not_read_was_not_done_and_says_nothing_else() {
    let (bench, mut by_hand, engine) = stepped().await;
    for nth in 0.. {
        engine.plan(Call::Get, nth, Fault::Fail);
        let written = drive(&mut by_hand, bench.write(put("a", ticket("a")))).await;
        let Err(error) = written else {
            assert!(nth > 0);
            return;
        };
        assert_code(&error, Code::Unavailable);
        assert!(!error.members.contains_key("outcome"), "{error:?}");
        let there = drive(&mut by_hand, bench.get("a")).await;
        assert_code(&there.unwrap_err(), Code::NotFound);
    }
}

/// Whichever write of the work on an index is the last one before the power is cut.
#[tokio::test]
async fn an_index_that_is_dropped_and_built_again_has_all_its_rows() {
    let indexed = format!(
        "{RULED}\n[[entity.ticket.index]]\nname = \"by_subject\"\nfields = [\"subject\"]\n"
    );
    for last in 0.. {
        let (bench, mut by_hand, engine) = stepped().await;
        for id in ["a", "b", "c"] {
            drive(&mut by_hand, bench.written(put(id, ticket(id)))).await;
        }
        let app = &bench.app;
        drive(&mut by_hand, apply(app, &indexed)).await;
        drive(&mut by_hand, app.apps.work_step()).await.unwrap();
        drive(&mut by_hand, apply(app, RULED)).await;
        drive(&mut by_hand, apply(app, &indexed)).await;
        engine.plan(Call::Apply, last, Fault::FailAfter);
        while drive(&mut by_hand, app.apps.work_step())
            .await
            .is_ok_and(|more| more)
        {}
        let is_cut = app.store.engine.read_only().is_some();
        drop((bench, by_hand));
        if !is_cut {
            assert!(last > 3, "{last}");
            return;
        }
        let (bench, mut by_hand) = opened(&engine, &indexed).await;
        drive(&mut by_hand, bench.settle()).await;
        let check = bench.app.check.run(&Caller::Local, CheckOptions::default());
        let report = drive(&mut by_hand, check).await.unwrap();
        assert!(report.problems.is_empty(), "{last}: {:#?}", report.problems);
    }
}
