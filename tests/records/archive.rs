//! Records in two tiers: where they are, what may be done to them there, and that rows,
//! counters and unique values keep to it.

use std::sync::atomic::Ordering::Relaxed;

use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::{Value as Json, json};
use tenantry::{
    base::Instant,
    domain::{RecordId, query::ListRequest},
    service::{
        Caller, Code,
        archive::{Way, archive_end},
        check::CheckOptions,
        holds::NewHold,
        records::{Action, Only, Operation, OutcomeKind},
    },
    store::Tree,
};

use crate::bench::*;

/// Closed tickets leave 90 days after they were closed.
fn ruled(rest: &str) -> String {
    format!(
        r#"
[entity.ticket.schema]
required = ["subject", "status"]
properties.subject = {{ type = "string", maxLength = 2000 }}
properties.status = {{ enum = ["open", "pending", "closed"] }}
properties.closed_at = {{ type = "string", format = "date-time" }}
properties.number = {{ type = "integer" }}

[[entity.ticket.index]]
name = "by_status"
fields = ["status", "closed_at"]

[[entity.ticket.index]]
name = "by_number"
fields = ["number"]
unique = true

[entity.ticket.archive]
when = {{ status = "closed" }}
by = "closed_at"
after = "90d"
{rest}
"#
    )
}

const DAY: i64 = 86_400_000;

fn closed(subject: &str, days_ago: i64) -> Json {
    let at = START.plus_ms(-days_ago * DAY).to_rfc3339();
    json!({"subject": subject, "status": "closed", "closed_at": at})
}

fn archive(id: &str) -> Operation {
    let id = id.into();
    Operation::of(
        "ticket",
        Action::Archive {
            id,
            only: Only::Anyhow,
        },
    )
}

fn if_due(id: &str, now: Instant) -> Operation {
    let (id, only) = (id.into(), Only::Due(archive_end(90 * DAY, now)));
    Operation::of("ticket", Action::Archive { id, only })
}

fn restore(id: &str) -> Operation {
    Operation::of(
        "ticket",
        Action::Restore {
            id: id.into(),
            only: Only::Anyhow,
        },
    )
}

impl Bench {
    async fn tier(&self, id: &str) -> Tree {
        self.get(id).await.unwrap().tier
    }

    async fn assert_sound(&self) {
        let options = CheckOptions::default();
        let report = self.app.check.run(&Caller::Local, options).await.unwrap();
        assert!(report.problems.is_empty(), "{:#?}", report.problems);
    }

    async fn due(&self, tier: Tree, restored: bool, end: Instant) -> Vec<RecordId> {
        let entity = self.app.archive.ruled("ticket").await.unwrap();
        let page = self
            .app
            .archive
            .due(&self.acme, &entity, tier, (restored, end), None, 100);
        let page = page.await.unwrap();
        page.records.into_iter().map(|(id, _)| id).collect()
    }
}

#[tokio::test]
async fn a_record_moves_as_it_is_and_comes_back() {
    let bench = bench(&ruled("")).await;
    let body = json!({"subject": "über \u{1F600} ".repeat(40), "status": "closed", "number": 7});
    let made = bench.written(put("a", body.clone())).await;
    let moved = bench.write(archive("a")).await.unwrap();
    assert_eq!(moved.kind, OutcomeKind::Archived);
    let record = bench.get("a").await.unwrap();
    assert_eq!((record.tier, record.meta), (Tree::Archive, made.meta));
    assert_eq!(record.json, made.json);
    assert_eq!(
        bench.write(archive("a")).await.unwrap().kind,
        OutcomeKind::Unchanged
    );
    bench.assert_sound().await;
    let back = bench.write(restore("a")).await.unwrap();
    assert_eq!(back.kind, OutcomeKind::Restored);
    let record = bench.get("a").await.unwrap();
    assert_eq!((record.tier, record.json), (Tree::Hot, made.json));
    assert_eq!(record.meta.version, made.meta.version);
    // 30 days is what a rule has that says nothing.
    assert_eq!(record.meta.restored_until, Some(START.plus_ms(30 * DAY)));
    assert_eq!(
        bench.write(restore("a")).await.unwrap().kind,
        OutcomeKind::Unchanged
    );
    bench.assert_sound().await;
    let error = bench.refused(archive("none")).await;
    assert_code(&error, Code::NotFound);
}

