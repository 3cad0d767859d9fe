//! What is ours, one piece at a time: `cargo bench`. How it comes together over
//! HTTP is `cargo xtask bench`.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::{hint::black_box, sync::Arc};

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::{Value as Json, json};
use tenantry::{
    app::App,
    base::{Instant, SystemClock},
    config::{Config, Flags, Sources},
    domain::{
        AppFile, IndexValue, RecordId, RecordMeta,
        query::{ListRequest, plan},
    },
    service::{
        Caller, Scope, TenantAccess,
        apps::ApplyOptions,
        archive::Way,
        records::{Action, Only, Operation, Record},
        tenants::NewTenant,
    },
    store::{self, Batch, Condition, Tree, codec},
};
use tokio::runtime::Runtime;

const APP: &str = r#"
[entity.ticket.schema]
required = ["subject", "status", "opened_at"]
properties.subject = { type = "string", maxLength = 200 }
properties.status = { enum = ["open", "pending", "closed"] }
properties.opened_at = { type = "string", format = "date-time" }
properties.body = { type = "string" }

[[entity.ticket.index]]
name = "by_status"
fields = ["status", "opened_at"]

[entity.ticket.archive]
when = { status = "open" }
by = "opened_at"
after = "1d"
"#;

/// An app over the engine in memory, with a tenant and 1,000 tickets of 0.8 KB.
struct Stage {
    runtime: Runtime,
    app: App,
    acme: TenantAccess,
}

fn ticket(number: usize) -> Json {
    json!({
        "subject": format!("The printer is on fire ({number})"),
        "status": "open",
        "opened_at": format!("2026-03-{:02}T09:26:{:02}Z", number % 28 + 1, number % 60),
        "body": "again ".repeat(110),
    })
}

fn stage() -> Stage {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    let file = AppFile::parse(APP).unwrap();
    let config = Config::load(Sources {
        file: None,
        env: Vec::new(),
        flags: Flags::default(),
    });
    let (app, acme) = runtime.block_on(async {
        let store = store::memory().unwrap();
        let app = App::build(config.unwrap(), store, Arc::new(SystemClock));
        let app = app.await.unwrap();
        let options = ApplyOptions::default();
        let applied = app.apps.apply(&Caller::Local, file, options).await;
        applied.unwrap();
        let wish: NewTenant = serde_json::from_value(json!({"id": "acme"})).unwrap();
        app.tenants.create(&Caller::Local, wish).await.unwrap();
        let access = app.tenants.access(&Caller::Local, "acme", Scope::Write);
        let acme = access.await.unwrap();
        for number in 0..1000 {
            let create = Operation {
                entity: "ticket".into(),
                action: Action::Create { id: None },
                body: Bytes::from(ticket(number).to_string()),
                if_match: None,
                if_none_match: None,
            };
            app.records.apply(&acme, &[create]).await.unwrap();
        }
        (app, acme)
    });
    Stage { runtime, app, acme }
}

fn newest_open() -> ListRequest {
    let pairs = [("status", "open"), ("order", "-opened_at")];
    let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
    ListRequest::from_pairs(pairs, 50, 500).unwrap()
}

fn meta() -> RecordMeta {
    RecordMeta {
        version: 7,
        created_at: Instant(1_772_323_200_000),
        updated_at: Instant(1_772_323_260_123),
        incarnation: 3,
        restored_until: None,
    }
}

fn keys(c: &mut Criterion) {
    let mut key = Vec::with_capacity(256);
    for (name, value) in [
        ("a string", IndexValue::Text("open and waiting".into())),
        (
            "an instant",
            IndexValue::Instant {
                seconds: 1_772_323_200,
                nanos: 0,
            },
        ),
    ] {
        c.bench_function(&format!("encode {name} into a key"), |b| {
            b.iter(|| {
                key.clear();
                black_box(&value).encode_into(&mut key);
            });
        });
    }
}

fn headers(c: &mut Criterion) {
    let json = ticket(1).to_string();
    let stored = codec::encode_record(&meta(), json.as_bytes()).unwrap();
    c.bench_function("encode a record", |b| {
        b.iter(|| codec::encode_record(&meta(), black_box(json.as_bytes())));
    });
    c.bench_function("decode a record", |b| {
        b.iter(|| codec::decode_record(black_box(&stored)));
    });
}

