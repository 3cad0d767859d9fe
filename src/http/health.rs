//! `/healthz` and `/readyz`: whether the process lives, whether it can serve.

use actix_web::{HttpResponse, web};
use serde_json::json;
use tokio::sync::watch;

use super::{Answer, Services, routes};

/// Whether the server is on its way down.
#[derive(Debug)]
pub struct Lifecycle {
    stopping: watch::Sender<bool>,
}

impl Default for Lifecycle {
    fn default() -> Self {
        let (stopping, _) = watch::channel(false);
        Self { stopping }
    }
}

impl Lifecycle {
    /// From now on the server is not ready, and streams end.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// Becomes true when the server stops.
    pub fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }
}

/// The routes.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .service(
            routes::resource("/healthz")
                .route(web::get().to(healthz))
                .route(web::head().to(healthz)),
        )
        .service(
            routes::resource("/readyz")
                .route(web::get().to(readyz))
                .route(web::head().to(readyz)),
        );
}

/// The process lives.
#[utoipa::path(
    get, path = "/healthz", tag = "server", security(()),
    responses((status = 200, description = "It does", body = super::openapi::Health))
)]
pub async fn healthz() -> Answer {
    let version = env!("CARGO_PKG_VERSION");
    Ok(HttpResponse::Ok().json(json!({"status": "ok", "version": version})))
}

/// The server takes requests of every kind, or says why not.
#[utoipa::path(
    get, path = "/readyz", tag = "server", security(()),
    responses(
        (status = 200, description = "It does", body = super::openapi::Readiness),
        (status = 503, description = "It does not, with the reasons", body = super::openapi::Readiness),
    )
)]
pub async fn readyz(app: Services, lifecycle: web::Data<Lifecycle>) -> Answer {
    let mut reasons = Vec::new();
    if *lifecycle.stopping.borrow() {
        reasons.push("the server is stopping".to_owned());
    }
    if let Some(reason) = app.core.engine.read_only() {
        reasons.push(format!("the store takes no writes: {reason}"));
    }
    let (mut response, status) = match reasons.is_empty() {
        true => (HttpResponse::Ok(), "ready"),
        false => (HttpResponse::ServiceUnavailable(), "not ready"),
    };
    Ok(response.json(json!({"status": status, "reasons": reasons})))
}