#[tokio::test]
async fn lists_and_counts_know_the_tiers() {
    let bench = bench(&ruled("")).await;
    for number in 0..40 {
        let id = format!("t{number:02}");
        bench.written(put(&id, closed(&id, 100 + number))).await;
        if number % 2 == 0 {
            bench.write(archive(&id)).await.unwrap();
        }
    }
    bench.assert_sound().await;
    for (tier, count) in [("hot", 20), ("archive", 20), ("all", 40)] {
        let query = format!("status=closed&order=-closed_at&limit=7&tier={tier}");
        let (subjects, _) = bench.subjects(&query).await;
        assert_eq!(subjects.len(), count, "{tier}");
        assert!(subjects.is_sorted(), "{subjects:?}");
        let page = bench
            .list(&format!("status=closed&count=true&tier={tier}"))
            .await
            .unwrap();
        assert_eq!(page["count"], count);
        let (by_id, _) = bench
            .subjects(&format!("order=id&limit=7&tier={tier}"))
            .await;
        assert_eq!(by_id.len(), count);
    }
}

#[tokio::test]
async fn an_archived_record_is_not_changed_but_may_be_deleted() {
    let bench = bench(&ruled("")).await;
    bench.written(put("a", closed("a", 100))).await;
    bench.write(archive("a")).await.unwrap();
    for operation in [
        put("a", closed("b", 1)),
        patch("a", json!({"subject": "b"})),
    ] {
        let error = bench.refused(operation).await;
        assert_code(&error, Code::RecordArchived);
        assert!(error.detail.contains("/restore"), "{}", error.detail);
    }
    let again = op(
        Action::Create {
            id: Some("a".into()),
        },
        closed("b", 1),
    );
    assert_code(&bench.refused(again).await, Code::AlreadyExists);
    bench.write(delete("a")).await.unwrap();
    assert_code(&bench.get("a").await.unwrap_err(), Code::NotFound);
    bench.assert_sound().await;
}

#[tokio::test]
async fn a_write_restores_where_the_rule_says_so() {
    let bench = bench(&ruled("on_write = \"restore\"\nrestored_for = \"7d\"")).await;
    bench.written(put("a", closed("a", 100))).await;
    bench.write(archive("a")).await.unwrap();
    let record = bench.written(patch("a", json!({"subject": "b"}))).await;
    assert_eq!((record.tier, record.meta.version), (Tree::Hot, 2));
    assert_eq!(record.meta.restored_until, Some(START.plus_ms(7 * DAY)));
    assert_eq!(bench.tier("a").await, Tree::Hot);
    bench.assert_sound().await;
}

#[tokio::test]
async fn unique_values_stay_taken_in_the_archive() {
    let bench = bench(&ruled("")).await;
    let numbered = |subject: &str| json!({"subject": subject, "status": "open", "number": 7});
    bench.written(put("a", numbered("a"))).await;
    bench.write(archive("a")).await.unwrap();
    let error = bench.refused(put("b", numbered("b"))).await;
    assert_code(&error, Code::UniqueViolation);
    assert_eq!(error.members["record"], "a");
    bench.write(restore("a")).await.unwrap();
    assert_code(
        &bench.refused(put("b", numbered("b"))).await,
        Code::UniqueViolation,
    );
    // Freed and taken in one batch, across the tiers.
    bench.write(archive("a")).await.unwrap();
    let swap = [delete("a"), put("b", numbered("b"))];
    bench.write_all(&swap).await.unwrap();
    bench.assert_sound().await;
}

