//! What others see while records move between the tiers, and what a move makes of what
//! others do meanwhile.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use serde_json::{Value as Json, json};
use tenantry::{
    domain::{AppFile, EntityName, RecordId},
    service::{
        Caller, Code,
        apps::ApplyOptions,
        archive::Way,
        check::CheckOptions,
        holds::NewHold,
        records::{Action, Only, Operation, OutcomeKind},
    },
    store::{Batch, Tree},
};

use crate::bench::*;

const CLOSED: &str = r#"
[entity.ticket.schema]
properties.subject = { type = "string", maxLength = 2000 }
properties.status = { enum = ["open", "pending", "closed"] }
properties.number = { type = "integer" }

[[entity.ticket.index]]
name = "by_status"
fields = ["status", "created_at"]
"#;
const RULE: &str = r#"
[entity.ticket.archive]
when = { status = "closed" }
by = "updated_at"
after = "90d"
"#;
const COMMENTS: &str = r#"
with = ["comment"]

[entity.comment.schema]
properties.ticket_id = { type = "string" }

[[entity.comment.index]]
name = "by_ticket"
fields = ["ticket_id"]
"#;

fn moved(way: Way, ids: &[String]) -> Vec<Operation> {
    let operation = |id: &String| way.operation("ticket", id, Only::IfThere);
    ids.iter().map(operation).collect()
}

async fn filled(bench: &Bench, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for n in 0..count {
        let id = format!("t{n:05}");
        let body = json!({"subject": format!("ticket {n}"), "status": "closed", "number": n});
        bench.written(put(&id, body)).await;
        ids.push(id);
    }
    ids
}

