//! What the services' own tests work on: an app over a store in memory.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use super::{
    Caller,
    apps::ApplyOptions,
    transfer::{Format, ImportOptions, ImportReport, Target},
};
use crate::{
    app::App,
    base::{Clock, Instant, ManualClock},
    config::{Config, Flags, Sources},
    domain::AppFile,
    store::{self, OpenStore},
};

/// 2026-03-01T00:00:00Z
pub const START: Instant = Instant(1_772_323_200_000);

pub const TICKETS: &str = r#"
[entity.ticket.schema]
required = ["subject"]
properties.subject = { type = "string", maxLength = 40 }
properties.status = { enum = ["open", "closed"] }
properties.number = { type = "integer" }
properties.price = { type = "number" }
properties.urgent = { type = "boolean" }
properties.tags = { type = "array", items = { type = "string" } }

[[entity.ticket.index]]
name = "by_status"
fields = ["status", "number"]

[[entity.ticket.index]]
name = "by_number"
fields = ["number"]
unique = true

[[entity.ticket.index]]
name = "by_tag"
fields = ["tags"]
"#;

pub async fn app() -> App {
    app_over(store::memory().unwrap(), TICKETS).await
}

pub async fn app_over(store: OpenStore, file: &str) -> App {
    let clock = Arc::new(ManualClock::new(START));
    let app = app_with(store, clock, |_| {}).await;
    apply(&app, file).await;
    for slug in ["acme", "acme-2"] {
        ensure(&app, slug).await;
    }
    app
}

/// A tenant.
pub async fn ensure(app: &App, slug: &str) {
    let slug = slug.parse().unwrap();
    let made = app.tenants.ensure(&Caller::Local, &slug, slug.as_str());
    made.await.unwrap();
}

/// An app without a file and without tenants.
pub async fn app_with(
    store: OpenStore,
    clock: Arc<dyn Clock>,
    change: impl FnOnce(&mut Config),
) -> App {
    let sources = Sources {
        file: None,
        env: Vec::new(),
        flags: Flags::default(),
    };
    let mut config = Config::load(sources).unwrap();
    change(&mut config);
    App::build(config, store, clock).await.unwrap()
}

pub async fn apply(app: &App, file: &str) {
    let file = AppFile::parse(file).unwrap();
    let options = ApplyOptions::default();
    app.apps.apply(&Caller::Local, file, options).await.unwrap();
}

/// An import of tickets into one tenant.
pub fn into(tenant: &str, format: Format) -> ImportOptions {
    ImportOptions {
        into: Target::Tenant(tenant.into()),
        entity: "ticket".into(),
        format,
        encoding: None,
        id_field: Some("id".into()),
        first_line: None,
    }
}

/// Imports a text in pieces of `piece` bytes.
pub async fn import(
    app: &App,
    options: ImportOptions,
    bytes: &[u8],
    piece: usize,
) -> super::Result<ImportReport> {
    let mut importer = app.transfer.import(&Caller::Local, options).await?;
    for piece in bytes.chunks(piece) {
        if let Err(error) = importer.push(piece).await {
            return Err(importer.stop(error).await);
        }
    }
    importer.finish().await
}

/// Imports lines of NDJSON that must all be good.
pub async fn filled(app: &App, tenant: &str, lines: &str) {
    let report = import(app, into(tenant, Format::Ndjson), lines.as_bytes(), 1 << 16)
        .await
        .unwrap();
    assert_eq!(report.failed, 0, "{report:?}");
}