#[tokio::test]
async fn what_is_due_is_found_by_its_own_rows() {
    let bench = bench(&ruled("purge_after = \"1y\"")).await;
    for (id, days) in [("old", 100), ("edge", 90), ("young", 89)] {
        bench.written(put(id, closed(id, days))).await;
    }
    bench.written(put("open", ticket("open"))).await;
    let end = archive_end(90 * DAY, START);
    let names = |ids: Vec<RecordId>| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        names(bench.due(Tree::Hot, false, end).await),
        ["old", "edge"]
    );
    // One was opened again since it was looked up: its update wins.
    bench
        .written(patch("edge", json!({"status": "open"})))
        .await;
    for (id, kind) in [
        ("old", OutcomeKind::Archived),
        ("edge", OutcomeKind::Unchanged),
        ("young", OutcomeKind::Unchanged),
        ("gone", OutcomeKind::Unchanged),
    ] {
        let outcome = bench.write(if_due(id, START)).await.unwrap();
        assert_eq!(outcome.kind, kind, "{id}");
    }
    assert_eq!(names(bench.due(Tree::Hot, false, end).await), [""; 0]);
    let year = archive_end(365 * DAY, START.plus_ms(300 * DAY));
    assert_eq!(names(bench.due(Tree::Archive, false, year).await), ["old"]);
    bench.assert_sound().await;
}

#[tokio::test]
async fn a_restored_record_stays_hot_for_its_time() {
    let bench = bench(&ruled("restored_for = \"10d\"")).await;
    bench.written(put("a", closed("a", 100))).await;
    bench.write(if_due("a", START)).await.unwrap();
    bench.write(restore("a")).await.unwrap();
    let end = archive_end(90 * DAY, START);
    assert!(bench.due(Tree::Hot, false, end).await.is_empty());
    assert!(
        bench
            .due(Tree::Hot, true, START.plus_ms(1))
            .await
            .is_empty()
    );
    assert_eq!(
        bench.write(if_due("a", START)).await.unwrap().kind,
        OutcomeKind::Unchanged
    );
    bench.clock.advance_ms(10 * DAY);
    let now = START.plus_ms(10 * DAY);
    assert_eq!(bench.due(Tree::Hot, true, now.plus_ms(1)).await.len(), 1);
    assert_eq!(
        bench.write(if_due("a", now)).await.unwrap().kind,
        OutcomeKind::Archived
    );
    bench.assert_sound().await;
}

#[tokio::test]
async fn one_that_is_due_no_more_when_its_stay_ends_counts_as_any_other() {
    let bench = bench(&ruled("")).await;
    bench.written(put("a", closed("a", 100))).await;
    bench.write(archive("a")).await.unwrap();
    bench.write(restore("a")).await.unwrap();
    let now = START.plus_ms(31 * DAY);
    bench.clock.advance_ms(31 * DAY);
    let fresh = now.to_rfc3339();
    bench.written(patch("a", json!({"closed_at": fresh}))).await;
    bench.write(if_due("a", now)).await.unwrap();
    let record = bench.get("a").await.unwrap();
    assert_eq!((record.tier, record.meta.restored_until), (Tree::Hot, None));
    assert!(bench.due(Tree::Hot, true, now.plus_ms(1)).await.is_empty());
    bench.assert_sound().await;
}

#[tokio::test]
async fn finding_what_is_due_reads_nothing_else() {
    let bench = bench(&ruled("")).await;
    for number in 0..1_000 {
        let days = if number % 10 == 0 { 100 } else { 5 };
        let id = format!("t{number:04}");
        bench.written(put(&id, closed(&id, days))).await;
    }
    let metrics = bench.app.store.metrics.clone();
    let before = metrics.keys_read.load(Relaxed);
    let due = bench
        .due(Tree::Hot, false, archive_end(90 * DAY, START))
        .await;
    assert_eq!(due.len(), 100);
    let read = metrics.keys_read.load(Relaxed) - before;
    assert!(read <= 102, "{read} keys for 100 due records");
    let before = metrics.keys_read.load(Relaxed);
    let operations: Vec<_> = due.iter().map(|id| if_due(id.as_str(), START)).collect();
    bench.write_all(&operations[..50]).await.unwrap();
    let read = metrics.keys_read.load(Relaxed) - before;
    // The record; the dictionary's name and the dictionary, whose reads are cached ones.
    assert!(read <= 50 * 4 + 10, "{read} keys for 50 moves");
}

