//! Sends a signed request, within its limits.

use std::{
    error::Error as _,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use reqwest::{Client, Response, StatusCode, Url, header, redirect};

use super::{address, breaker::Breakers, signature};
use crate::{jobs::context::Failure, service::Error};

/// A receiver's time to take the connection, and to answer.
const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(20);
/// Redirects that are followed.
const REDIRECTS_MAX: usize = 3;
/// Bytes of an answer that are read, for the log.
const ANSWER_BYTES: usize = 1_024;
/// A receiver may ask for a longer wait, but gets this one, in milliseconds.
const RETRY_AFTER_MS_MAX: i64 = 3_600_000;

/// What sends to other machines.
pub struct Network {
    client: Client,
    allow_private: bool,
    breakers: Breakers,
}

/// A request to be sent.
pub struct Message<'a> {
    /// Where to.
    pub url: &'a str,
    /// Its name, the same each time it is sent.
    pub id: &'a str,
    /// When it is sent, in seconds since the Unix epoch.
    pub timestamp_s: i64,
    /// What signs it.
    pub secrets: &'a [Vec<u8>],
    /// The body, JSON.
    pub body: Bytes,
}

impl Network {
    /// With the machine's own certificates; to the internet only, or to any address.
    pub fn new(allow_private: bool) -> Result<Self, Error> {
        // Where one is installed already, that one is used.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let policy = redirect::Policy::custom(move |attempt| {
            if attempt.previous().len() > REDIRECTS_MAX {
                return attempt.error("too many redirects");
            }
            // Others would turn the request into a GET.
            let keeps = [
                StatusCode::TEMPORARY_REDIRECT,
                StatusCode::PERMANENT_REDIRECT,
            ];
            if !keeps.contains(&attempt.status()) {
                return attempt.stop();
            }
            match address::check(attempt.url(), allow_private) {
                Ok(()) => attempt.follow(),
                Err(why) => attempt.error(why),
            }
        });
        let client = Client::builder()
            .user_agent(concat!("tenantry/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Arc::new(address::Resolver { allow_private }))
            .redirect(policy)
            .connect_timeout(CONNECT)
            .timeout(ANSWER)
            .pool_max_idle_per_host(2)
            .no_proxy()
            .build()
            .map_err(|error| Error::internal(format!("no client for webhooks: {error}")))?;
        Ok(Self {
            client,
            allow_private,
            breakers: Breakers::default(),
        })
    }

    /// Sends a message. What was answered, for the log.
    pub async fn send(&self, message: &Message<'_>) -> Result<String, Failure> {
        let url = Url::parse(message.url)
            .map_err(|error| Failure::permanent(format!("{}: {error}", message.url)))?;
        address::check(&url, self.allow_private)
            .map_err(|why| Failure::permanent(format!("{url}: {why}")))?;
        let port = url.port_or_known_default().unwrap_or_default();
        let host = format!("{}:{port}", url.host_str().unwrap_or_default());
        if let Some(left) = self.breakers.open_for(&host, Instant::now()) {
            let seconds = left.as_secs().max(1);
            let error =
                format!("{host} did not answer lately; nothing is sent to it for {seconds} s");
            return Err(after(Failure::new(error), seconds));
        }
        let began = Instant::now();
        let sent = self.request(url, message).await;
        // An answer is an answer, also a bad one: the host lives.
        let answered = sent
            .as_ref()
            .is_ok_and(|response| response.status() != StatusCode::GATEWAY_TIMEOUT);
        self.breakers.told(&host, answered, Instant::now());
        let response = sent.map_err(|error| refused(&host, &error))?;
        let (status, ms) = (response.status(), began.elapsed().as_millis());
        let wait = retry_after(&response);
        let text = format!(
            "{host} answered {status} in {ms} ms{}",
            excerpt(response).await
        );
        if status.is_success() {
            return Ok(text);
        }
        if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
            let failure = Failure::new(text);
            return Err(match wait {
                Some(seconds) => after(failure, seconds),
                None => failure,
            });
        }
        Err(match status {
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => Failure::new(text),
            _ => Failure::permanent(text),
        })
    }

    async fn request(&self, url: Url, message: &Message<'_>) -> reqwest::Result<Response> {
        let signature = signature::header(
            message.secrets,
            message.id,
            message.timestamp_s,
            &message.body,
        );
        self.client
            .post(url)
            .header(header::CONTENT_TYPE, "application/json")
            .header("webhook-id", message.id)
            .header("webhook-timestamp", message.timestamp_s.to_string())
            .header("webhook-signature", signature)
            .body(message.body.clone())
            .send()
            .await
    }
}

fn after(mut failure: Failure, seconds: u64) -> Failure {
    let ms = i64::try_from(seconds)
        .unwrap_or(i64::MAX)
        .saturating_mul(1_000);
    failure.after_ms = Some(ms.min(RETRY_AFTER_MS_MAX));
    failure
}

/// Why there was no answer: the innermost cause says it best.
fn refused(host: &str, error: &reqwest::Error) -> Failure {
    let mut cause = error.source();
    let mut text = match error.is_timeout() {
        true => "no answer in time".to_owned(),
        false => error.to_string(),
    };
    while let Some(inner) = cause {
        text = inner.to_string();
        cause = inner.source();
    }
    let text = format!("{host}: {text}");
    match text.contains(address::REFUSED) || error.is_redirect() {
        true => Failure::permanent(text),
        false => Failure::new(text),
    }
}

/// `Retry-After` in seconds. Dates are left alone: receivers' clocks are their own.
fn retry_after(response: &Response) -> Option<u64> {
    let header = response.headers().get(header::RETRY_AFTER)?;
    header.to_str().ok()?.trim().parse().ok()
}

/// The beginning of an answer, as far as it is text.
async fn excerpt(mut response: Response) -> String {
    let mut body = Vec::new();
    while body.len() < ANSWER_BYTES
        && let Ok(Some(chunk)) = response.chunk().await
    {
        body.extend_from_slice(&chunk);
    }
    body.truncate(ANSWER_BYTES);
    let text = String::from_utf8_lossy(&body).trim().to_owned();
    if text.is_empty() {
        return String::new();
    }
    format!(": {text}")
}
