//! Bodies that nobody read to their end.
//!
//! A handler that refuses early leaves the rest of the body unread. actix-web
//! closes such a connection a second later, except where the body is chunked and
//! was dropped: then it waits for the rest without a limit, so a client that
//! stops sending would hold the connection for ever. Kept a little longer than the
//! answer takes, the body counts as unread and the connection is closed.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use actix_web::{
    Error, HttpMessage,
    body::MessageBody,
    dev::{Payload, ServiceRequest, ServiceResponse},
    error::PayloadError,
    middleware::Next,
};
use bytes::Bytes;
use futures_util::Stream;

/// Longer than an answer takes to be written after its body was dropped.
const KEPT: Duration = Duration::from_secs(2);

/// The middleware.
pub async fn keep(
    mut request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    match request.take_payload() {
        Payload::None => {}
        payload => {
            let body = Body {
                unread: Some(payload),
            };
            let payload = Box::pin(body);
            request.set_payload(Payload::Stream { payload });
        }
    }
    next.call(request).await
}

struct Body {
    /// Gone when the end was read.
    unread: Option<Payload>,
}

impl Stream for Body {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(payload) = &mut self.unread else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(payload).poll_next(cx);
        if let Poll::Ready(None) = polled {
            self.unread = None;
        }
        polled
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if let Some(payload) = self.unread.take() {
            actix_web::rt::spawn(async move {
                tokio::time::sleep(KEPT).await;
                drop(payload);
            });
        }
    }
}
