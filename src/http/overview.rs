//! `/v1/overview`: the installation at one look.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Answer, Services,
    authenticate::ReqCaller,
    openapi::Refused,
    routes,
    samples::{self, Sample, Samples},
};
use crate::{service::counts, store::keys};

/// The installation at one look.
#[derive(Debug, Serialize, ToSchema)]
pub struct Overview {
    /// The version that runs.
    version: &'static str,
    /// When it started, RFC 3339.
    #[schema(format = DateTime)]
    started_at: String,
    /// The server's time, RFC 3339.
    #[schema(format = DateTime)]
    now: String,
    /// How many tenants there are.
    tenants: u64,
    /// The hot tier, counted at most some minutes ago.
    hot: HotTotals,
    /// The archive, counted at most some minutes ago.
    archive: ArchiveTotals,
    /// Bytes that the store's files take on the disk.
    disk_bytes: u64,
    /// The engine's name.
    engine: &'static str,
    /// Why no writes are taken; null where they are.
    #[schema(required = true)]
    read_only: Option<String>,
    /// Runs of jobs that wait.
    queued: u64,
    /// Runs of jobs under way.
    running: u64,
    /// The last six hours, at most 720 points, oldest first.
    samples: Vec<Sample>,
}

/// The hot tier of all tenants.
#[derive(Debug, Serialize, ToSchema)]
pub struct HotTotals {
    /// Records.
    records: u64,
    /// Bytes of their keys and stored values.
    bytes: u64,
}

/// The archive of all tenants.
#[derive(Debug, Serialize, ToSchema)]
pub struct ArchiveTotals {
    /// Records.
    records: u64,
    /// Bytes of their keys and stored values.
    bytes: u64,
    /// Bytes of their JSON before it was compressed.
    json_bytes: u64,
    /// Bytes of it as it is stored.
    packed_bytes: u64,
    /// Since when the record is due that has been due for longest, RFC 3339.
    #[schema(required = true, format = DateTime)]
    oldest_due_at: Option<String>,
}

/// The route.
pub fn configure(config: &mut web::ServiceConfig) {
    config.service(
        routes::resource("/v1/overview")
            .route(web::get().to(show))
            .route(web::head().to(show)),
    );
}

/// The installation at one look: sizes, the queue, and how requests went.
#[utoipa::path(
    get, path = "/v1/overview", tag = "server",
    responses((status = 200, description = "The overview", body = Overview), Refused)
)]
pub async fn show(app: Services, caller: ReqCaller, samples: web::Data<Samples>) -> Answer {
    caller.0.require_operator()?;
    let standing = samples::standing(&app).await;
    let totals = app.archive.totals();
    let [hot, archive] = totals.tiers;
    Ok(HttpResponse::Ok().json(Overview {
        version: env!("CARGO_PKG_VERSION"),
        started_at: app.started_at.to_rfc3339(),
        now: app.core.clock.now().to_rfc3339(),
        tenants: counts::value(&app.core, &keys::TENANT_COUNT.into()).await?,
        hot: HotTotals {
            records: hot.0,
            bytes: hot.1,
        },
        archive: ArchiveTotals {
            records: archive.0,
            bytes: archive.1,
            json_bytes: totals.archived_json_bytes,
            packed_bytes: totals.archived_packed_bytes,
            oldest_due_at: totals.oldest_due.map(|at| at.to_rfc3339()),
        },
        disk_bytes: standing.disk_bytes,
        engine: app.store.maintenance.name(),
        read_only: app.core.engine.read_only(),
        queued: standing.queued,
        running: standing.running,
        samples: samples.all(),
    }))
}
