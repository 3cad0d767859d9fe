#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use super::*;
use crate::{
    app::App,
    service::{
        Scope, TenantAccess,
        holds::NewHold,
        keys::NewKey,
        records::{Action, Operation},
        testing_data::{TICKETS, app, apply, filled},
    },
    store::{
        Batch, Key, Scan, Tree, Value, codec,
        keys::{self as store_keys, TenantKeys},
        packed::Dictionary,
    },
};

const ROWS: &str = r#"{"id":"a","subject":"1","status":"open","number":1,"tags":["x","y"]}
{"id":"b","subject":"2","status":"open","number":2}
{"id":"c","subject":"3","status":"closed","number":3,"tags":["x"]}
"#;

async fn bench() -> App {
    let app = app().await;
    filled(&app, "acme", ROWS).await;
    filled(&app, "acme-2", ROWS).await;
    app
}

async fn check(app: &App, repair: bool, schema: bool) -> CheckReport {
    let options = CheckOptions { repair, schema };
    app.check.run(&Caller::Local, options).await.unwrap()
}

async fn keys(app: &App, tree: Tree, prefix: &str) -> Vec<(Key, Value)> {
    let scan = Scan::prefix(tree, prefix.to_owned());
    app.core.engine.scan(&scan).await.unwrap().rows
}

async fn put(app: &App, tree: Tree, key: impl Into<Key>, value: impl Into<Value>) {
    let mut batch = Batch::default();
    batch.put(tree, key, value);
    app.core.engine.commit(batch).await.unwrap();
}

async fn remove(app: &App, key: &Key) {
    let mut batch = Batch::default();
    batch.delete(Tree::Hot, key.clone());
    app.core.engine.commit(batch).await.unwrap();
}

fn kinds(report: &CheckReport) -> Vec<Kind> {
    report.problems.iter().map(|problem| problem.kind).collect()
}

/// Finds exactly `expected`, mends all of it, and then finds nothing.
async fn found_and_mended(app: &App, expected: &[Kind]) {
    let before = everything(app).await;
    let found = check(app, false, false).await;
    assert_eq!(kinds(&found), expected, "{found:#?}");
    assert_eq!(found.repaired, 0);
    assert_eq!(
        everything(app).await,
        before,
        "a check without repair writes nothing"
    );
    let mended = check(app, true, false).await;
    assert_eq!(mended.repaired, mended.problems_total, "{mended:#?}");
    assert!(mended.repaired > 0);
    let after = check(app, false, false).await;
    assert_eq!(after.problems, [], "{after:#?}");
}

async fn everything(app: &App) -> Vec<(Key, Value)> {
    let mut rows = keys(app, Tree::Hot, "").await;
    rows.extend(keys(app, Tree::Archive, "").await);
    rows
}

#[tokio::test]
async fn a_sound_store_has_nothing_wrong_and_everything_is_read() {
    let app = bench().await;
    let report = check(&app, false, true).await;
    assert_eq!(report.problems, []);
    assert_eq!(report.keys, everything(&app).await.len() as u64);
    // Each tenant: 3 records; rows: 3 by status, 3 by number, 3 by tag.
    assert_eq!((report.records, report.index_rows), (6, 18));
    assert!(report.counters >= 10, "{report:?}");
    let nobody = app.check.run(&Caller::Anonymous, CheckOptions::default());
    assert!(nobody.await.is_err());
}

#[tokio::test]
async fn a_lost_index_row_is_put_back() {
    for prefix in ["acme#ticket@by_tag#", "acme#ticket@by_number#"] {
        let app = bench().await;
        let rows = keys(&app, Tree::Hot, prefix).await;
        remove(&app, &rows[1].0).await;
        found_and_mended(&app, &[Kind::IndexRow]).await;
        assert_eq!(keys(&app, Tree::Hot, prefix).await, rows);
    }
}

#[tokio::test]
async fn an_index_row_of_no_record_is_removed() {
    let app = bench().await;
    let rows = keys(&app, Tree::Hot, "acme#ticket@by_tag#").await;
    let stray = [&rows[0].0[..], b"zz"].concat();
    put(&app, Tree::Hot, stray, Value::new()).await;
    put(&app, Tree::Hot, "acme#ticket@by_tag#garbage", Value::new()).await;
    put(&app, Tree::Archive, rows[0].0.clone(), Value::new()).await;
    found_and_mended(&app, &[Kind::IndexRow; 3]).await;
    assert_eq!(keys(&app, Tree::Hot, "acme#ticket@by_tag#").await, rows);
}

