//! One connection of the client: sends ready-made bytes and reads the answer,
//! with as little work as can be, since it shares the machine with the server.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail};
use httparse::{EMPTY_HEADER, Response, Status};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

const HEADERS_MAX: usize = 64;
const READ_BYTES: usize = 64 << 10;

/// A connection that is kept open.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// The body of the last answer.
    pub body: Vec<u8>,
}

/// How long the body is.
enum Length {
    Bytes(usize),
    Chunks,
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(READ_BYTES),
            body: Vec::new(),
        })
    }

    /// Sends a whole request and reads its answer; gives the status.
    pub async fn call(&mut self, request: &[u8]) -> Result<u16> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let (status, head_bytes, length) = loop {
            self.more().await?;
            if let Some(head) = head(&self.buffer)? {
                break head;
            }
        };
        self.body.clear();
        match length {
            Length::Bytes(bytes) => {
                while self.buffer.len() < head_bytes + bytes {
                    self.more().await?;
                }
                self.body.extend_from_slice(&self.buffer[head_bytes..]);
            }
            Length::Chunks => self.chunks(head_bytes).await?,
        }
        Ok(status)
    }

    /// As [`Connection::call`]; an answer that is no success is an error.
    pub async fn succeed(&mut self, request: &[u8]) -> Result<()> {
        let status = self.call(request).await?;
        if (200..300).contains(&status) {
            return Ok(());
        }
        let asked = String::from_utf8_lossy(request);
        let said = String::from_utf8_lossy(&self.body);
        bail!(
            "{status} for {}: {said}",
            asked.lines().next().unwrap_or("")
        )
    }

    async fn more(&mut self) -> Result<()> {
        self.buffer.reserve(READ_BYTES);
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => bail!("the server closed the connection"),
            _ => Ok(()),
        }
    }

    async fn chunks(&mut self, mut at: usize) -> Result<()> {
        loop {
            let rest = &self.buffer[at..];
            let parsed = httparse::parse_chunk_size(rest);
            let Status::Complete((head, size)) = parsed.ok().context("a bad chunk")? else {
                self.more().await?;
                continue;
            };
            let size = usize::try_from(size)?;
            // The chunk and its line end.
            if rest.len() < head + size + 2 {
                self.more().await?;
                continue;
            }
            self.body.extend_from_slice(&rest[head..head + size]);
            at += head + size + 2;
            if size == 0 {
                return Ok(());
            }
        }
    }
}

fn head(buffer: &[u8]) -> Result<Option<(u16, usize, Length)>> {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut response = Response::new(&mut headers);
    let Status::Complete(bytes) = response.parse(buffer)? else {
        return Ok(None);
    };
    let mut length = Length::Bytes(0);
    for header in response.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            length = Length::Bytes(std::str::from_utf8(header.value)?.parse()?);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            length = Length::Chunks;
        }
    }
    let status = response.code.context("an answer without a status")?;
    Ok(Some((status, bytes, length)))
}

/// Writes a request into `out`; a token is sent as a bearer's.
pub fn write_request(out: &mut Vec<u8>, method: &str, path: &str, token: &str, body: &[u8]) {
    out.clear();
    for part in [method, " ", path, " HTTP/1.1\r\nHost: bench\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    if !token.is_empty() {
        for part in ["Authorization: Bearer ", token, "\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
    }
    if method != "GET" {
        let length = format!(
            "Content-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        );
        out.extend_from_slice(length.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
}
