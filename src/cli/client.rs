//! A small HTTP/1.1 client over a Unix socket.
//!
//! Every request has a connection of its own: on one machine that costs a tenth
//! of a millisecond, and no kept connection can go stale while `import` waits for
//! its standard input. Calls block; the runtime below them is nobody else's concern.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use bytes::{Buf as _, Bytes};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::base::socket;

/// More than any answer that is not streamed: pages end at 1 MiB by default.
const ANSWER_BYTES_MAX: usize = 256 << 20;
/// Items that one list may have in memory and on the screen.
const LIST_ITEMS_MAX: usize = 1_000_000;

/// What the server answered instead of doing what was asked.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.text())]
pub struct ApiError {
    /// The status.
    pub status: u16,
    /// The problem's members (RFC 9457); empty where the answer was no problem document.
    pub problem: Value,
}

impl ApiError {
    /// The problem's stable code.
    pub fn code(&self) -> &str {
        self.problem["code"].as_str().unwrap_or("")
    }

    fn text(&self) -> String {
        let member = |name: &str| self.problem[name].as_str().filter(|text| !text.is_empty());
        let mut text = member("detail").or(member("title")).map_or_else(
            || format!("the server answered {}", self.status),
            str::to_owned,
        );
        if let Some(suggestion) = member("suggestion").filter(|more| !text.contains(more)) {
            let _ = write!(text, "\n{suggestion}");
        }
        if let Some(id) = member("request_id").filter(|_| self.status >= 500) {
            let _ = write!(text, " (request {id})");
        }
        text
    }
}

/// A path and query whose parts are escaped as they are added.
#[derive(Debug, Clone)]
pub struct Target(String);

impl Target {
    /// Starts at a fixed path such as `/v1/tenants`.
    pub fn new(path: &str) -> Self {
        Self(path.to_owned())
    }

    /// Appends one segment, escaped.
    #[must_use]
    pub fn segment(mut self, text: &str) -> Self {
        self.0.push('/');
        escape(&mut self.0, text);
        self
    }

    /// Adds a query parameter, escaped.
    #[must_use]
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.0.push(if self.0.contains('?') { '&' } else { '?' });
        escape(&mut self.0, name);
        self.0.push('=');
        escape(&mut self.0, value);
        self
    }

    /// Adds a query parameter where there is a value.
    #[must_use]
    pub fn query_opt(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }
}

fn escape(into: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            into.push(char::from(byte));
        } else {
            let _ = write!(into, "%{byte:02X}");
        }
    }
}

/// The client of one socket.
#[derive(Debug)]
pub struct Client {
    runtime: Runtime,
    socket: PathBuf,
}

impl Client {
    /// A client of the server that listens at `socket`.
    pub fn new(socket: &Path) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot start the client")?;
        let socket = socket.to_owned();
        Ok(Self { runtime, socket })
    }

    /// GET, answered with JSON.
    pub fn get(&self, target: &Target) -> Result<Value> {
        self.send(Method::GET, target, "", Bytes::new())
    }

    /// Sends JSON with a method, answered with JSON (null for an empty answer).
    pub fn json(&self, method: Method, target: &Target, body: &Value) -> Result<Value> {
        let body = Bytes::from(serde_json::to_vec(body)?);
        self.send(method, target, "application/json", body)
    }

    /// Sends a body of some content type, answered with JSON.
    pub fn send(&self, method: Method, target: &Target, kind: &str, body: Bytes) -> Result<Value> {
        self.runtime.block_on(async {
            let response = self.request(method, target, kind, body).await?;
            let bytes = collect(response.into_body()).await?;
            if bytes.is_empty() {
                return Ok(Value::Null);
            }
            serde_json::from_slice(&bytes).context("the server's answer is not JSON")
        })
    }

    /// Everything in a list: follows `next_cursor` to the last page.
    pub fn list(&self, target: &Target) -> Result<Vec<Value>> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut page = self.get(&target.clone().query_opt("cursor", cursor.as_deref()))?;
            match page["items"].take() {
                Value::Array(more) => items.extend(more),
                _ => bail!("the server's answer is no list"),
            }
            if items.len() > LIST_ITEMS_MAX {
                bail!(
                    "the list is longer than {LIST_ITEMS_MAX} items; read it page by page over HTTP"
                );
            }
            match page["next_cursor"].take() {
                Value::String(next) if cursor.as_deref() != Some(&next) => cursor = Some(next),
                Value::String(_) => bail!("the server's list does not advance"),
                _ => return Ok(items),
            }
        }
    }

    /// GET, whose answer is read as it arrives.
    pub fn stream(&self, target: &Target) -> Result<Stream<'_>> {
        let empty = Bytes::new();
        let response = self
            .runtime
            .block_on(self.request(Method::GET, target, "", empty))?;
        Ok(Stream {
            client: self,
            body: response.into_body(),
            rest: Bytes::new(),
        })
    }

    async fn request(
        &self,
        method: Method,
        target: &Target,
        kind: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>> {
        let stream = socket::connect_at(&self.socket)
            .context("the server does not answer any more on its socket")?;
        stream.set_nonblocking(true)?;
        let io = TokioIo::new(tokio::net::UnixStream::from_std(stream)?);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
        // Its errors also reach whoever waits for the answer.
        tokio::spawn(async { drop(connection.await) });
        let mut request = Request::builder()
            .method(method)
            .uri(target.0.as_str())
            .header(header::HOST, "localhost")
            .header(
                header::ACCEPT,
                "application/json, application/problem+json, */*",
            );
        if !kind.is_empty() {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        let request = request.body(Full::new(body))?;
        let response = sender
            .send_request(request)
            .await
            .context("the server broke off before it answered")?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(refused(response).await.into())
    }
}

async fn collect(body: Incoming) -> Result<Bytes> {
    let whole = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    let whole = whole.map_err(|error| anyhow::anyhow!("the server's answer broke off: {error}"))?;
    Ok(whole.to_bytes())
}

async fn refused(response: Response<Incoming>) -> ApiError {
    let status: StatusCode = response.status();
    let problem = match collect(response.into_body()).await {
        Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        Err(_) => Value::Null,
    };
    ApiError {
        status: status.as_u16(),
        problem,
    }
}

/// An answer that is read as it arrives; one that breaks off is an error, never an end.
#[derive(Debug)]
pub struct Stream<'a> {
    client: &'a Client,
    body: Incoming,
    rest: Bytes,
}

