//! Cuts a stream into chunks that end between rows. CSV rows may hold line ends
//! within quotes; each chunk of CSV begins with the file's header again.

use std::io::{self, BufRead};

use crate::cli::args::Format;

/// How large chunks and rows get.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A chunk ends with the row that reaches this.
    pub chunk_bytes: usize,
    /// Or with this many rows.
    pub chunk_rows: usize,
    /// A longer row is refused here: memory stays flat whatever the file holds.
    pub row_bytes_max: usize,
}

/// Some whole rows.
#[derive(Debug, PartialEq, Eq)]
pub struct Chunk {
    /// The rows, of CSV with the header before them.
    pub bytes: Vec<u8>,
    /// The file's line (from 1) on which the first row begins; the repeated header does not count.
    pub first_line: u64,
}

/// A row that was not even sent.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    /// Where it begins.
    pub line: u64,
    /// Why.
    pub reason: String,
}

/// The stream being cut.
pub struct Splitter {
    reader: Box<dyn BufRead>,
    limits: Limits,
    quotes: Option<Quotes>,
    header: Option<Vec<u8>>,
    line: u64,
    refused: Vec<Refused>,
}

/// One row, or why there is none.
enum Row {
    Whole(Vec<u8>),
    TooLong,
    End,
}

impl Splitter {
    /// Cuts `reader`.
    pub fn new(reader: Box<dyn BufRead>, format: Format, limits: Limits) -> Self {
        Self {
            reader,
            limits,
            quotes: (format == Format::Csv).then_some(Quotes::FieldStart),
            header: None,
            line: 1,
            refused: Vec::new(),
        }
    }

    /// The next rows; `None` at the end.
    pub fn next_chunk(&mut self) -> io::Result<Option<Chunk>> {
        self.read_header()?;
        let mut bytes = self.header.clone().unwrap_or_default();
        let (mut rows, head, mut first_line) = (0, bytes.len(), self.line);
        while rows < self.limits.chunk_rows && bytes.len() - head < self.limits.chunk_bytes {
            // Lines are counted from the chunk's first row on, so a row left out ends it.
            let line = self.line;
            match self.row()? {
                Row::End => break,
                Row::Whole(row) => {
                    rows += usize::from(!row.trim_ascii().is_empty());
                    bytes.extend_from_slice(&row);
                }
                Row::TooLong => {
                    self.refuse(line);
                    if bytes.len() > head {
                        break;
                    }
                    first_line = self.line;
                }
            }
        }
        Ok((bytes.len() > head).then_some(Chunk { bytes, first_line }))
    }

    /// A chunk without rows, for a file without any.
    pub fn empty_chunk(&self) -> Chunk {
        let bytes = self.header.clone().unwrap_or_default();
        let first_line = self.line;
        Chunk { bytes, first_line }
    }

    /// The rows refused since the last call.
    pub fn take_refused(&mut self) -> Vec<Refused> {
        std::mem::take(&mut self.refused)
    }

    fn read_header(&mut self) -> io::Result<()> {
        if self.quotes.is_none() || self.header.is_some() {
            return Ok(());
        }
        loop {
            match self.row()? {
                // As the reader of CSV does: empty lines before the header are none.
                Row::Whole(row) if row.trim_ascii().is_empty() => {}
                Row::Whole(mut row) => {
                    if !row.ends_with(b"\n") {
                        row.push(b'\n');
                    }
                    self.header = Some(row);
                    return Ok(());
                }
                Row::TooLong => return Err(io::Error::other("the CSV header is too long")),
                Row::End => return Ok(()),
            }
        }
    }

    fn refuse(&mut self, line: u64) {
        let hint = match self.quotes {
            Some(_) => "; is a quote not closed?",
            None => "",
        };
        let reason = format!("longer than {} bytes{hint}", self.limits.row_bytes_max);
        self.refused.push(Refused { line, reason });
    }

    /// Reads up to and with the line end that ends a row. A row beyond the limit is
    /// read to its end too, but not kept.
    fn row(&mut self) -> io::Result<Row> {
        let (mut row, mut bytes) = (Vec::new(), 0_usize);
        loop {
            let buffer = match self.reader.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if buffer.is_empty() {
                break;
            }
            let (used, ended) = scan(&mut self.quotes, buffer);
            bytes += used;
            if bytes <= self.limits.row_bytes_max {
                row.extend_from_slice(&buffer[..used]);
            } else {
                row = Vec::new();
            }
            self.line += count_lines(&buffer[..used]);
            self.reader.consume(used);
            if ended {
                break;
            }
        }
        Ok(match bytes {
            0 => Row::End,
            _ if bytes > self.limits.row_bytes_max => Row::TooLong,
            _ => Row::Whole(row),
        })
    }
}

fn count_lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// How many bytes of `buffer` belong to the row, and whether it ends with them.
fn scan(quotes: &mut Option<Quotes>, buffer: &[u8]) -> (usize, bool) {
    let Some(state) = quotes else {
        let end = memchr::memchr(b'\n', buffer);
        return end.map_or((buffer.len(), false), |at| (at + 1, true));
    };
    for (at, byte) in buffer.iter().enumerate() {
        *state = state.after(*byte);
        if *byte == b'\n' && *state == Quotes::FieldStart {
            return (at + 1, true);
        }
    }
    (buffer.len(), false)
}

/// Where in a CSV row the reader stands: a quote opens only at a field's start,
/// and a doubled one within quotes does not close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quotes {
    FieldStart,
    Unquoted,
    Quoted,
    QuoteWithin,
}

impl Quotes {
    fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::FieldStart | Self::QuoteWithin, b'"') => Self::Quoted,
            (Self::Quoted, b'"') => Self::QuoteWithin,
            (Self::Quoted, _) => Self::Quoted,
            (_, b',' | b'\n' | b'\r') => Self::FieldStart,
            _ => Self::Unquoted,
        }
    }
}
