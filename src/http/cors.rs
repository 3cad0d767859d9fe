//! Which other origins may call from a browser: those of `cors.origins`, none
//! unless said.

use actix_cors::Cors;
use actix_web::http::header;

use super::{answer, observe};
use crate::config;

/// The middleware; left out where there are no origins, since it adds headers to
/// every answer.
pub fn cors(settings: &config::Cors) -> Cors {
    let mut cors = Cors::default()
        .block_on_origin_mismatch(false)
        .allow_any_method()
        .allow_any_header()
        .expose_headers([
            header::ETAG,
            header::LOCATION,
            header::RETRY_AFTER,
            observe::REQUEST_ID,
            answer::REPLAYED,
        ])
        .max_age(3600);
    for origin in &settings.origins {
        cors = cors.allowed_origin(origin);
    }
    cors
}
