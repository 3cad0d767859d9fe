//! Who asks, and whether the route is for them: a middleware finds the caller of
//! each request and holds it against the table of permissions.

use std::future::{Ready, ready};

use actix_web::{
    Error, FromRequest, HttpMessage, HttpRequest, ResponseError,
    body::{EitherBody, MessageBody},
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::{Method, Uri, header, uri::Authority},
    middleware::Next,
};

use super::{
    Services, client, observe, permissions,
    problem::{self, Problem},
};
use crate::service::{self, Caller, Code, unauthenticated};

/// The cookie of a session.
pub const COOKIE: &str = "tenantry_session";

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
pub async fn authenticate<B: MessageBody + 'static>(
    app: Services,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let admitted = match caller(&app, &request).await {
        Ok(caller) => {
            request.extensions_mut().insert(ReqCaller(caller.clone()));
            admit(&request, &caller)
        }
        Err(error) => Err(error),
    };
    match admitted {
        Ok(()) => Ok(next.call(request).await?.map_into_left_body()),
        Err(error) => {
            let refused = Problem(error).error_response();
            Ok(request.into_response(refused).map_into_right_body())
        }
    }
}

/// The caller: by the socket, by a bearer token, by a session's cookie, in this
/// order. A token that is not known is refused, never taken for nobody.
async fn caller(app: &Services, request: &ServiceRequest) -> service::Result<Caller> {
    if request.conn_data::<LocalSocket>().is_some() {
        return Ok(Caller::Local);
    }
    if let Some(value) = request.headers().get(header::AUTHORIZATION) {
        let token = bearer(value.to_str().unwrap_or_default()).ok_or_else(unauthenticated)?;
        return app.auth.caller_of_token(token).await;
    }
    let Some(cookie) = request.cookie(COOKIE) else {
        return Ok(Caller::Anonymous);
    };
    match app.auth.caller_of_token(cookie.value()).await {
        Ok(caller) => {
            if !request.method().is_safe() && !from_own_page(request.request()) {
                return Err(service::Error::new(
                    Code::ForeignOrigin,
                    "A change by a session's cookie has to come from a page of this server; programs send the token as `Authorization: Bearer`.",
                ));
            }
            Ok(caller)
        }
        // An old cookie is no obstacle to what everybody may do.
        Err(error) if error.code == Code::Unauthenticated => Ok(Caller::Anonymous),
        Err(error) => Err(error),
    }
}

/// What a request that was let in showed: a bearer token or a session's cookie.
pub fn token(request: &HttpRequest) -> Option<String> {
    match request.headers().get(header::AUTHORIZATION) {
        Some(value) => bearer(value.to_str().ok()?).map(str::to_owned),
        None => Some(request.cookie(COOKIE)?.value().to_owned()),
    }
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Holds the request against the table. Whatever is no route goes on to the page
/// and the answer that nothing is there. A handler that the table does not know
/// is never called.
fn admit(request: &ServiceRequest, caller: &Caller) -> service::Result<()> {
    let path = request.match_info().as_str();
    let Some(pattern) = observe::route(request) else {
        return Ok(());
    };
    let Some(need) = permissions::need(request.method(), &pattern) else {
        return Err(unlisted(request.method(), &pattern));
    };
    let tenant = tenant_in(&pattern, path);
    let loopback = client::is_local(request.request());
    permissions::check(need, caller, tenant, loopback)
}

fn unlisted(method: &Method, pattern: &str) -> service::Error {
    match permissions::methods(pattern) {
        none if none.is_empty() => service::Error::internal(format!(
            "the route {method} {pattern} is not in the table of permissions"
        )),
        methods => problem::unknown_method(method, pattern, &methods),
    }
}

/// The tenant in a path of `/v1/tenants/{tenant}...`.
pub fn tenant_in<'a>(pattern: &str, path: &'a str) -> Option<&'a str> {
    let rest = pattern
        .starts_with("/v1/tenants/{tenant}")
        .then(|| path.strip_prefix("/v1/tenants/"))??;
    rest.split('/').next()
}

/// Browsers say where a request comes from: `Origin` with every change, or else
/// `Sec-Fetch-Site`.
fn from_own_page(request: &HttpRequest) -> bool {
    let text = |name: &header::HeaderName| request.headers().get(name)?.to_str().ok();
    match text(&header::ORIGIN) {
        Some(origin) => {
            let origin = origin.parse::<Uri>().ok();
            let from = origin.as_ref().and_then(Uri::authority);
            // HTTP/2 has it in the request's own address instead.
            let to =
                text(&header::HOST).or_else(|| request.uri().authority().map(Authority::as_str));
            from.is_some_and(|from| to.is_some_and(|to| from.as_str().eq_ignore_ascii_case(to)))
        }
        None => text(&header::HeaderName::from_static("sec-fetch-site")) == Some("same-origin"),
    }
}

#[cfg(test)]
mod tests;
