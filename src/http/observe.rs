//! Every request seen from outside: its id, its line in the log, its share of the
//! metrics.

use std::{panic::AssertUnwindSafe, rc::Rc, time::Instant};

use actix_web::{
    Error, HttpMessage, ResponseError,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    error::InternalError,
    http::header::{HeaderName, HeaderValue},
    middleware::Next,
    web,
};
use futures_util::FutureExt;
use tracing::Instrument;

use super::{
    Services,
    activity::Activity,
    authenticate::{ReqCaller, tenant_in},
    client::Client,
    metrics::Metrics,
    problem::Problem,
    samples::Samples,
};
use crate::service;

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

/// What [`route`] found.
#[derive(Clone)]
struct Route(Option<Rc<str>>);

/// The pattern of the route that a request goes to, where it goes to one; found
/// once for each request.
pub fn route(request: &ServiceRequest) -> Option<Rc<str>> {
    if let Some(Route(known)) = request.extensions().get::<Route>() {
        return known.clone();
    }
    // As the router reads it, with its escapes undone: no other spelling of a path
    // may get by the table of permissions.
    let path = request.match_info().as_str();
    let found: Option<Rc<str>> = request.resource_map().match_pattern(path).map(Rc::from);
    request.extensions_mut().insert(Route(found.clone()));
    found
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
    let pattern = route(&request);
    let route = pattern.as_deref().unwrap_or("none");
    let in_flight = metrics.in_flight(route);
    let answered = AssertUnwindSafe(next.call(request)).catch_unwind().await;
    drop(in_flight);
    let mut response = match answered {
        Ok(response) => response?,
        Err(_) => {
            metrics.answered(method.as_str(), route, 500, started.elapsed());
            return Err(panicked(&id));
        }
    };
    // The id was checked, so it always fits a header.
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    let took = started.elapsed();
    let status = response.status().as_u16();
    metrics.answered(method.as_str(), route, status, took);
    if let Some(samples) = response.request().app_data::<web::Data<Samples>>() {
        samples.answered(route, status, took);
    }
    let caller = response.request().extensions().get::<ReqCaller>().cloned();
    if let (Some(caller), Some(app), Some(activity)) = (
        &caller,
        response.request().app_data::<Services>(),
        response.request().app_data::<web::Data<Activity>>(),
    ) {
        activity.answered(&caller.0, status, app.core.clock.now());
    }
    let caller = caller.map_or_else(|| "anonymous".to_owned(), |c| c.0.credential());
    let tenant = tenant_in(route, response.request().match_info().as_str()).unwrap_or("");
    tracing::info!(
        method = method.as_str(),
        route,
        tenant,
        caller,
        client = Client::of(response.request()).address_text(),
        status,
        duration_ms = (took.as_micros() as f64) / 1000.0,
        "answered"
    );
    Ok(response)
}

/// The answer of a handler that panicked: a defect like others, which must not
/// look to the client like a broken connection. What it was is logged by the
/// panic itself.
fn panicked(id: &str) -> Error {
    let problem = Problem(service::Error::internal("a handler panicked"));
    let mut response = problem.error_response();
    if let Ok(value) = HeaderValue::from_str(id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    InternalError::from_response(problem, response).into()
}

/// The client's own id, where it is one that can stand in logs and headers.
fn given_id(request: &ServiceRequest) -> Option<String> {
    let id = request.headers().get(&REQUEST_ID)?.to_str().ok()?;
    let sane = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/+=".contains(&b);
    let fits = !id.is_empty() && id.len() <= ID_BYTES_MAX && id.bytes().all(sane);
    fits.then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use actix_web::{App, body::to_bytes, middleware::from_fn, test};

    use super::*;

    async fn broken() -> actix_web::HttpResponse {
        panic!("a secret in a panic's text")
    }

    #[actix_web::test]
    async fn a_panic_in_a_handler_is_answered_and_counted() {
        let metrics = web::Data::new(
            Metrics::new(&crate::jobs::metrics::JobMetrics::new().unwrap()).unwrap(),
        );
        let app = App::new()
            .app_data(metrics.clone())
            .service(web::resource("/broken").to(broken))
            .wrap(from_fn(observe));
        let app = test::init_service(app).await;
        let request = test::TestRequest::get().uri("/broken").to_request();
        let error = test::try_call_service(&app, request).await.err().unwrap();
        let response = error.error_response();
        assert_eq!(response.status(), 500);
        let id = response
            .headers()
            .get(REQUEST_ID)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let body = to_bytes(response.into_body()).await.unwrap();
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(problem["code"], "internal");
        assert_eq!(problem["request_id"], id.as_str());
        assert!(!problem.to_string().contains("secret"));
        let text = metrics.text(&Default::default(), (0, 0.0)).unwrap();
        assert!(
            text.contains("route=\"/broken\",status=\"500\"} 1"),
            "{text}"
        );
        assert!(text.contains("in_flight{route=\"/broken\"} 0"), "{text}");
    }
}
