//! Problems as `application/problem+json` (RFC 9457), and the one table that
//! gives each code its status and title.

use actix_web::{
    HttpRequest, HttpResponse, ResponseError,
    body::{EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{Method, StatusCode, header},
    middleware::Next,
    web,
};
use serde_json::json;

use super::observe;
use crate::service::{Code, Error};

/// The member with the methods of a route, which also go into `Allow`.
const ALLOWED: &str = "allowed";

/// A service's error on its way to the client.
#[derive(Debug)]
pub struct Problem(pub Error);

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The status and the title of a code.
pub fn status_and_title(code: Code) -> (u16, &'static str) {
    match code {
        Code::BadRequest => (400, "The request is not understood"),
        Code::InvalidJson => (400, "The body is not the JSON that is wanted"),
        Code::InvalidCursor => (400, "The cursor is not of this query"),
        Code::Unauthenticated => (401, "No known credentials"),
        Code::WrongCredentials => (401, "Wrong email address or password"),
        Code::InsufficientScope => (403, "The API key lacks a scope"),
        Code::OperatorOnly => (403, "Only operators may do this"),
        Code::ForeignOrigin => (403, "The change does not come from our own origin"),
        Code::NotFound => (404, "Nothing is there"),
        Code::MethodNotAllowed => (405, "The route knows no such method"),
        Code::RequestTimeout => (408, "The request came too slowly"),
        Code::AlreadyExists => (409, "Something of that name exists"),
        Code::RecordArchived => (409, "The record is in the archive"),
        Code::LegalHold => (409, "A legal hold keeps it"),
        Code::UniqueViolation => (409, "Another record has these values"),
        Code::IndexNotReady => (409, "The index is being built"),
        Code::WouldDropData => (409, "Applying would drop records"),
        Code::AppBusy => (409, "An earlier change of the app is under way"),
        Code::BackupBusy => (409, "A backup is under way"),
        Code::BackupUnusable => (422, "The backup cannot be used"),
        Code::LimitReached => (409, "A limit of the installation is reached"),
        Code::PreconditionFailed => (412, "A precondition did not hold"),
        Code::TooLarge => (413, "More than a limit allows"),
        Code::UnsupportedMediaType => (415, "The content type is not taken here"),
        Code::InvalidRecord => (422, "The record does not fit its entity"),
        Code::QueryNeedsIndex => (422, "No index serves the list"),
        Code::CountNeedsCounter => (422, "No counter has the count"),
        Code::IdempotencyMismatch => (422, "The idempotency key came with another request"),
        Code::InvalidApp => (422, "The app file has mistakes"),
        Code::TooManyRequests => (429, "Too many attempts"),
        Code::Internal => (500, "Something failed inside the server"),
        Code::Unavailable => (503, "Not possible at the moment"),
    }
}

impl Problem {
    /// A request that is not understood.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self(Error::new(Code::BadRequest, detail))
    }

    fn body(&self, status: u16, title: &str) -> String {
        let mut body = json!({
            "type": "about:blank",
            "title": title,
            "status": status,
            "code": self.0.code,
            "detail": self.0.detail,
        });
        if let Some(body) = body.as_object_mut() {
            body.extend(self.0.members.clone());
            if let Some(id) = observe::request_id() {
                body.insert("request_id".into(), id.into());
            }
        }
        body.to_string()
    }

    /// What only the log is told.
    fn log(&self) {
        let (code, cause) = (self.0.code, self.0.cause.as_deref().unwrap_or_default());
        match code {
            Code::Internal => tracing::error!(cause, "a request failed inside the server"),
            Code::Unavailable => tracing::warn!(cause, "a request could not be served"),
            _ => {}
        }
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(status_and_title(self.0.code).0)
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        self.log();
        let (status, title) = status_and_title(self.0.code);
        let mut response = HttpResponse::build(self.status_code());
        response.content_type("application/problem+json");
        if let Some(seconds) = self.0.retry_after_s {
            response.insert_header((header::RETRY_AFTER, seconds.to_string()));
        }
        if self.0.code == Code::Unauthenticated {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer realm=\"tenantry\""));
        }
        if let Some(methods) = self.0.members.get(ALLOWED).and_then(|m| m.as_str()) {
            response.insert_header((header::ALLOW, methods));
        }
        if matches!(self.0.code, Code::TooLarge | Code::RequestTimeout) {
            // The rest of the body was not read, so nothing can follow it.
            response.force_close();
        }
        response.body(self.body(status, title))
    }
}

