//! What writes are answered with.

use actix_web::{
    HttpResponse,
    http::{
        StatusCode,
        header::{self, HeaderName},
    },
};

use crate::{
    domain::record::etag,
    service::records::{Outcome, OutcomeKind, Record, Reply},
};

/// Tells that an answer was remembered under an `Idempotency-Key`.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// A service's reply as an HTTP response; a remembered one says so.
pub fn of_reply(reply: Reply, replayed: bool) -> HttpResponse {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::OK);
    let mut response = HttpResponse::build(status);
    if let Some(etag) = reply.etag {
        response.insert_header((header::ETAG, etag));
    }
    if let Some(location) = reply.location {
        response.insert_header((header::LOCATION, location));
    }
    if replayed {
        response.insert_header((REPLAYED, "true"));
    }
    if reply.body.is_empty() {
        return response.finish();
    }
    response.content_type("application/json").body(reply.body)
}

/// The reply to a single operation on a record.
pub fn of_one(tenant: &str, outcomes: &[Outcome]) -> Reply {
    let written = outcomes.first().and_then(|o| Some((o, o.record.as_ref()?)));
    let Some((outcome, record)) = written else {
        return Reply {
            status: 204,
            etag: None,
            location: None,
            body: Vec::new(),
        };
    };
    let created = outcome.kind == OutcomeKind::Created;
    let location = format!(
        "/v1/tenants/{tenant}/records/{}/{}",
        outcome.entity, outcome.id
    );
    Reply {
        status: if created { 201 } else { 200 },
        etag: Some(etag(&record.meta)),
        location: created.then_some(location),
        body: rendered(record),
    }
}

/// A record as JSON.
pub fn rendered(record: &Record) -> Vec<u8> {
    let mut body = Vec::new();
    record.render_into(&mut body);
    body
}