fn queries(c: &mut Criterion) {
    let file = AppFile::parse(APP).unwrap();
    let entity = file.entity("ticket").unwrap();
    let request = newest_open();
    c.bench_function("plan a list", |b| {
        b.iter(|| plan(entity, &|_| true, black_box(&request)).is_ok());
    });
    let good = ticket(1);
    let bytes = good.to_string().len();
    c.bench_function("validate a good record", |b| {
        b.iter(|| entity.validate(black_box(&good), bytes).is_ok());
    });
}

fn lists(c: &mut Criterion) {
    let record = Record {
        id: RecordId::parse("01a20988-d2a9-7588-abc2-5f76633eb640").unwrap(),
        meta: meta(),
        tier: Tree::Hot,
        json: Bytes::from(ticket(1).to_string()),
    };
    let mut group = c.benchmark_group("lists");
    group.throughput(Throughput::Elements(50));
    group.bench_function("splice 50 records", |b| {
        b.iter_batched_ref(
            || Vec::with_capacity(1 << 16),
            |out| (0..50).for_each(|_| record.render_into(out)),
            BatchSize::SmallInput,
        );
    });
    let stage = stage();
    let request = newest_open();
    group.bench_function("list 50 by an index, records cached", |b| {
        b.iter(|| {
            let list = stage.app.records.list(&stage.acme, "ticket", &request);
            stage.runtime.block_on(list).unwrap()
        });
    });
}

/// What 64 writers at once commit: a record, an index row and two counters each.
fn commits(c: &mut Criterion) {
    const WRITERS: u64 = 64;
    let stage = stage();
    let mut number = 0;
    let mut group = c.benchmark_group("committer over the engine in memory");
    group.throughput(Throughput::Elements(WRITERS));
    group.bench_function("64 commits at once", |b| {
        b.iter(|| {
            let commits = (0..WRITERS).map(|_| {
                number += 1;
                let id = format!("acme#ticket#{number:012}");
                let mut batch = Batch::default();
                batch.expect(Tree::Hot, id.clone(), Condition::Absent);
                batch.put(Tree::Hot, id.clone(), vec![b'x'; 800]);
                batch.put(Tree::Hot, format!("acme#ticket@by_status#{id}"), vec![]);
                batch.add(Tree::Hot, "acme#~count#ticket#hot#records", 1);
                batch.add(Tree::Hot, "acme#~count#ticket#hot#bytes", 800);
                let engine = stage.app.core.engine.clone();
                stage
                    .runtime
                    .spawn(async move { engine.commit(batch).await })
            });
            let commits: Vec<_> = commits.collect();
            for commit in commits {
                stage.runtime.block_on(commit).unwrap().unwrap();
            }
        });
    });
}

/// A record read back by its id: hot, and archived with a dictionary trained on 900
/// others like it.
fn archived(c: &mut Criterion) {
    let stage = stage();
    let ids = stage.runtime.block_on(async {
        let (app, acme) = (&stage.app, &stage.acme);
        let request = ListRequest::from_pairs([("limit".into(), "500".into())], 50, 500).unwrap();
        let page = app.records.list(acme, "ticket", &request).await.unwrap();
        let page: Json = serde_json::from_slice(&page).unwrap();
        let items = page["items"].as_array().unwrap().iter();
        let ids = items.map(|item| item["id"].as_str().unwrap().to_owned());
        let ids: Vec<String> = ids.collect();
        let ticket = app.archive.ruled("ticket").await.unwrap();
        let end = Instant(i64::MAX / 2);
        let trained = app
            .archive
            .train(acme, &ticket, end, Batch::default())
            .await;
        assert!(trained.unwrap(), "no dictionary");
        for part in ids[..400].chunks(16) {
            let moved = part.iter();
            let moved = moved.map(|id| Way::Archive.operation("ticket", id, Only::Anyhow));
            let moved: Vec<_> = moved.collect();
            app.records.apply(acme, &moved).await.unwrap();
        }
        ids
    });
    for (name, ids) in [("hot", &ids[400..]), ("archived", &ids[..400])] {
        let mut number = 0;
        c.bench_function(&format!("get one of 0.8 KB, {name}"), |b| {
            b.iter(|| {
                number = (number + 1) % ids.len();
                let get = stage.app.records.get(&stage.acme, "ticket", &ids[number]);
                stage.runtime.block_on(get).unwrap()
            });
        });
    }
}

criterion_group!(core, keys, headers, queries, lists, commits, archived);
criterion_main!(core);
