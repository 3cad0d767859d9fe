//! The page that the binary carries.

use actix_web::{HttpRequest, HttpResponse, http::header};

use super::{Answer, assets, problem};

/// The first segments of the console's own addresses: the page is the same for all,
/// and shows what the address says.
const PLACES: [&str; 10] = [
    "app", "archive", "backups", "jobs", "records", "reports", "runs", "settings", "sign-in",
    "tenants",
];

/// Answers with an embedded file; whatever else no route knows is not found.
pub async fn serve(request: HttpRequest) -> Answer {
    let reads = request.method().is_safe();
    let path = match is_place(request.path()) {
        true => "/",
        false => request.path(),
    };
    let Some(asset) = assets::find(path).filter(|_| reads) else {
        return problem::no_route(request).await;
    };
    let known = request.headers().get(header::IF_NONE_MATCH);
    let known = known.and_then(|value| value.to_str().ok());
    let fresh = known.is_some_and(|tags| {
        let mut tags = tags.split(',');
        tags.any(|tag| tag.trim().trim_start_matches("W/") == asset.etag)
    });
    let mut response = match fresh {
        true => HttpResponse::NotModified(),
        false => HttpResponse::Ok(),
    };
    response
        .insert_header((header::ETAG, asset.etag))
        .insert_header((header::CACHE_CONTROL, asset.cache_control()));
    if fresh {
        return Ok(response.finish());
    }
    Ok(response.content_type(asset.content_type).body(asset.bytes))
}

fn is_place(path: &str) -> bool {
    let first = path.split('/').nth(1).unwrap_or_default();
    PLACES.contains(&first)
}
