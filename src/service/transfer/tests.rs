#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::Write as _;
use std::sync::Arc;

use futures_util::TryStreamExt as _;

use super::*;
use crate::{
    app::App,
    service::testing_data::{TICKETS, app, app_over, filled, import, into},
    store::{
        CommitterOptions, OpenStore,
        engine::{
            faulty::{Call, Fault, Faulty},
            memory::Memory,
        },
    },
};

async fn exported(app: &App, tenant: &str, entity: Option<&str>) -> String {
    let stream = app.transfer.export(&Caller::Local, tenant, entity).await;
    let pieces: Vec<_> = stream.unwrap().try_collect().await.unwrap();
    String::from_utf8(pieces.concat()).unwrap()
}

async fn get(app: &App, tenant: &str, id: &str) -> Option<String> {
    let access = app.tenants.access(&Caller::Local, tenant, Scope::Read);
    let record = app.records.get(&access.await.unwrap(), "ticket", id).await;
    let record = record.ok()?;
    Some(String::from_utf8(record.json.to_vec()).unwrap())
}

fn lines(errors: &[RowError]) -> Vec<u64> {
    errors.iter().map(|error| error.line).collect()
}

fn by_field(default: Option<&str>, create: bool) -> ImportOptions {
    ImportOptions {
        into: Target::Field {
            field: "customer".into(),
            default: default.map(str::to_owned),
            create,
        },
        ..into("", Format::Ndjson)
    }
}

#[tokio::test]
async fn a_byte_order_mark_before_csv_is_nobodys_however_it_comes() {
    let rows = "\u{feff}id,subject,number\r\na,\"x\",1\r\n";
    for piece in [1, 2, 3, 4, 10_000] {
        let app = app().await;
        let report = import(&app, into("acme", Format::Csv), rows.as_bytes(), piece);
        assert_eq!(report.await.unwrap().created, 1, "in pieces of {piece}");
        let kept = "{\"id\":\"a\",\"subject\":\"x\",\"number\":1}";
        assert_eq!(get(&app, "acme", "a").await.as_deref(), Some(kept));
    }
}

#[tokio::test]
async fn bad_rows_are_listed_and_the_rest_is_imported() {
    let rows = "\u{feff}{\"id\":\"a\",\"subject\":\"1\",\"number\":1}\r\n\
        \n\
        {\"id\":\"b\",\"subject\":5}\n\
        not json\n\
        {\"subject\":\"no id\"}\n\
        {\"id\":\"a/b\",\"subject\":\"bad id\"}\n\
        {\"id\":\"c\",\"subject\":\"2\",\"number\":1}\n\
        {\"id\":\"d\",\"subject\":\"x\",\"subject\":\"y\"}\n\
        {\"id\":\"e\",\"subject\":\"3\",\"number\":3}";
    for piece in [1, 7, 10_000] {
        let app = app().await;
        let report = import(&app, into("acme", Format::Ndjson), rows.as_bytes(), piece);
        let report = report.await.unwrap();
        assert_eq!(lines(&report.errors), [3, 4, 5, 6, 7, 8], "{report:?}");
        assert_eq!((report.rows, report.created, report.failed), (8, 2, 6));
        assert!(report.errors[0].reason.contains("/subject"), "{report:?}");
        let taken = &report.errors[4].reason;
        assert!(
            taken.contains("\"a\"") && taken.contains("by_number"),
            "{taken}"
        );
        let kept = "{\"id\":\"e\",\"subject\":\"3\",\"number\":3}";
        assert_eq!(get(&app, "acme", "e").await.as_deref(), Some(kept));
    }
}

#[tokio::test]
async fn rows_of_one_record_take_effect_in_their_order_and_again_change_nothing() {
    let app = app().await;
    let mut rows = String::new();
    for version in 0..40 {
        for id in 0..20 {
            rows += &format!("{{\"id\":\"r{id}\",\"subject\":\"{version}\"}}\n");
        }
    }
    let options = into("acme", Format::Ndjson);
    let report = import(&app, options.clone(), rows.as_bytes(), 100).await;
    let report = report.unwrap();
    assert_eq!((report.created, report.updated), (20, 780));
    for id in 0..20 {
        let kept = get(&app, "acme", &format!("r{id}")).await.unwrap();
        assert!(kept.contains("\"39\""), "{kept}");
    }
    let last = rows.lines().rev().take(20).collect::<Vec<_>>().join("\n");
    let again = import(&app, options, last.as_bytes(), 100).await.unwrap();
    assert_eq!((again.unchanged, again.updated), (20, 0));
}