#[tokio::test]
async fn a_legal_hold_keeps_what_it_covers() {
    let bench = bench(&ruled("")).await;
    for id in ["a", "b"] {
        bench.written(put(id, closed(id, 100))).await;
    }
    bench.write(archive("b")).await.unwrap();
    let wish = |entity: Option<&str>, record: Option<&str>| NewHold {
        entity: entity.map(Into::into),
        record: record.map(Into::into),
        reason: "the case of 2026".into(),
    };
    let holds = &bench.app.holds;
    for (wish, id) in [
        (wish(Some("ticket"), Some("a")), "a"),
        (wish(Some("ticket"), Some("b")), "b"),
        (wish(Some("ticket"), None), "a"),
        (wish(None, None), "b"),
    ] {
        let hold = holds.set(&Caller::Local, &bench.acme, wish).await.unwrap();
        let error = bench.refused(delete(id)).await;
        assert_code(&error, Code::LegalHold);
        let purge = Action::Purge {
            id: "b".into(),
            before: None,
            along: None,
        };
        if id == "b" {
            let error = bench.refused(Operation::of("ticket", purge)).await;
            assert_code(&error, Code::LegalHold);
        }
        // It may still be changed and moved.
        bench
            .written(patch("a", json!({"subject": "changed"})))
            .await;
        let error = bench.app.tenants.delete(&Caller::Local, "acme").await;
        assert_code(&error.unwrap_err(), Code::LegalHold);
        let lifted = holds.lift(&Caller::Local, &bench.acme, &hold.id, "settled");
        let lifted = lifted.await.unwrap();
        assert_eq!(lifted.lifted_reason.as_deref(), Some("settled"));
        let again = holds.lift(&Caller::Local, &bench.acme, &hold.id, "settled");
        assert_code(&again.await.unwrap_err(), Code::NotFound);
    }
    let (lifted, _) = holds
        .list(&Caller::Local, &bench.acme, true, None, 10)
        .await
        .unwrap();
    assert_eq!(lifted.len(), 4);
    for (wish, code) in [
        (wish(Some("ticket"), Some("none")), Code::NotFound),
        (wish(Some("other"), None), Code::NotFound),
        (wish(None, Some("a")), Code::BadRequest),
    ] {
        let error = holds.set(&Caller::Local, &bench.acme, wish).await;
        assert_code(&error.unwrap_err(), code);
    }
    bench.write(delete("a")).await.unwrap();
    bench.write(delete("b")).await.unwrap();
    bench
        .app
        .tenants
        .delete(&Caller::Local, "acme")
        .await
        .unwrap();
}

#[tokio::test]
async fn children_go_along_and_come_back() {
    let file = ruled("with = [\"comment\"]")
        + r#"
[entity.comment.schema]
required = ["ticket_id"]
properties.ticket_id = { type = "string" }

[[entity.comment.index]]
name = "by_ticket"
fields = ["ticket_id", "created_at"]
"#;
    let bench = bench(&file).await;
    for id in ["a", "b"] {
        bench.written(put(id, closed(id, 100))).await;
        for number in 0..100 {
            let body = json!({"ticket_id": id, "number": number});
            let comment = Operation {
                entity: "comment".into(),
                ..create(body)
            };
            bench.write(comment).await.unwrap();
        }
    }
    let app = &bench.app;
    let comments = async |tier: Tree| {
        let query = [("tier", tier.name()), ("count", "true"), ("limit", "1")];
        let pairs = query.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let request = ListRequest::from_pairs(pairs, 50, 500).unwrap();
        let page = app.records.list(&bench.acme, "comment", &request).await;
        let page: Json = serde_json::from_slice(&page.unwrap()).unwrap();
        page["count"].as_u64().unwrap()
    };
    let moved = app
        .archive
        .move_one(&bench.acme, "ticket", "a", Way::Archive);
    assert_eq!(moved.await.unwrap().tier, Tree::Archive);
    assert_eq!(
        (comments(Tree::Hot).await, comments(Tree::Archive).await),
        (100, 100)
    );
    bench.assert_sound().await;
    let back = app
        .archive
        .move_one(&bench.acme, "ticket", "a", Way::Restore);
    assert_eq!(back.await.unwrap().tier, Tree::Hot);
    assert_eq!(
        (comments(Tree::Hot).await, comments(Tree::Archive).await),
        (200, 0)
    );
    bench.assert_sound().await;
}