#[tokio::test]
async fn a_row_too_many_does_not_hide_behind_one_too_few() {
    let app = bench().await;
    let rows = keys(&app, Tree::Hot, "acme#ticket@by_tag#").await;
    remove(&app, &rows[0].0).await;
    let stray = [&rows[1].0[..], b"zz"].concat();
    put(&app, Tree::Hot, stray, Value::new()).await;
    found_and_mended(&app, &[Kind::IndexRow; 2]).await;
    assert_eq!(keys(&app, Tree::Hot, "acme#ticket@by_tag#").await, rows);
}

#[tokio::test]
async fn a_lost_record_takes_its_rows_and_counters_with_it() {
    let app = bench().await;
    remove(&app, &"acme#ticket#b".into()).await;
    let found = check(&app, false, false).await;
    assert!(kinds(&found).contains(&Kind::IndexRow), "{found:#?}");
    assert!(kinds(&found).contains(&Kind::Counter), "{found:#?}");
    let mended = check(&app, true, false).await;
    assert_eq!(mended.repaired, mended.problems_total);
    assert_eq!(check(&app, false, false).await.problems, []);
    assert_eq!(keys(&app, Tree::Hot, "acme#ticket@").await.len(), 7);
}

#[tokio::test]
async fn a_unique_row_that_names_another_record_is_set_right_unless_both_have_a_right_to_it() {
    let app = bench().await;
    let rows = keys(&app, Tree::Hot, "acme#ticket@by_number#").await;
    put(&app, Tree::Hot, rows[0].0.clone(), "b").await;
    let mended = check(&app, true, false).await;
    assert_eq!((kinds(&mended), mended.repaired), (vec![Kind::IndexRow], 1));
    assert_eq!(keys(&app, Tree::Hot, "acme#ticket@by_number#").await, rows);

    let (key, value) = keys(&app, Tree::Hot, "acme#ticket#b").await.remove(0);
    let (meta, json) = codec::decode_record(&value).unwrap();
    let json = String::from_utf8(json.to_vec()).unwrap();
    let twin = json.replace("\"number\":2", "\"number\":1");
    assert_eq!(twin.len(), json.len());
    let twin = codec::encode_record(&meta, twin.as_bytes()).unwrap();
    put(&app, Tree::Hot, key, twin).await;
    check(&app, true, false).await;
    let left = check(&app, true, false).await;
    assert_eq!(
        (kinds(&left), left.repaired),
        (vec![Kind::Unique], 0),
        "{left:#?}"
    );
    assert!(
        left.problems[0].detail.contains("records b and a"),
        "{left:#?}"
    );
}

#[tokio::test]
async fn counters_are_recounted() {
    let app = bench().await;
    let counters = keys(&app, Tree::Hot, "acme#~count#").await;
    for (key, _) in &counters {
        put(&app, Tree::Hot, key.clone(), codec::encode_counter(77)).await;
    }
    found_and_mended(&app, &vec![Kind::Counter; counters.len()]).await;
    assert_eq!(keys(&app, Tree::Hot, "acme#~count#").await, counters);

    remove(&app, &counters[0].0).await;
    put(&app, Tree::Hot, counters[1].0.clone(), "short").await;
    let last = &counters[counters.len() - 1].0;
    let stray = [&last[..], b"n"].concat();
    put(&app, Tree::Hot, stray, codec::encode_counter(1)).await;
    found_and_mended(&app, &[Kind::Counter; 3]).await;
    assert_eq!(keys(&app, Tree::Hot, "acme#~count#").await, counters);
}

