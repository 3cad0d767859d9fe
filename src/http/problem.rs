//! Problems as `application/problem+json` (RFC 9457), and the one table that
//! gives each code its status and title.

use actix_web::{HttpResponse, ResponseError, http::StatusCode};
use serde_json::json;

use crate::service::{Code, Error};

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
        Code::Unauthenticated => (401, "No known credentials"),
        Code::WrongCredentials => (401, "Wrong email address or password"),
        Code::InsufficientScope => (403, "The API key lacks a scope"),
        Code::OperatorOnly => (403, "Only operators may do this"),
        Code::ForeignOrigin => (403, "The change does not come from our own origin"),
        Code::NotFound => (404, "Nothing is there"),
        Code::MethodNotAllowed => (405, "The route knows no such method"),
        Code::AlreadyExists => (409, "Something of that name exists"),
        Code::UniqueViolation => (409, "Another record has these values"),
        Code::PreconditionFailed => (412, "A precondition did not hold"),
        Code::TooLarge => (413, "More than a limit allows"),
        Code::UnsupportedMediaType => (415, "The content type is not taken here"),
        Code::InvalidRecord => (422, "The record does not fit its entity"),
        Code::QueryNeedsIndex => (422, "No index serves the list"),
        Code::IndexNotReady => (409, "The index is being built"),
        Code::CountNeedsCounter => (422, "No counter has the count"),
        Code::InvalidCursor => (400, "The cursor is not of this query"),
        Code::IdempotencyMismatch => (422, "The idempotency key came with another request"),
        Code::InvalidApp => (422, "The app file has mistakes"),
        Code::WouldDropData => (409, "Applying would drop records"),
        Code::AppBusy => (409, "An earlier change of the app is under way"),
        Code::LimitReached => (409, "A limit of the installation is reached"),
        Code::TooManyRequests => (429, "Too many attempts"),
        Code::RequestTimeout => (408, "The request came too slowly"),
        Code::Unavailable => (503, "No writes are taken now"),
        Code::Internal => (500, "Something failed inside the server"),
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(status_and_title(self.0.code).0)
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let (status, title) = status_and_title(self.0.code);
        let mut body = json!({
            "type": "about:blank",
            "title": title,
            "status": status,
            "code": self.0.code,
            "detail": self.0.detail,
        });
        if let Some(body) = body.as_object_mut() {
            body.extend(self.0.members.clone());
        }
        HttpResponse::build(self.status_code())
            .content_type("application/problem+json")
            .body(body.to_string())
    }
}
