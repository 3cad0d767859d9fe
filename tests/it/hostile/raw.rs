//! A client that sends bytes as they are: libraries would refuse, escape or mend them.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::Value as Json;

use crate::server::Server;

/// No answer takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection that is kept for as long as the server keeps it.
pub struct Wire {
    address: String,
    stream: Option<TcpStream>,
}

/// An answer, or the connection closed without one.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// 0 where the connection was closed without an answer.
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Wire {
    pub fn to(server: &Server) -> Self {
        Self {
            address: server.url.trim_start_matches("http://").to_owned(),
            stream: None,
        }
    }

    /// A request with a bearer token, where there is one, and a body; the target is
    /// sent as it is.
    pub fn send(
        &mut self,
        token: &str,
        method: &str,
        target: &[u8],
        kind: Option<&str>,
        body: &[u8],
    ) -> Answer {
        let mut bytes = [method.as_bytes(), b" ", target, b" HTTP/1.1\r\n"].concat();
        let mut head = "host: x\r\n".to_owned();
        if !token.is_empty() {
            head += &format!("authorization: Bearer {token}\r\n");
        }
        if let Some(kind) = kind {
            head += &format!("content-type: {kind}\r\n");
        }
        head += &format!("content-length: {}\r\n\r\n", body.len());
        bytes.extend_from_slice(head.as_bytes());
        bytes.extend_from_slice(body);
        self.exchange(&bytes, method == "HEAD")
    }

    /// Sends bytes and reads one answer.
    pub fn exchange(&mut self, bytes: &[u8], headless: bool) -> Answer {
        let kept = self.stream.is_some();
        let answer = self.try_exchange(bytes, headless);
        // A connection that was kept may have been closed by the server meanwhile.
        match answer.status {
            0 if kept => self.try_exchange(bytes, headless),
            _ => answer,
        }
    }

    fn try_exchange(&mut self, bytes: &[u8], headless: bool) -> Answer {
        let mut stream = self.stream.take().unwrap_or_else(|| {
            let stream = TcpStream::connect(&self.address).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.set_nodelay(true).unwrap();
            stream
        });
        // What is refused early may be refused before all of it was sent.
        let _ = stream.write_all(bytes);
        let Some((head, mut rest)) = read_head(&mut stream) else {
            return Answer::default();
        };
        let field = |name: &str| {
            let line = head.lines().find(|line| line.starts_with(name));
            line.map(|line| line[name.len()..].trim().to_owned())
        };
        let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = field("content-length:").map(|n| n.parse::<usize>().unwrap());
        let chunked = field("transfer-encoding:").is_some_and(|how| how == "chunked");
        let mut keep = field("connection:").is_none_or(|how| how != "close");
        let body = match length {
            _ if headless || matches!(status, 204 | 304) => Vec::new(),
            Some(length) => {
                let known = rest.len();
                rest.resize(length.max(known), 0);
                stream.read_exact(&mut rest[known..]).unwrap();
                rest
            }
            None if chunked => read_chunks(&mut stream, rest),
            None => {
                keep = false;
                let _ = stream.read_to_end(&mut rest);
                rest
            }
        };
        self.stream = keep.then_some(stream);
        Answer { status, head, body }
    }
}

/// The head, with its field names in lower case, and what was read behind it.
fn read_head(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut piece = [0; 8192];
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            return Some((String::from_utf8(bytes).unwrap(), rest));
        }
        match stream.read(&mut piece) {
            Ok(0) => return None,
            Ok(read) => bytes.extend_from_slice(&piece[..read]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
            Err(error) => panic!("no answer: {error}; so far {}", bytes.escape_ascii()),
        }
    }
}

fn read_chunks(stream: &mut TcpStream, mut bytes: Vec<u8>) -> Vec<u8> {
    let (mut body, mut at) = (Vec::new(), 0);
    let mut more = |bytes: &mut Vec<u8>| {
        let mut piece = [0; 8192];
        let read = stream.read(&mut piece).unwrap();
        assert!(read > 0, "an answer that broke off");
        bytes.extend_from_slice(&piece[..read]);
    };
    loop {
        let Some(line) = bytes[at..].windows(2).position(|two| two == b"\r\n") else {
            more(&mut bytes);
            continue;
        };
        let size = std::str::from_utf8(&bytes[at..at + line]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        let begin = at + line + 2;
        while bytes.len() < begin + size + 2 {
            more(&mut bytes);
        }
        body.extend_from_slice(&bytes[begin..begin + size]);
        at = begin + size + 2;
        if size == 0 {
            return body;
        }
    }
}

impl Answer {
    pub fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap_or(Json::Null)
    }

    /// Fails unless this is a success or a refusal in words.
    pub fn judge(&self, what: &str) {
        let body = self.body.escape_ascii();
        assert!(
            (200..500).contains(&self.status),
            "{what}: {} {body}",
            self.status
        );
        if self.status < 400 {
            return;
        }
        assert!(
            self.head.contains("content-type: application/problem+json"),
            "{what}: {} {body}",
            self.head
        );
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{what}: {body}");
        for member in ["code", "detail", "title", "request_id"] {
            let told = problem[member]
                .as_str()
                .is_some_and(|text| !text.is_empty());
            assert!(told, "{what}: no {member} in {body}");
        }
    }

    /// Fails unless this is a refusal in words.
    pub fn refused(&self, what: &str) {
        self.judge(what);
        assert!(self.status >= 400, "{what}: {}", self.body.escape_ascii());
    }

    /// Fails unless this is a success.
    pub fn taken(&self, what: &str) {
        self.judge(what);
        assert!(self.status < 300, "{what}: {}", self.body.escape_ascii());
    }

    /// The bytes of the member `data`, which stands last in a record.
    pub fn data(&self) -> &[u8] {
        let start = self.body.windows(7).position(|seven| seven == b"\"data\":");
        let start = start.unwrap_or_else(|| panic!("no record: {}", self.body.escape_ascii()));
        &self.body[start + 7..self.body.len() - 1]
    }
}