/// The answer where no route is.
pub async fn no_route(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let detail = format!(
        "There is no route {} {}; /openapi.json lists them all.",
        request.method(),
        request.path()
    );
    Err(Problem(Error::new(Code::NotFound, detail)))
}

/// The answer of a route that does not know the method.
pub async fn wrong_method(
    request: HttpRequest,
    allowed: web::Data<Allowed>,
) -> Result<HttpResponse, Problem> {
    let pattern = request.match_pattern().unwrap_or_default();
    let methods = allowed.0(&pattern);
    Err(Problem(unknown_method(
        request.method(),
        &pattern,
        &methods,
    )))
}

/// The problem of a method that a route does not know; `methods` are those that
/// it does, as `Allow` lists them.
pub fn unknown_method(method: &Method, pattern: &str, methods: &str) -> Error {
    let detail = format!("{method} is not a method of {pattern}; it takes {methods}.");
    Error::new(Code::MethodNotAllowed, detail).with(ALLOWED, methods)
}

/// The methods of a route's pattern, as `Allow` lists them.
pub struct Allowed(pub fn(&str) -> String);

/// The middleware that makes problems of what other middleware refuses in words of
/// its own: an `Accept-Encoding` that leaves nothing, an origin that CORS does not
/// know.
pub async fn shape<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    let response = next.call(request).await?;
    let kind = response.headers().get(header::CONTENT_TYPE);
    let ours = kind.is_some_and(|kind| kind.as_bytes().ends_with(b"json"));
    let refused = response.status().is_client_error() || response.status().is_server_error();
    if ours || !refused {
        return Ok(response.map_into_left_body());
    }
    let detail = match response.status() {
        StatusCode::NOT_ACCEPTABLE => {
            "Accept-Encoding leaves nothing; take one of br, gzip, zstd, deflate or identity."
        }
        _ => {
            "The request is refused: its Origin, or what it asks to send, is not allowed by [cors] origins."
        }
    };
    let mut refused = Problem::bad_request(detail).error_response();
    for (name, value) in response.headers() {
        // What CORS and caches have to know stays; what told of the body does not.
        if !refused.headers().contains_key(name) && *name != header::CONTENT_LENGTH {
            refused.headers_mut().append(name.clone(), value.clone());
        }
    }
    Ok(response.into_response(refused).map_into_right_body())
}

/// Makes problems of what actix-web refuses by itself before a handler is called.
pub fn configure(config: &mut web::ServiceConfig) {
    config
        .app_data(web::PathConfig::default().error_handler(|error, _| {
            Problem::bad_request(format!("The path is not understood: {error}.")).into()
        }))
        .app_data(web::QueryConfig::default().error_handler(|error, _| {
            Problem::bad_request(format!("The query string is not understood: {error}.")).into()
        }));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn the_table_of_codes() {
        let codes = [
            Code::BadRequest,
            Code::InvalidJson,
            Code::InvalidCursor,
            Code::Unauthenticated,
            Code::WrongCredentials,
            Code::InsufficientScope,
            Code::OperatorOnly,
            Code::ForeignOrigin,
            Code::NotFound,
            Code::MethodNotAllowed,
            Code::RequestTimeout,
            Code::AlreadyExists,
            Code::UniqueViolation,
            Code::IndexNotReady,
            Code::WouldDropData,
            Code::AppBusy,
            Code::BackupBusy,
            Code::LimitReached,
            Code::PreconditionFailed,
            Code::TooLarge,
            Code::UnsupportedMediaType,
            Code::InvalidRecord,
            Code::QueryNeedsIndex,
            Code::CountNeedsCounter,
            Code::IdempotencyMismatch,
            Code::InvalidApp,
            Code::BackupUnusable,
            Code::TooManyRequests,
            Code::Internal,
            Code::Unavailable,
        ];
        let mut table = String::new();
        for code in codes {
            let (status, title) = status_and_title(code);
            let name = serde_json::to_value(code).unwrap();
            table += &format!("{status} {} {title}\n", name.as_str().unwrap());
        }
        insta::assert_snapshot!(table);
    }

    #[actix_web::test]
    async fn the_cause_stays_in_the_log() {
        let problem = Problem(Error::internal("secret path").retry_after(3));
        let response = problem.error_response();
        assert_eq!(response.headers().get("retry-after").unwrap(), "3");
        let body = actix_web::body::to_bytes(response.into_body())
            .await
            .unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(!text.contains("secret"), "{text}");
        assert!(text.contains(r#""code":"internal""#), "{text}");
    }
}