/// What a step of the model does to one of a few records.
#[derive(Debug, Clone)]
enum Step {
    Put(usize, i64),
    Patch(usize),
    Delete(usize),
    Archive(usize),
    Restore(usize),
    Due(usize),
    Purge(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let id = 0..6_usize;
    let step = prop_oneof![
        (id.clone(), 0..200_i64).prop_map(|(id, days)| Step::Put(id, days)),
        id.clone().prop_map(Step::Patch),
        id.clone().prop_map(Step::Delete),
        id.clone().prop_map(Step::Archive),
        id.clone().prop_map(Step::Restore),
        id.clone().prop_map(Step::Due),
        id.prop_map(Step::Purge),
    ];
    prop::collection::vec(step, 1..40)
}

#[test]
fn whatever_is_done_the_store_is_sound_and_the_model_agrees() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let config = ProptestConfig {
        cases: 60,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    TestRunner::new(config)
        .run(&steps(), |steps| {
            runtime.block_on(follow(steps));
            Ok(())
        })
        .unwrap();
}

async fn follow(steps: Vec<Step>) {
    let bench = bench(&ruled("")).await;
    let mut model: Vec<Option<(Tree, i64, bool)>> = vec![None; 6];
    for step in steps {
        let (Step::Put(n, _)
        | Step::Patch(n)
        | Step::Delete(n)
        | Step::Archive(n)
        | Step::Restore(n)
        | Step::Due(n)
        | Step::Purge(n)) = step;
        let id = format!("r{n}");
        let now = model[n];
        let hot = |days| (Tree::Hot, days, false);
        let (operation, then) = match step {
            Step::Put(_, days) => {
                let body = json!({"number": n, "subject": "s", "status": "closed", "closed_at": START.plus_ms(-days * DAY).to_rfc3339()});
                let then = match now {
                    Some((Tree::Archive, ..)) => now,
                    Some((Tree::Hot, _, restored)) => Some((Tree::Hot, days, restored)),
                    None => Some(hot(days)),
                };
                (put(&id, body), then)
            }
            Step::Patch(_) => (patch(&id, json!({"subject": "t"})), now),
            Step::Delete(_) => (delete(&id), None),
            Step::Archive(_) => (
                archive(&id),
                now.map(|(_, days, _)| (Tree::Archive, days, false)),
            ),
            Step::Restore(_) => {
                let then = now.map(|(tier, days, restored)| {
                    (Tree::Hot, days, restored || tier == Tree::Archive)
                });
                (restore(&id), then)
            }
            Step::Due(_) => {
                let then = now.map(|(tier, days, restored)| match days >= 90 && !restored {
                    true => (Tree::Archive, days, false),
                    false => (tier, days, restored),
                });
                (if_due(&id, START), then)
            }
            Step::Purge(_) => {
                let before = Some(archive_end(150 * DAY, START));
                let action = Action::Purge {
                    id: id.clone(),
                    before,
                    along: None,
                };
                let then = now.filter(|(tier, days, _)| *tier == Tree::Hot || *days < 150);
                (Operation::of("ticket", action), then)
            }
        };
        let _ = bench.write(operation).await;
        model[n] = then;
        let found = bench.get(&id).await.ok();
        let found = found.map(|r| (r.tier, r.meta.restored_until.is_some()));
        assert_eq!(
            found,
            then.map(|(tier, _, restored)| (tier, restored)),
            "{id}"
        );
    }
    bench.assert_sound().await;
}
