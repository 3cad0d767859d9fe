//! Request bodies read with a limit in bytes and a limit on waiting.

use std::time::{Duration, Instant};

use actix_web::{HttpRequest, http::header, web::Payload};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use super::{Services, problem::Problem};
use crate::{
    domain::record::parse_object,
    service::{Code, Error},
};

/// A client that is slower than this on the average is given up, or it could hold
/// a connection for years with a byte now and then.
const BYTES_PER_SECOND_MIN: u64 = 1024;

/// Set aside at once where a body says that it is at least as long.
const BODY_BYTES_USUAL: usize = 16 << 10;

/// The whole body. One over `limits.body_bytes_max` is refused at once, by its
/// `Content-Length` or when the limit is passed; one whose next part does not come
/// within `server.body_timeout_ms`, or which comes slower than 1 KiB a second for
/// longer than that, is given up.
pub async fn read(
    app: &Services,
    request: &HttpRequest,
    mut payload: Payload,
) -> Result<Bytes, Problem> {
    let max = app.config.limits.body_bytes_max;
    refuse_encoded(request)?;
    let announced = request.headers().get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > max as u64) {
        return Err(too_large(max));
    }
    let mut body = BytesMut::with_capacity(announced.map_or(0, |bytes| {
        // A promise is no reason to set aside much.
        usize::try_from(bytes).unwrap_or(0).min(BODY_BYTES_USUAL)
    }));
    let started = Instant::now();
    while let Some(part) = next(app, &mut payload).await? {
        if body.len() + part.len() > max {
            return Err(too_large(max));
        }
        body.extend_from_slice(&part);
        let earned = Duration::from_secs(body.len() as u64 / BYTES_PER_SECOND_MIN);
        if started.elapsed() > patience(app) + earned {
            return Err(too_slow(format!(
                "The body came slower than {BYTES_PER_SECOND_MIN} bytes a second."
            )));
        }
    }
    Ok(body.freeze())
}

/// The next part of a body that is read as it arrives; `None` at its end.
pub async fn next(app: &Services, payload: &mut Payload) -> Result<Option<Bytes>, Problem> {
    let patience = patience(app);
    match tokio::time::timeout(patience, payload.next()).await {
        Ok(None) => Ok(None),
        Ok(Some(Ok(part))) => Ok(Some(part)),
        Ok(Some(Err(error))) => Err(Problem::bad_request(format!(
            "The body broke off: {error}."
        ))),
        Err(_) => Err(too_slow(format!(
            "No part of the body came within {} ms.",
            patience.as_millis()
        ))),
    }
}

fn patience(app: &Services) -> Duration {
    Duration::from_millis(app.config.server.body_timeout_ms)
}

fn too_slow(detail: String) -> Problem {
    Problem(Error::new(Code::RequestTimeout, detail))
}

fn too_large(max: usize) -> Problem {
    Problem(
        Error::new(
            Code::TooLarge,
            format!("A body has at most {max} bytes (limits.body_bytes_max)."),
        )
        .with("max_bytes", max),
    )
}

/// Small bodies gain nothing by compression, and a bomb is avoided.
fn refuse_encoded(request: &HttpRequest) -> Result<(), Problem> {
    match request.headers().get(header::CONTENT_ENCODING) {
        Some(encoding) if encoding != "identity" => Err(Problem(Error::new(
            Code::UnsupportedMediaType,
            "Send the body without Content-Encoding; only imports take compressed ones.",
        ))),
        _ => Ok(()),
    }
}

/// Fails unless the content type is one of `wanted` (or, for JSON, none is said).
pub fn require_type(request: &HttpRequest, wanted: &[&str]) -> Result<(), Problem> {
    let Some(given) = request.headers().get(header::CONTENT_TYPE) else {
        return Ok(());
    };
    let essence = given.to_str().unwrap_or_default();
    let essence = essence.split(';').next().unwrap_or_default().trim();
    if wanted.iter().any(|w| w.eq_ignore_ascii_case(essence)) {
        return Ok(());
    }
    Err(Problem(
        Error::new(
            Code::UnsupportedMediaType,
            format!("This route takes {}, not {essence:?}.", wanted.join(" or ")),
        )
        .with("supported", wanted),
    ))
}

/// A small JSON body as a value of a known shape; a member that is not known is
/// refused by the shape.
pub async fn json<T: serde::de::DeserializeOwned>(
    app: &Services,
    request: &HttpRequest,
    payload: Payload,
) -> Result<T, Problem> {
    require_type(request, &["application/json"])?;
    let body = read(app, request, payload).await?;
    parsed(&body)
}

/// The same, where no body at all means that nothing is asked for in particular.
pub async fn json_or_default<T: serde::de::DeserializeOwned + Default>(
    app: &Services,
    request: &HttpRequest,
    payload: Payload,
) -> Result<T, Problem> {
    let body = read(app, request, payload).await?;
    if body.is_empty() {
        return Ok(T::default());
    }
    require_type(request, &["application/json"])?;
    parsed(&body)
}

fn parsed<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    // The shape alone would take a list for an object, and a key of a map twice.
    parse_object(body).map_err(|error| invalid(&error, error.line, error.column))?;
    serde_json::from_slice(body).map_err(|error| invalid(&error, error.line(), error.column()))
}

fn invalid(error: &dyn std::fmt::Display, line: usize, column: usize) -> Problem {
    let detail = format!("The body is not understood: {error}.");
    let error = Error::new(Code::InvalidJson, detail);
    Problem(error.with("line", line).with("column", column))
}
