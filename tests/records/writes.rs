//! Create, put, patch, delete, batches and their conditions.

use serde_json::json;
use tenantry::{
    domain::record::etag,
    service::{
        Code,
        records::{Action, OutcomeKind},
    },
};

use crate::bench::*;

#[tokio::test]
async fn a_record_is_created_read_and_gone() {
    let bench = bench(TICKETS).await;
    let made = bench.written(create(ticket("one"))).await;
    assert_eq!(made.meta.version, 1);
    assert_eq!(made.meta.created_at, START);
    let read = bench.get(made.id.as_str()).await.unwrap();
    assert_eq!(read.meta, made.meta);
    assert_eq!(&read.json[..], br#"{"status":"open","subject":"one"}"#);
    let gone = bench.write(delete(made.id.as_str())).await.unwrap();
    assert_eq!(gone.kind, OutcomeKind::Deleted);
    assert_code(
        &bench.get(made.id.as_str()).await.unwrap_err(),
        Code::NotFound,
    );
    assert_code(
        &bench.refused(delete(made.id.as_str())).await,
        Code::NotFound,
    );
}

#[tokio::test]
async fn put_makes_and_replaces() {
    let bench = bench(TICKETS).await;
    let first = bench.write(put("t-1", ticket("one"))).await.unwrap();
    assert_eq!(first.kind, OutcomeKind::Created);
    bench.clock.advance_ms(5);
    let second = bench.write(put("t-1", ticket("two"))).await.unwrap();
    assert_eq!(second.kind, OutcomeKind::Updated);
    let (first, second) = (first.record.unwrap().meta, second.record.unwrap().meta);
    assert_eq!(second.version, 2);
    assert_eq!(second.created_at, first.created_at);
    assert_eq!(second.updated_at.0, first.updated_at.0 + 5);
    assert_eq!(second.incarnation, first.incarnation);
}

#[tokio::test]
async fn a_clock_that_goes_back_takes_no_time_back() {
    let bench = bench(TICKETS).await;
    bench.written(put("t-1", ticket("one"))).await;
    bench.clock.advance_ms(-60_000);
    let later = bench.written(put("t-1", ticket("two"))).await;
    assert_eq!(later.meta.updated_at, START);
}

#[tokio::test]
async fn a_patch_leaves_the_rest_as_it_was_written() {
    let bench = bench(TICKETS).await;
    let mut first = put("t-1", json!(null));
    first.body =
        br#"{ "subject": "s", "status": "open", "price": 1.10, "big": 123456789012345678 }"#
            .as_slice()
            .into();
    bench.written(first).await;
    let patched = bench
        .written(patch("t-1", json!({"status": "closed", "gone": null})))
        .await;
    let expected = r#"{"subject":"s","status":"closed","price":1.10,"big":123456789012345678}"#;
    assert_eq!(std::str::from_utf8(&patched.json).unwrap(), expected);
    assert_code(
        &bench.refused(patch("t-2", json!({}))).await,
        Code::NotFound,
    );
    assert_code(
        &bench.refused(patch("t-1", json!([1]))).await,
        Code::InvalidJson,
    );
    let misfit = bench.refused(patch("t-1", json!({"status": "odd"}))).await;
    assert_code(&misfit, Code::InvalidRecord);
    assert_eq!(misfit.members["problems"][0]["pointer"], "/status");
}

#[tokio::test]
async fn conditions_hold_or_name_the_current_version() {
    let bench = bench(TICKETS).await;
    let made = bench.written(put("t-1", ticket("one"))).await;
    let tag = etag(&made.meta);
    bench
        .written(if_match(put("t-1", ticket("two")), &tag))
        .await;
    let late = bench
        .refused(if_match(put("t-1", ticket("three")), &tag))
        .await;
    assert_code(&late, Code::PreconditionFailed);
    assert_eq!(late.members["current_version"], 2);
    let current = text(&late.members["current_etag"]);
    let late = bench.refused(if_match(delete("t-1"), &tag)).await;
    assert_code(&late, Code::PreconditionFailed);
    let taken = bench
        .refused(if_none_match(put("t-1", ticket("x")), "*"))
        .await;
    assert_code(&taken, Code::PreconditionFailed);
    let nobody = bench.refused(if_match(put("t-9", ticket("x")), "*")).await;
    assert_code(&nobody, Code::PreconditionFailed);
    assert!(nobody.members["current_version"].is_null());
    bench
        .written(if_none_match(put("t-2", ticket("x")), "*"))
        .await;
    bench
        .write(if_match(delete("t-1"), &current))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_record_made_again_is_another_one() {
    let bench = bench(TICKETS).await;
    let first = bench.written(put("t-1", ticket("one"))).await;
    bench.write(delete("t-1")).await.unwrap();
    let second = bench.written(put("t-1", ticket("one"))).await;
    assert_eq!(second.meta.version, first.meta.version);
    let stale = if_match(put("t-1", ticket("two")), &etag(&first.meta));
    assert_code(&bench.refused(stale).await, Code::PreconditionFailed);
}

#[tokio::test]
async fn a_batch_is_taken_whole_or_not_at_all() {
    let bench = bench(TICKETS).await;
    bench.written(put("t-1", ticket("one"))).await;
    let failing = [
        put("t-2", ticket("two")),
        delete("t-1"),
        patch("t-3", json!({"status": "closed"})),
    ];
    let error = bench.write_all(&failing).await.unwrap_err();
    assert_code(&error, Code::NotFound);
    assert_eq!(error.members["operation"], 2);
    assert_code(&bench.get("t-2").await.unwrap_err(), Code::NotFound);
    bench.get("t-1").await.unwrap();
    let done = bench.write_all(&failing[..2]).await.unwrap();
    assert_eq!(done[0].kind, OutcomeKind::Created);
    assert_eq!(done[1].kind, OutcomeKind::Deleted);
    let page = bench.list("count=true").await.unwrap();
    assert_eq!(page["count"], 1);
}

#[tokio::test]
async fn two_operations_on_one_record_are_refused() {
    let bench = bench(TICKETS).await;
    let twice = [put("t-1", ticket("one")), delete("t-1")];
    let error = bench.write_all(&twice).await.unwrap_err();
    assert_code(&error, Code::BadRequest);
    assert_eq!(error.members["operation"], 1);
}

#[tokio::test]
async fn bad_documents_say_what_is_wrong_and_where() {
    let bench = bench(TICKETS).await;
    let mut cut = create(json!(null));
    cut.body = b"{\"subject\": \"x\",\n  \"status\"".as_slice().into();
    let error = bench.refused(cut).await;
    assert_code(&error, Code::InvalidJson);
    assert_eq!(error.members["line"], 2);
    let mut twice = create(json!(null));
    twice.body = br#"{"status":"open","subject":"a","subject":"b"}"#.as_slice().into();
    assert_code(&bench.refused(twice).await, Code::InvalidJson);
    let error = bench.refused(create(json!({"status": "open"}))).await;
    assert_code(&error, Code::InvalidRecord);
    let long = "x".repeat(70_000);
    let error = bench
        .refused(create(
            json!({"subject": "a", "status": "open", "more": long}),
        ))
        .await;
    assert_code(&error, Code::InvalidRecord);
    let mut unknown = create(ticket("x"));
    unknown.entity = "tickets".into();
    assert_code(&bench.refused(unknown).await, Code::NotFound);
    assert_code(
        &bench.refused(put("a b", ticket("x"))).await,
        Code::BadRequest,
    );
}

#[tokio::test]
async fn a_string_too_long_for_its_index_is_refused_by_name() {
    let bench = bench(TICKETS).await;
    let tags = json!({"subject": "s", "status": "open", "tags": ["x".repeat(513)]});
    let error = bench.refused(create(tags)).await;
    assert_code(&error, Code::InvalidRecord);
    assert_eq!(error.members["field"], "tags");
    assert_eq!(error.members["index"], "by_tag");
}

#[tokio::test]
async fn an_import_restores_and_can_be_repeated() {
    let bench = bench(TICKETS).await;
    let restored = tenantry::domain::RecordMeta {
        version: 7,
        created_at: START.plus_ms(-1000),
        updated_at: START.plus_ms(-500),
        incarnation: 0,
        restored_until: None,
    };
    let row = |subject: &str, restored| {
        let action = Action::Import {
            id: Some("t-1".into()),
            restored,
            tier: tenantry::store::Tree::Hot,
        };
        op(action, ticket(subject))
    };
    let first = bench.write(row("one", Some(restored))).await.unwrap();
    assert_eq!(first.kind, OutcomeKind::Created);
    let meta = first.record.unwrap().meta;
    assert_eq!((meta.version, meta.updated_at), (7, restored.updated_at));
    assert_ne!(meta.incarnation, 0);
    let again = bench.write(row("one", Some(restored))).await.unwrap();
    assert_eq!(again.kind, OutcomeKind::Unchanged);
    let changed = bench.write(row("two", None)).await.unwrap();
    assert_eq!(changed.kind, OutcomeKind::Updated);
    assert_eq!(changed.record.unwrap().meta.version, 8);
}

#[tokio::test]
async fn a_tenant_that_is_gone_takes_no_writes() {
    let bench = bench(TICKETS).await;
    let mut batch = tenantry::store::Batch::default();
    let row = tenantry::store::keys::tenant(&"acme".parse().unwrap());
    batch.delete(tenantry::store::Tree::Hot, row);
    bench.app.core.engine.commit(batch).await.unwrap();
    assert_code(&bench.refused(create(ticket("x"))).await, Code::NotFound);
}