#[tokio::test]
async fn damage_that_nothing_can_mend_is_told_and_left() {
    let app = bench().await;
    put(&app, Tree::Hot, "acme#ticket#b", "\u{7}junk").await;
    put(&app, Tree::Hot, "~#tenant#acme-2", "junk").await;
    put(&app, Tree::Hot, "nobody#ticket#a", "x").await;
    put(&app, Tree::Hot, "loose", "x").await;
    put(&app, Tree::Archive, "acme#~key#k", "x").await;
    let archived = keys(&app, Tree::Hot, "acme#ticket#a").await.remove(0).1;
    put(&app, Tree::Archive, "acme-2#ticket#a", archived).await;
    let found = check(&app, true, false).await;
    for kind in [Kind::Record, Kind::System, Kind::Orphan, Kind::UnknownKey] {
        let stays = |p: &&Problem| p.kind == kind && !p.repaired;
        assert!(
            found.problems.iter().any(|p| stays(&p)),
            "{kind:?} {found:#?}"
        );
    }
    let twins = found
        .problems
        .iter()
        .find(|p| p.detail.contains("both trees"));
    assert_eq!(twins.unwrap().key, "acme-2#ticket#a");
    let damaged = keys(&app, Tree::Hot, "acme#ticket#b").await;
    assert_eq!(damaged[0].1, "\u{7}junk");
    // What a damaged record's rows are nobody knows: they stay.
    assert_eq!(
        keys(&app, Tree::Hot, "acme#ticket@by_number#").await.len(),
        3
    );
}

#[tokio::test]
async fn rows_that_no_app_file_declares_are_found() {
    let app = bench().await;
    let (_, record) = keys(&app, Tree::Hot, "acme#ticket#a").await.remove(0);
    put(&app, Tree::Hot, "acme#ghost#a", record).await;
    put(&app, Tree::Hot, "acme#ticket@by_ghost#a", Value::new()).await;
    put(
        &app,
        Tree::Hot,
        "acme#~count#ghost#hot#records",
        codec::encode_counter(1),
    )
    .await;
    let found = check(&app, true, false).await;
    assert_eq!(kinds(&found), [Kind::Undeclared; 3], "{found:#?}");
    assert_eq!(found.repaired, 2);
    let left = check(&app, true, false).await;
    assert_eq!(left.problems.len(), 1, "{left:#?}");
    assert_eq!(left.problems[0].key, "acme#ghost#");
}

#[tokio::test]
async fn records_that_no_longer_fit_are_listed_when_asked() {
    let app = bench().await;
    apply(&app, &TICKETS.replace("maxLength = 40", "maxLength = 0")).await;
    assert_eq!(check(&app, false, false).await.problems, []);
    let found = check(&app, false, true).await;
    assert_eq!(kinds(&found), [Kind::Schema; 6]);
    assert!(found.problems[0].detail.contains("/subject"), "{found:#?}");
}

#[tokio::test]
async fn more_problems_than_are_listed_are_counted() {
    let app = bench().await;
    for number in 0..1_100 {
        put(&app, Tree::Hot, format!("loose{number}"), "x").await;
    }
    let found = check(&app, false, false).await;
    assert_eq!((found.problems.len(), found.problems_total), (1_000, 1_100));
}

