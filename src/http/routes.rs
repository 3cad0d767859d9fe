//! All routes and the middleware around them, put together once.

use actix_web::{Resource, web};

use super::{
    activity, app_file, archive, auth, backups, batch, config as configuration, events, health,
    holds, jobs, keys, metrics, openapi, operators, overview, page, problem, records, runs, store,
    tenants, transfer,
};

/// A resource that answers methods it does not know with 405 and `Allow`.
pub fn resource(path: &str) -> Resource {
    web::resource(path).default_service(web::to(problem::wrong_method))
}

/// Every route.
pub fn configure(config: &mut web::ServiceConfig) {
    // Patterns are tried in this order, so what is asked most comes first.
    config
        .configure(problem::configure)
        .configure(records::configure)
        .configure(batch::configure)
        .configure(archive::configure)
        .configure(holds::configure)
        .configure(health::configure)
        .configure(metrics::configure)
        .configure(openapi::configure)
        .configure(auth::configure)
        .configure(operators::configure)
        .configure(app_file::configure)
        .configure(tenants::configure)
        .configure(keys::configure)
        .configure(transfer::configure)
        .configure(jobs::configure)
        .configure(runs::configure)
        .configure(backups::configure)
        .configure(store::configure)
        .configure(overview::configure)
        .configure(events::configure)
        .configure(activity::configure)
        .configure(configuration::configure)
        .default_service(web::to(page::serve));
}