#[tokio::test]
async fn unique_values_pass_from_row_to_row_in_the_order_of_the_file() {
    let app = app().await;
    let rows = "{\"id\":\"a\",\"subject\":\"1\",\"number\":1}\n\
        {\"id\":\"a\",\"subject\":\"2\",\"number\":2}\n\
        {\"id\":\"b\",\"subject\":\"3\",\"number\":1}\n\
        {\"id\":\"c\",\"subject\":\"4\",\"number\":1}\n\
        {\"id\":\"b\",\"subject\":\"5\",\"number\":3}\n\
        {\"id\":\"d\",\"subject\":\"6\",\"number\":1}\n";
    let report = import(&app, into("acme", Format::Ndjson), rows.as_bytes(), 1_000);
    let report = report.await.unwrap();
    assert_eq!(lines(&report.errors), [4], "{report:?}");
    assert_eq!((report.created, report.updated), (3, 2));
    for (id, subject) in [("a", "\"2\""), ("b", "\"5\""), ("d", "\"6\"")] {
        let kept = get(&app, "acme", id).await.unwrap();
        assert!(kept.contains(subject), "{id}: {kept}");
    }
}

#[tokio::test]
async fn csv_values_are_typed_by_the_schema_and_keep_their_digits() {
    let app = app().await;
    let csv = "id,subject,price,number,urgent,tags,note\r\n\
        a,\"say \"\"hi\"\"\nthere\",1.10,12345678901234567,TRUE,\"[\"\"x\"\"]\",007\r\n\
        b,five,1e400x,,,,\r\n\
        c,short\r\n\
        d,six,+5,,no,,\r\n\
        e,,,,,,\r\n\
        f,seven,+5,,false,,\r\n";
    for piece in [1, 10_000] {
        let report = import(&app, into("acme", Format::Csv), csv.as_bytes(), piece);
        let report = report.await.unwrap();
        assert_eq!(lines(&report.errors), [4, 5, 6, 7], "{report:?}");
        assert!(report.errors[0].reason.contains("\"price\""), "{report:?}");
    }
    let kept = r#"{"id":"a","subject":"say \"hi\"\nthere","price":1.10,"number":12345678901234567,"urgent":true,"tags":["x"],"note":"007"}"#;
    assert_eq!(get(&app, "acme", "a").await.as_deref(), Some(kept));
    let kept = r#"{"id":"f","subject":"seven","price":5,"urgent":false}"#;
    assert_eq!(get(&app, "acme", "f").await.as_deref(), Some(kept));
}

#[tokio::test]
async fn rows_go_to_the_tenant_that_they_name() {
    let rows = "{\"id\":\"1\",\"subject\":\"x\",\"customer\":\"Big Corp\"}\n\
        {\"id\":\"2\",\"subject\":\"x\",\"customer\":12346}\n\
        {\"id\":\"3\",\"subject\":\"x\",\"customer\":\"?\"}\n\
        {\"id\":\"4\",\"subject\":\"x\"}\n\
        {\"id\":\"5\",\"subject\":\"x\",\"customer\":\"big-corp\"}\n\
        {\"id\":\"6\",\"subject\":\"x\",\"customer\":[1]}\n";
    let app = app().await;
    let missing = import(&app, by_field(None, false), rows.as_bytes(), 9).await;
    assert_eq!(lines(&missing.unwrap().errors), [1, 2, 3, 4, 5, 6]);
    let options = by_field(Some("unknown"), true);
    let report = import(&app, options, rows.as_bytes(), 9).await.unwrap();
    assert_eq!(lines(&report.errors), [5, 6], "{report:?}");
    assert_eq!((report.created, report.tenants_created), (4, 3));
    for (tenant, id) in [
        ("big-corp", "1"),
        ("12346", "2"),
        ("unknown", "3"),
        ("unknown", "4"),
    ] {
        assert!(get(&app, tenant, id).await.is_some(), "{tenant} {id}");
    }
}