impl io::Read for Stream<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.client.runtime.block_on(self.body.frame()) {
                None => return Ok(0),
                Some(Ok(frame)) => self.rest = frame.into_data().unwrap_or_default(),
                Some(Err(error)) => {
                    let text = format!("the server's answer broke off: {error}");
                    return Err(io::Error::other(text));
                }
            }
        }
        let count = self.rest.len().min(into.len());
        into[..count].copy_from_slice(&self.rest[..count]);
        self.rest.advance(count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::io::Read as _;

    use serde_json::json;

    use super::*;
    use crate::cli::testing::{FakeServer, answer};

    #[test]
    fn targets_are_escaped() {
        let target = Target::new("/v1/operators")
            .segment("a/b@c?d")
            .query("x y", "1&2")
            .query_opt("none", None);
        assert_eq!(target.0, "/v1/operators/a%2Fb%40c%3Fd?x%20y=1%262");
    }

    #[test]
    fn lists_follow_their_pages_to_the_end() {
        let server = FakeServer::start(|request| match request.query.as_str() {
            "" => answer(200, &json!({"items": [1, 2], "next_cursor": "a b"})),
            "cursor=a%20b" => answer(200, &json!({"items": [3], "next_cursor": null})),
            other => answer(400, &json!({"detail": other})),
        });
        let items = server.client().list(&Target::new("/v1/tenants")).unwrap();
        assert_eq!(items, [1, 2, 3]);
    }

    #[test]
    fn a_problem_becomes_its_detail() {
        let server = FakeServer::start(|_| {
            answer(
                422,
                &json!({"code": "invalid_app", "title": "T", "detail": "No such thing."}),
            )
        });
        let error = server.client().get(&Target::new("/x")).unwrap_err();
        assert_eq!(error.to_string(), "No such thing.");
        let api = error.downcast_ref::<ApiError>().unwrap();
        assert_eq!((api.status, api.code()), (422, "invalid_app"));
    }

    #[test]
    fn an_answer_that_is_no_problem_document_says_its_status() {
        let server =
            FakeServer::start(|_| b"HTTP/1.1 502 Bad\r\ncontent-length: 3\r\n\r\nbad".to_vec());
        let error = server.client().get(&Target::new("/x")).unwrap_err();
        assert_eq!(error.to_string(), "the server answered 502");
    }

    #[test]
    fn a_stream_that_breaks_off_is_an_error() {
        let whole = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        for (cut, good) in [(0, true), (5, false), (9, false)] {
            let server = FakeServer::start(move |_| whole.as_bytes()[..whole.len() - cut].to_vec());
            let client = server.client();
            let mut text = String::new();
            let read = client
                .stream(&Target::new("/x"))
                .unwrap()
                .read_to_string(&mut text);
            assert_eq!(read.is_ok(), good, "{read:?}");
        }
    }
}
