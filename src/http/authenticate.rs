//! Who asks: a middleware finds the caller of each request.

use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload};

use super::problem::Problem;
use crate::service::Caller;

/// The caller, as the middleware found it.
#[derive(Debug, Clone)]
pub struct ReqCaller(pub Caller);

impl FromRequest for ReqCaller {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let found = request.extensions().get::<ReqCaller>().cloned();
        ready(Ok(found.unwrap_or(ReqCaller(Caller::Anonymous))))
    }
}