#[tokio::test]
async fn an_export_imported_elsewhere_exports_the_same() {
    let app = app().await;
    let mut rows = String::new();
    for id in 0..700 {
        rows += &format!("{{\"id\":\"r{id:03}\",\"subject\":\"ü\",\"number\":{id}.0e0}}\n");
    }
    filled(&app, "acme", &rows).await;
    filled(
        &app,
        "acme",
        "{\"id\":\"r005\",\"subject\":\"second version\"}",
    )
    .await;
    let first = exported(&app, "acme", None).await;
    assert_eq!(first.lines().count(), 700);
    assert!(first.contains("\"version\":2"));
    let mut options = into("acme-2", Format::Ndjson);
    options.id_field = None;
    let report = import(&app, options.clone(), first.as_bytes(), 333).await;
    assert_eq!(report.unwrap().created, 700);
    assert_eq!(exported(&app, "acme-2", Some("ticket")).await, first);
    let again = import(&app, options, first.as_bytes(), 1 << 20).await;
    assert_eq!(again.unwrap().unchanged, 700);
    let error = app
        .transfer
        .export(&Caller::Local, "acme", Some("no"))
        .await;
    assert_eq!(error.err().unwrap().code, Code::NotFound);
}

#[tokio::test]
async fn packed_bodies_are_unpacked_and_damaged_ones_told() {
    let row = b"{\"id\":\"a\",\"subject\":\"x\"}\n";
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(row).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd = zstd::encode_all(&row[..], 1).unwrap();
    for (bytes, encoding) in [(&gzip, None), (&zstd, None), (&gzip, Some("gzip"))] {
        let app = app().await;
        let mut options = into("acme", Format::Ndjson);
        options.encoding = encoding.map(str::to_owned);
        let report = import(&app, options, bytes, 3).await.unwrap();
        assert_eq!(report.created, 1);
    }
    let app = app().await;
    let short = import(
        &app,
        into("acme", Format::Ndjson),
        &gzip[..gzip.len() - 9],
        3,
    );
    assert_eq!(short.await.unwrap_err().code, Code::BadRequest);
}

#[tokio::test]
async fn a_line_beyond_the_limit_is_refused_and_memory_does_not_follow_it() {
    let app = app().await;
    let long = app.core.limits.import_line_bytes_max + 10;
    let mut rows = format!("{{\"id\":\"a\",\"subject\":\"{}\"}}\n", "x".repeat(long));
    rows += "{\"id\":\"b\",\"subject\":\"x\"}\n";
    let report = import(&app, into("acme", Format::Ndjson), rows.as_bytes(), 1 << 16);
    let report = report.await.unwrap();
    assert_eq!((lines(&report.errors), report.created), (vec![1], 1));
    assert!(report.errors[0].reason.contains("import_line_bytes_max"));
}

#[tokio::test]
async fn a_key_imports_into_its_own_tenant_and_nowhere_else() {
    let app = app().await;
    let key = Caller::Key {
        tenant: "acme".parse().unwrap(),
        id: Arc::from("k1"),
        scopes: Arc::from([Scope::Write]),
    };
    let code = |result: Result<Importer>| result.map(drop).unwrap_err().code;
    let own = app.transfer.import(&key, into("acme", Format::Csv)).await;
    assert!(own.is_ok());
    let other = app.transfer.import(&key, into("acme-2", Format::Csv)).await;
    assert_eq!(code(other), Code::NotFound);
    let many = app.transfer.import(&key, by_field(None, true)).await;
    assert_eq!(code(many), Code::OperatorOnly);
    let read = app.transfer.export(&key, "acme", None).await;
    assert_eq!(read.err().unwrap().code, Code::InsufficientScope);
}

#[tokio::test]
async fn a_store_that_takes_no_writes_stops_the_import_which_says_how_far_it_came() {
    let engine = Faulty::new(Memory::new());
    // Later than what it takes to build the app, earlier than the import's end.
    engine.plan(Call::Apply, 25, Fault::Fail);
    let store = OpenStore::over(engine, CommitterOptions::default()).unwrap();
    let app = app_over(store, TICKETS).await;
    let mut rows = String::new();
    for id in 0..5_000 {
        rows += &format!("{{\"id\":\"r{id}\",\"subject\":\"x\"}}\n");
    }
    let options = into("acme", Format::Ndjson);
    let error = import(&app, options.clone(), rows.as_bytes(), 1 << 12).await;
    let error = error.unwrap_err();
    assert!(stops(&error), "{error:?}");
    let created = error.members["created"].as_u64().unwrap();
    assert!(created > 0 && created < 5_000, "{error:?}");
    assert_eq!(
        exported(&app, "acme", None).await.lines().count() as u64,
        created
    );
    assert!(
        error.detail.contains("The import stopped there"),
        "{error:?}"
    );
    let again = import(&app, options, rows.as_bytes(), 1 << 12).await;
    assert_eq!(again.unwrap_err().code, Code::Unavailable);
}
