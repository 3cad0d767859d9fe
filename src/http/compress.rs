//! Answers compressed where the client takes that and it is worth it.
//!
//! actix-web's own middleware compresses. Around it: small answers are left as
//! they are, `Vary` stands on every answer that could have been compressed, and
//! the ETag of a compressed one is weak, which `If-Match` still takes.

use actix_web::{
    Error,
    body::{BodySize, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
    middleware::Next,
};

/// Smaller answers fit one packet anyway.
const BYTES_MIN: u64 = 1024;

/// Inside the compressor: marks what is not to be compressed.
pub async fn mark(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let mut response = next.call(request).await?;
    let small = match response.response().body().size() {
        BodySize::None => true,
        BodySize::Sized(bytes) => bytes < BYTES_MIN,
        BodySize::Stream => false,
    };
    if (small || !is_text(&response)) && !response.headers().contains_key(header::CONTENT_ENCODING)
    {
        let identity = HeaderValue::from_static("identity");
        response
            .headers_mut()
            .insert(header::CONTENT_ENCODING, identity);
    }
    Ok(response)
}

/// Outside the compressor: tells caches what depends on what.
pub async fn tell(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let mut response = next.call(request).await?;
    // An answer that only says "unchanged" stands for one that varies.
    if is_text(&response) || response.status() == StatusCode::NOT_MODIFIED {
        vary(&mut response);
    }
    let headers = response.headers_mut();
    match headers.get(header::CONTENT_ENCODING) {
        Some(encoding) if encoding == "identity" => {
            headers.remove(header::CONTENT_ENCODING);
        }
        Some(_) => {
            let etag = headers.get(header::ETAG);
            let strong = etag.filter(|tag| !tag.as_bytes().starts_with(b"W/"));
            let weak = strong
                .and_then(|tag| HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()).ok());
            if let Some(weak) = weak {
                headers.insert(header::ETAG, weak);
            }
        }
        None => {}
    }
    Ok(response)
}

/// One `Vary` header with everything in it once.
fn vary<B>(response: &mut ServiceResponse<B>) {
    let mut names = vec!["Accept-Encoding".to_owned()];
    for value in response.headers().get_all(header::VARY) {
        let listed = value.to_str().unwrap_or_default().split(',');
        for name in listed.map(str::trim).filter(|name| !name.is_empty()) {
            if !names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                names.push(name.to_owned());
            }
        }
    }
    if let Ok(value) = HeaderValue::from_str(&names.join(", ")) {
        response.headers_mut().insert(header::VARY, value);
    }
}

fn is_text<B>(response: &ServiceResponse<B>) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default();
    kind.starts_with("text/")
        || kind.ends_with("json")
        || [
            "application/javascript",
            "image/svg+xml",
            "application/toml",
        ]
        .contains(&kind)
}
