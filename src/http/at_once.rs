//! How many requests of one connection are answered at once.
//!
//! Over HTTP/1 it is one; over HTTP/2 a client may open streams without end, and
//! `[server] connections_max` would limit nothing. A request counts until its answer
//! was handed over whole, so that one who does not read holds no more than this.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use actix_web::{
    Error, ResponseError,
    body::{BodySize, BoxBody, MessageBody},
    dev::{Extensions, ServiceRequest, ServiceResponse},
    http::Version,
    middleware::Next,
};
use bytes::Bytes;

use super::problem::Problem;
use crate::service::{self, Code};

/// What browsers and client libraries keep to by themselves.
const REQUESTS_MAX: usize = 128;

/// The requests of one connection.
#[derive(Default)]
struct AtOnce(Arc<AtomicUsize>);

/// Begins to count a connection's requests.
pub fn begin(data: &mut Extensions) {
    data.insert(AtOnce::default());
}

/// One request; it is over when this is dropped.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// The middleware.
pub async fn limit<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let counter = match request.conn_data::<AtOnce>() {
        Some(AtOnce(counter)) if request.version() == Version::HTTP_2 => counter.clone(),
        _ => return Ok(next.call(request).await?.map_into_boxed_body()),
    };
    let before = counter.fetch_add(1, Relaxed);
    let counted = Counted(counter);
    if before >= REQUESTS_MAX {
        let detail = format!(
            "This connection has {REQUESTS_MAX} requests under way; send further ones when their answers have come."
        );
        let refused = Problem(service::Error::new(Code::TooManyRequests, detail).retry_after(1));
        return Ok(request.into_response(refused.error_response()));
    }
    let response = next.call(request).await?;
    Ok(response.map_body(|_, body| {
        let body = body.boxed();
        BoxBody::new(Handed {
            body,
            _counted: counted,
        })
    }))
}

/// An answer's body that counts until it was handed over or given up.
struct Handed {
    body: BoxBody,
    _counted: Counted,
}

impl MessageBody for Handed {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(cx)
    }
}