async fn assert_sound(bench: &Bench) {
    let options = CheckOptions::default();
    let report = bench.app.check.run(&Caller::Local, options).await.unwrap();
    assert!(report.problems.is_empty(), "{:#?}", report.problems);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_on_its_way_is_always_found() {
    let bench = Arc::new(bench(&format!("{CLOSED}{RULE}")).await);
    let ids = filled(&bench, 150).await;
    let over = Arc::new(AtomicBool::new(false));
    let mover = tokio::spawn({
        let (bench, ids, over) = (bench.clone(), ids.clone(), over.clone());
        async move {
            for round in 0..120 {
                let part = &ids[round % 5 * 30..][..30];
                for way in [Way::Archive, Way::Restore] {
                    bench.write_all(&moved(way, part)).await.unwrap();
                    // Between two commits there is a moment for readers, as in a run.
                    tokio::time::sleep(std::time::Duration::from_micros(300)).await;
                }
            }
            over.store(true, Relaxed);
        }
    });
    let mut looked = 0;
    while !over.load(Relaxed) {
        for id in &ids[..30] {
            bench.get(id).await.unwrap();
        }
        for query in [
            "tier=all&limit=20",
            "tier=all&status=closed&limit=20",
            "tier=all&status=closed&order=-created_at&limit=120",
        ] {
            let (subjects, _) = bench.subjects(query).await;
            assert_eq!(subjects.len(), ids.len(), "{query}");
        }
        looked += 1;
    }
    mover.await.unwrap();
    assert!(looked > 3, "{looked}");
    assert_sound(&bench).await;
}

#[tokio::test]
async fn what_is_gone_fails_no_run() {
    let bench = bench(&format!("{CLOSED}{RULE}")).await;
    for way in [Way::Archive, Way::Restore] {
        let asked = way.operation("ticket", "gone", Only::IfThere);
        assert_eq!(
            bench.write(asked).await.unwrap().kind,
            OutcomeKind::Unchanged
        );
        let named = way.operation("ticket", "gone", Only::Anyhow);
        assert_code(&bench.refused(named).await, Code::NotFound);
    }
}

#[tokio::test]
async fn what_goes_along_is_purged_only_with_the_archived() {
    let bench = bench(&format!("{CLOSED}{RULE}{COMMENTS}")).await;
    let ids = filled(&bench, 1).await;
    let comment = Operation {
        entity: "comment".into(),
        ..put("c", json!({"ticket_id": ids[0]}))
    };
    bench.write(comment).await.unwrap();
    let way = Way::Archive.operation("comment", "c", Only::Anyhow);
    bench.write(way).await.unwrap();
    let along = (
        "ticket".parse::<EntityName>().unwrap(),
        RecordId::parse(&ids[0]).unwrap(),
    );
    let purge = || {
        Operation::of(
            "comment",
            Action::Purge {
                id: "c".into(),
                before: None,
                along: Some(along.clone()),
            },
        )
    };
    // Its ticket is hot: somebody restored it, and its comments are on their way.
    assert_eq!(
        bench.write(purge()).await.unwrap().kind,
        OutcomeKind::Unchanged
    );
    bench.write_all(&moved(Way::Archive, &ids)).await.unwrap();
    assert_eq!(
        bench.write(purge()).await.unwrap().kind,
        OutcomeKind::Purged
    );
}

#[tokio::test]
async fn nothing_moves_before_the_index_that_finds_what_goes_along() {
    let bench = bench(&format!("{CLOSED}{RULE}{COMMENTS}")).await;
    let ids = filled(&bench, 1).await;
    let comment = Operation {
        entity: "comment".into(),
        ..put("c", json!({"ticket_id": ids[0]}))
    };
    bench.write(comment).await.unwrap();
    let other = COMMENTS.replace("[\"ticket_id\"]", "[\"ticket_id\", \"created_at\"]");
    apply(&bench.app, &format!("{CLOSED}{RULE}{other}")).await;
    let archive = &bench.app.archive;
    let ticket = archive.ruled("ticket").await.unwrap();
    assert!(!archive.is_ready(&ticket).await.unwrap());
    let refused = archive.move_one(&bench.acme, "ticket", &ids[0], Way::Archive);
    assert_code(&refused.await.unwrap_err(), Code::IndexNotReady);
    bench.settle().await;
    assert!(archive.is_ready(&ticket).await.unwrap());
    let moved = archive.move_one(&bench.acme, "ticket", &ids[0], Way::Archive);
    assert_eq!(moved.await.unwrap().tier, Tree::Archive);
    let records = &bench.app.records;
    let comment = records.get(&bench.acme, "comment", "c").await.unwrap();
    assert_eq!(comment.tier, Tree::Archive);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unique_index_is_built_while_records_come_back() {
    let bench = Arc::new(bench(&format!("{CLOSED}{RULE}")).await);
    let ids = filled(&bench, 300).await;
    for round in 0..6 {
        for part in ids.chunks(50) {
            bench.write_all(&moved(Way::Archive, part)).await.unwrap();
        }
        let unique = format!(
            "{CLOSED}\n[[entity.ticket.index]]\nname = \"unique_{round}\"\nfields = [\"number\"]\nunique = true\n{RULE}"
        );
        apply(&bench.app, &unique).await;
        let mover = tokio::spawn({
            let (bench, ids) = (bench.clone(), ids.clone());
            async move {
                for part in ids.chunks(5) {
                    bench.write_all(&moved(Way::Restore, part)).await.unwrap();
                }
            }
        });
        bench.settle().await;
        mover.await.unwrap();
        let view = bench.app.apps.view(&Caller::Local).await.unwrap();
        for index in view.indexes {
            assert_eq!(index.state, "ready", "{}: {:?}", index.name, index.reason);
        }
        assert_sound(&bench).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_and_the_drop_of_what_it_holds_are_never_both() {
    for round in 0..40 {
        let bench = Arc::new(bench(&format!("{CLOSED}{RULE}")).await);
        filled(&bench, 1).await;
        let wish = NewHold {
            entity: Some("ticket".into()).filter(|_| round % 2 == 0),
            record: None,
            reason: "the case of 2026".into(),
        };
        let holder = tokio::spawn({
            let bench = bench.clone();
            async move {
                let holds = &bench.app.holds;
                let held = holds.set(&Caller::Local, &bench.acme, wish).await;
                held.is_ok()
            }
        });
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        let file = AppFile::parse("[entity.other.schema]\n").unwrap();
        let options = ApplyOptions {
            drop_data: true,
            ..ApplyOptions::default()
        };
        let dropped = bench.app.apps.apply(&Caller::Local, file, options).await;
        let dropped = dropped.map_err(|error| assert_code(&error, Code::LegalHold));
        let held = holder.await.unwrap();
        // A hold on the tenant may come after the drop, and holds what is left.
        let after = held && bench.app.apps.current().entity("ticket").is_err();
        assert!(dropped.is_err() == held || (after && round % 2 == 1));
    }
}

#[tokio::test]
async fn a_dictionary_is_trained_once_and_goes_with_the_last_record() {
    let bench = bench(&format!("{CLOSED}{RULE}")).await;
    let ids = filled(&bench, 300).await;
    let ticket = bench.app.archive.ruled("ticket").await.unwrap();
    let archive = &bench.app.archive;
    let end = START.plus_ms(1_000 * 86_400_000);
    let train = async || {
        let trained = archive.train(&bench.acme, &ticket, end, Batch::default());
        trained.await.unwrap()
    };
    let dictionary = async || -> Json {
        let tenant = bench.app.tenants.get(&Caller::Local, "acme").await.unwrap();
        let status = archive.status(&Caller::Local, &bench.acme, &tenant).await;
        json!(status.unwrap()[0].archive.dictionary)
    };
    assert!(train().await);
    assert!(!train().await, "nothing changed");
    for part in ids.chunks(100) {
        bench.write_all(&moved(Way::Archive, part)).await.unwrap();
    }
    // As many archived as make another one worth its while, and few that are due.
    for n in 0..50 {
        let body = |k: usize| json!({"status": "closed", "subject": format!("{n}-{k}")});
        let import = |k| Operation {
            action: Action::Import {
                id: Some(format!("x{n}-{k}")),
                restored: None,
                tier: Tree::Archive,
            },
            ..create(body(k))
        };
        let operations: Vec<_> = (0..100).map(import).collect();
        bench.write_all(&operations).await.unwrap();
    }
    for n in 0..300 {
        let body = json!({"subject": format!("later {n}"), "status": "closed"});
        bench.written(put(&format!("y{n}"), body)).await;
    }
    assert!(!train().await, "as few as before teach nothing new");
    for n in 0..900 {
        let body = json!({"subject": format!("more {n}"), "status": "closed"});
        bench.written(put(&format!("z{n}"), body)).await;
    }
    assert!(train().await, "four times as many do");
    archive.forget_dictionaries(&bench.acme).await.unwrap();
    assert_ne!(dictionary().await, Json::Null);
    for n in 0..50 {
        let gone = (0..100).map(|k| delete(&format!("x{n}-{k}")));
        bench.write_all(&gone.collect::<Vec<_>>()).await.unwrap();
    }
    for part in ids.chunks(100) {
        bench.write_all(&moved(Way::Restore, part)).await.unwrap();
    }
    archive.forget_dictionaries(&bench.acme).await.unwrap();
    assert_eq!(dictionary().await, Json::Null);
    assert_sound(&bench).await;
}
