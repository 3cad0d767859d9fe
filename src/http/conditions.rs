//! Request headers that make a write conditional or safe to repeat.

use actix_web::{
    HttpRequest,
    http::header::{self, HeaderName},
};
use sha2::{Digest, Sha256};

use super::problem::Problem;
use crate::{domain::record::EtagMatch, service::records::Idempotency};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The longest `Idempotency-Key`, in bytes.
const KEY_BYTES_MAX: usize = 255;

/// `If-Match`.
pub fn if_match(request: &HttpRequest) -> Result<Option<EtagMatch>, Problem> {
    tags(request, &header::IF_MATCH)
}

/// `If-None-Match`.
pub fn if_none_match(request: &HttpRequest) -> Result<Option<EtagMatch>, Problem> {
    tags(request, &header::IF_NONE_MATCH)
}

fn tags(request: &HttpRequest, name: &HeaderName) -> Result<Option<EtagMatch>, Problem> {
    match text(request, name)? {
        Some(text) => match EtagMatch::parse(&text) {
            Ok(tags) => Ok(Some(tags)),
            Err(expected) => Err(Problem::bad_request(format!("{name}: {expected}."))),
        },
        None => Ok(None),
    }
}

/// A header's value; several lines of it are one list.
fn text(request: &HttpRequest, name: &HeaderName) -> Result<Option<String>, Problem> {
    let mut all = Vec::new();
    for value in request.headers().get_all(name) {
        all.push(
            value
                .to_str()
                .map_err(|_| Problem::bad_request(format!("{name}: expected printable ASCII.")))?,
        );
    }
    Ok((!all.is_empty()).then(|| all.join(", ")))
}

/// `Idempotency-Key`, bound to the route, the conditions and the body.
pub fn idempotency(request: &HttpRequest, body: &[u8]) -> Result<Option<Idempotency>, Problem> {
    let Some(key) = text(request, &IDEMPOTENCY_KEY)? else {
        return Ok(None);
    };
    let printable = key.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    if key.is_empty() || key.len() > KEY_BYTES_MAX || !printable {
        return Err(Problem::bad_request(format!(
            "Idempotency-Key: expected 1 to {KEY_BYTES_MAX} printable ASCII characters, such as a UUID."
        )));
    }
    let mut hash = Sha256::new();
    for name in [
        header::IF_MATCH,
        header::IF_NONE_MATCH,
        header::CONTENT_TYPE,
    ] {
        let value = text(request, &name)?.unwrap_or_default();
        hash.update((value.len() as u64).to_be_bytes());
        hash.update(value.as_bytes());
    }
    hash.update(body);
    Ok(Some(Idempotency {
        key,
        route: format!("{} {}", request.method(), request.path()),
        request_hash: hash.finalize().into(),
    }))
}
