//! Every request seen from outside: its id, its line in the log, its share of the
//! metrics.

use std::time::Instant;

use actix_web::{
    Error, HttpMessage,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::header::{HeaderName, HeaderValue},
    middleware::Next,
    web,
};
use tracing::Instrument;

use super::{
    authenticate::{ReqCaller, tenant_in},
    metrics::Metrics,
};

/// The header that carries a request's id, both ways.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest id taken from a client.
const ID_BYTES_MAX: usize = 64;

tokio::task_local! {
    static CURRENT: String;
}

/// The id of the request that is being answered, where one is.
pub fn request_id() -> Option<String> {
    CURRENT.try_with(Clone::clone).ok()
}

/// The middleware; the outermost one, so that nothing escapes it.
pub async fn observe(
    metrics: web::Data<Metrics>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let id = given_id(&request).unwrap_or_else(|| uuid::Uuid::now_v7().to_string());
    let span = tracing::info_span!("request", request_id = %id);
    let answering = answer(metrics, request, next, id.clone());
    CURRENT.scope(id, answering.instrument(span)).await
}

async fn answer<B: MessageBody + 'static>(
    metrics: web::Data<Metrics>,
    request: ServiceRequest,
    next: Next<B>,
    id: String,
) -> Result<ServiceResponse<B>, Error> {
    let started = Instant::now();
    let method = request.method().clone();
    let in_flight = metrics.in_flight();
    let mut response = next.call(request).await?;
    drop(in_flight);
    // The id was checked, so it always fits a header.
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    let took = started.elapsed();
    let status = response.status().as_u16();
    let route = response.request().match_pattern();
    let route = route.as_deref().unwrap_or("none");
    metrics.answered(method.as_str(), route, status, took);
    let caller = response.request().extensions().get::<ReqCaller>().cloned();
    let caller = caller.map_or_else(|| "anonymous".to_owned(), |c| c.0.credential());
    let tenant = tenant_in(route, response.request().match_info().as_str()).unwrap_or("");
    tracing::info!(
        method = method.as_str(),
        route,
        tenant,
        caller,
        status,
        ms = took.as_secs_f64() * 1000.0,
        "answered"
    );
    Ok(response)
}

/// The client's own id, where it is one that can stand in logs and headers.
fn given_id(request: &ServiceRequest) -> Option<String> {
    let id = request.headers().get(&REQUEST_ID)?.to_str().ok()?;
    let sane = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/+=".contains(&b);
    let fits = !id.is_empty() && id.len() <= ID_BYTES_MAX && id.bytes().all(sane);
    fits.then(|| id.to_owned())
}