async fn churn(app: Arc<App>, access: TenantAccess, writer: usize) {
    for round in 0..300_usize {
        let id = format!("w{writer}-{}", round % 7);
        let body = format!(
            "{{\"subject\":\"{round}\",\"status\":\"{}\",\"number\":{},\"tags\":[\"t{}\"]}}",
            ["open", "closed"][round % 2],
            1_000 * (writer + 1) + round,
            round % 5
        );
        let action = match round % 11 {
            10 => Action::Delete { id },
            _ => Action::Put { id },
        };
        let operation = Operation {
            entity: "ticket".into(),
            action,
            body: body.into(),
            if_match: None,
            if_none_match: None,
        };
        // A deletion of what is not there is refused, and that is fine here.
        let _ = app.records.apply(&access, &[operation]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_meanwhile_are_no_problem_and_damage_is_mended_among_them() {
    let app = Arc::new(bench().await);
    let row = keys(&app, Tree::Hot, "acme#ticket@by_tag#").await.remove(0);
    remove(&app, &row.0).await;
    let access = app
        .tenants
        .access(&Caller::Local, "acme", Scope::Write)
        .await
        .unwrap();
    let writers: Vec<_> = (0..3)
        .map(|writer| tokio::spawn(churn(app.clone(), access.clone(), writer)))
        .collect();
    let mut row_repaired = false;
    while !writers.iter().all(tokio::task::JoinHandle::is_finished) {
        let report = check(&app, true, false).await;
        for problem in &report.problems {
            let planted = problem.key == row.0.escape_ascii().to_string();
            assert!(planted && !row_repaired, "{report:#?}");
            row_repaired = true;
        }
    }
    assert!(row_repaired);
    assert_eq!(check(&app, false, true).await.problems, []);
}

#[tokio::test]
async fn a_tenant_being_erased_is_no_orphan() {
    let app = bench().await;
    app.tenants.delete(&Caller::Local, "acme").await.unwrap();
    assert_eq!(check(&app, false, true).await.problems, []);
    while app.tenants.erase_step().await.unwrap() {
        assert_eq!(check(&app, false, true).await.problems, []);
    }
    assert_eq!(keys(&app, Tree::Hot, "acme#").await, []);
}

#[tokio::test]
async fn the_counter_of_tenants_is_recounted() {
    let app = bench().await;
    let counter = store_keys::TENANT_COUNT;
    put(&app, Tree::Hot, counter, codec::encode_counter(7)).await;
    found_and_mended(&app, &[Kind::Counter]).await;
    remove(&app, &counter.into()).await;
    found_and_mended(&app, &[Kind::Counter]).await;
}

#[tokio::test]
async fn an_api_key_is_looked_for_in_both_places() {
    let app = bench().await;
    let access = app
        .tenants
        .access(&Caller::Local, "acme", Scope::Admin)
        .await
        .unwrap();
    for _ in 0..2 {
        let wish = NewKey::default();
        app.keys
            .create(&access, &Caller::Local, wish)
            .await
            .unwrap();
    }
    assert_eq!(check(&app, false, false).await.problems, []);
    let described = keys(&app, Tree::Hot, "acme#~key#").await;
    let finders = keys(&app, Tree::Hot, "~#key#").await;
    remove(&app, &described[0].0).await;
    assert_eq!(kinds(&check(&app, false, false).await), [Kind::System]);
    put(
        &app,
        Tree::Hot,
        described[0].0.clone(),
        described[0].1.clone(),
    )
    .await;
    remove(&app, &finders[1].0).await;
    let found = check(&app, false, false).await;
    assert_eq!(kinds(&found), [Kind::System]);
    assert!(found.problems[0].key.starts_with("acme#~key#"), "{found:?}");
}

#[tokio::test]
async fn what_legal_holds_cover_is_counted_again() {
    let app = bench().await;
    let access = app.tenants.access(&Caller::Local, "acme", Scope::Admin);
    let access = access.await.unwrap();
    for record in [None, Some("a"), Some("a")] {
        let wish = NewHold {
            entity: Some("ticket".to_owned()),
            record: record.map(str::to_owned),
            reason: "Smith v. Acme".to_owned(),
        };
        app.holds.set(&Caller::Local, &access, wish).await.unwrap();
    }
    assert_eq!(check(&app, false, false).await.problems, []);
    let counters = keys(&app, Tree::Hot, "acme#~held#").await;
    // One too few could be deleted, one too many never.
    for count in [1, 3] {
        put(
            &app,
            Tree::Hot,
            counters[2].0.clone(),
            codec::encode_counter(count),
        )
        .await;
        found_and_mended(&app, &[Kind::Counter]).await;
        assert_eq!(keys(&app, Tree::Hot, "acme#~held#").await, counters);
    }
    remove(&app, &counters[0].0).await;
    put(
        &app,
        Tree::Hot,
        "acme#~held#record#ticket#b",
        codec::encode_counter(1),
    )
    .await;
    found_and_mended(&app, &[Kind::Counter; 2]).await;
    assert_eq!(keys(&app, Tree::Hot, "acme#~held#").await, counters);
}

#[tokio::test]
async fn a_dictionary_has_the_bytes_that_it_is_named_by() {
    let app = bench().await;
    let dictionary = Dictionary::new(b"subject status open".to_vec());
    let ticket = "ticket".parse().unwrap();
    let acme = TenantKeys::new(&"acme".parse().unwrap());
    let key = acme.dictionary(&ticket, dictionary.id());
    put(&app, Tree::Hot, key.clone(), dictionary.bytes().to_vec()).await;
    assert_eq!(check(&app, false, false).await.problems, []);
    put(&app, Tree::Hot, key, b"subject status closed".to_vec()).await;
    assert_eq!(kinds(&check(&app, false, false).await), [Kind::System]);
}
