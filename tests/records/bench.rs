//! The bench that tests work on: an app over a store in memory.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value as Json, json};
use tenantry::{
    app::App,
    base::{Instant, ManualClock},
    config::{Config, Flags, Sources},
    domain::{AppFile, TenantSlug, query::ListRequest, record::EtagMatch},
    service::{
        Caller, Code, Error, Scope, TenantAccess,
        apps::ApplyOptions,
        records::{Action, Operation, Outcome, Record},
    },
    store,
};

/// 2026-03-01T00:00:00Z
pub const START: Instant = Instant(1_772_323_200_000);

pub const TICKETS: &str = r#"
[entity.ticket.schema]
required = ["subject", "status"]
properties.subject = { type = "string", maxLength = 200 }
properties.status = { enum = ["open", "pending", "closed"] }
properties.opened_at = { type = "string", format = "date-time" }
properties.number = { type = "integer" }
properties.tags = { type = "array", items = { type = "string" } }

[[entity.ticket.index]]
name = "by_status"
fields = ["status", "opened_at"]

[[entity.ticket.index]]
name = "by_number"
fields = ["number"]
unique = true

[[entity.ticket.index]]
name = "by_tag"
fields = ["tags"]
"#;

pub struct Bench {
    pub app: App,
    pub clock: Arc<ManualClock>,
    pub acme: TenantAccess,
}

pub async fn bench(app_file: &str) -> Bench {
    let clock = Arc::new(ManualClock::new(START));
    let sources = Sources {
        file: None,
        env: Vec::new(),
        flags: Flags::default(),
    };
    let config = Config::load(sources).unwrap();
    let app = App::build(config, store::memory().unwrap(), clock.clone())
        .await
        .unwrap();
    apply(&app, app_file).await;
    let acme = tenant(&app, "acme").await;
    Bench { app, clock, acme }
}

pub async fn apply(app: &App, text: &str) {
    let file = AppFile::parse(text).unwrap();
    let options = ApplyOptions::default();
    app.apps.apply(&Caller::Local, file, options).await.unwrap();
}

pub async fn tenant(app: &App, slug: &str) -> TenantAccess {
    let id: TenantSlug = slug.parse().unwrap();
    let made = app.tenants.ensure(&Caller::Local, &id, slug);
    made.await.unwrap();
    let access = app.tenants.access(&Caller::Local, slug, Scope::Write);
    access.await.unwrap()
}

pub fn op(action: Action, body: Json) -> Operation {
    Operation {
        entity: "ticket".into(),
        action,
        body: Bytes::from(body.to_string()),
        if_match: None,
        if_none_match: None,
    }
}

pub fn create(body: Json) -> Operation {
    op(Action::Create { id: None }, body)
}

pub fn put(id: &str, body: Json) -> Operation {
    op(Action::Put { id: id.into() }, body)
}

pub fn patch(id: &str, body: Json) -> Operation {
    op(Action::Patch { id: id.into() }, body)
}

pub fn delete(id: &str) -> Operation {
    op(Action::Delete { id: id.into() }, json!(null))
}

pub fn if_match(mut operation: Operation, header: &str) -> Operation {
    operation.if_match = Some(EtagMatch::parse(header).unwrap());
    operation
}

pub fn if_none_match(mut operation: Operation, header: &str) -> Operation {
    operation.if_none_match = Some(EtagMatch::parse(header).unwrap());
    operation
}

impl Bench {
    pub async fn write(&self, operation: Operation) -> Result<Outcome, Error> {
        let mut outcomes = self.app.records.apply(&self.acme, &[operation]).await?;
        Ok(outcomes.remove(0))
    }

    pub async fn write_all(&self, operations: &[Operation]) -> Result<Vec<Outcome>, Error> {
        self.app.records.apply(&self.acme, operations).await
    }

    /// Writes what must succeed, and gives the record.
    pub async fn written(&self, operation: Operation) -> Record {
        self.write(operation).await.unwrap().record.unwrap()
    }

    /// Writes what must fail.
    pub async fn refused(&self, operation: Operation) -> Error {
        self.write(operation).await.unwrap_err()
    }

    pub async fn get(&self, id: &str) -> Result<Record, Error> {
        self.app.records.get(&self.acme, "ticket", id).await
    }

    pub async fn list(&self, query: &str) -> Result<Json, Error> {
        self.list_of(&self.acme, query).await
    }

    pub async fn list_of(&self, access: &TenantAccess, query: &str) -> Result<Json, Error> {
        let pairs = query.split('&').filter(|part| !part.is_empty());
        let pairs = pairs.map(|part| {
            let (name, value) = part.split_once('=').unwrap();
            (name.to_owned(), value.to_owned())
        });
        let request = ListRequest::from_pairs(pairs, 50, 500).unwrap();
        let body = self.app.records.list(access, "ticket", &request).await?;
        Ok(serde_json::from_slice(&body).unwrap())
    }

    /// The subjects of every page, with the number of pages.
    pub async fn subjects(&self, query: &str) -> (Vec<String>, usize) {
        let (mut subjects, mut pages, mut cursor) = (Vec::new(), 0, String::new());
        loop {
            let page = self.list(&format!("{query}{cursor}")).await.unwrap();
            pages += 1;
            subjects.extend(items(&page).map(|i| text(&i["data"]["subject"])));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return (subjects, pages),
            }
        }
    }

    /// Does the background work until none is left.
    pub async fn settle(&self) {
        while self.app.apps.work_step().await.unwrap() {}
    }
}

pub fn items(page: &Json) -> impl Iterator<Item = &Json> {
    page["items"].as_array().unwrap().iter()
}

pub fn text(value: &Json) -> String {
    value.as_str().unwrap().to_owned()
}

pub fn ticket(subject: &str) -> Json {
    json!({"subject": subject, "status": "open"})
}

#[track_caller]
pub fn assert_code(error: &Error, code: Code) {
    assert_eq!(error.code, code, "{error:?}");
}
