//! `/v1/activity`: which tenants' programs call, and how that goes, since the start.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
};

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Answer, Services, authenticate::ReqCaller, openapi::Refused, routes};
use crate::{base::Instant, service::Caller};

/// The activity of one tenant's keys.
#[derive(Default)]
struct Row {
    last: AtomicI64,
    requests: AtomicU64,
    errors: AtomicU64,
    refused: AtomicU64,
}

/// The activity of all tenants' keys. One row for each tenant whose key was right, so
/// there are never more than tenants.
#[derive(Default)]
pub struct Activity {
    rows: RwLock<BTreeMap<Box<str>, Arc<Row>>>,
}

impl Activity {
    /// A caller was answered at `now`.
    pub fn answered(&self, caller: &Caller, status: u16, now: Instant) {
        let Caller::Key { tenant, .. } = caller else {
            return;
        };
        let row = self.row(tenant.as_str());
        row.last.fetch_max(now.0, Relaxed);
        row.requests.fetch_add(1, Relaxed);
        if status >= 500 {
            row.errors.fetch_add(1, Relaxed);
        } else if status == 429 {
            row.refused.fetch_add(1, Relaxed);
        }
    }

    fn row(&self, tenant: &str) -> Arc<Row> {
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(row) = rows.get(tenant) {
            return row.clone();
        }
        drop(rows);
        let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        rows.entry(tenant.into()).or_default().clone()
    }

    fn all(&self) -> Vec<TenantActivity> {
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        let view = |tenant: &str, row: &Row| TenantActivity {
            tenant: tenant.to_owned(),
            last_request_at: Instant(row.last.load(Relaxed)).to_rfc3339(),
            requests: row.requests.load(Relaxed),
            errors: row.errors.load(Relaxed),
            refused: row.refused.load(Relaxed),
        };
        rows.iter().map(|(tenant, row)| view(tenant, row)).collect()
    }
}

/// What a tenant's keys did since the server started.
#[derive(Debug, Serialize, ToSchema)]
pub struct TenantActivity {
    /// The tenant.
    tenant: String,
    /// When one of its keys was last used, RFC 3339.
    #[schema(format = DateTime)]
    last_request_at: String,
    /// Requests by its keys.
    requests: u64,
    /// Those of them that failed (5xx).
    errors: u64,
    /// Those of them that a limit refused (429).
    refused: u64,
}

/// What tenants' keys did.
#[derive(Debug, Serialize, ToSchema)]
pub struct ActivityList {
    /// When the server started, RFC 3339.
    #[schema(format = DateTime)]
    since: String,
    /// By tenant; those that did nothing are left out.
    tenants: Vec<TenantActivity>,
}

/// The route.
pub fn configure(config: &mut web::ServiceConfig) {
    config.service(
        routes::resource("/v1/activity")
            .route(web::get().to(show))
            .route(web::head().to(show)),
    );
}

/// Requests, failures and the last one of each tenant's keys since the server started.
#[utoipa::path(
    get, path = "/v1/activity", tag = "server",
    responses((status = 200, description = "The activity", body = ActivityList), Refused)
)]
pub async fn show(app: Services, caller: ReqCaller, activity: web::Data<Activity>) -> Answer {
    caller.0.require_operator()?;
    Ok(HttpResponse::Ok().json(ActivityList {
        since: app.started_at.to_rfc3339(),
        tenants: activity.all(),
    }))
}
