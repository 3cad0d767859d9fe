//! Who asks: a middleware finds the caller of each request.

use std::future::{Ready, ready};

use actix_web::{
    Error, FromRequest, HttpMessage, HttpRequest,
    body::MessageBody,
    dev::{Payload, ServiceRequest, ServiceResponse},
    middleware::Next,
};

use super::problem::Problem;
use crate::service::Caller;

/// Marks a connection of the data folder's socket.
pub struct LocalSocket;

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

/// The middleware.
pub async fn authenticate(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let local = request.conn_data::<LocalSocket>().is_some();
    let caller = if local {
        Caller::Local
    } else {
        Caller::Anonymous
    };
    request.extensions_mut().insert(ReqCaller(caller));
    next.call(request).await
}
