//! Cuts unpacked bytes into rows: lines of NDJSON, or CSV with a header. A row
//! beyond the limit is an error of its own and is not kept.

use csv_core::ReadRecordResult;

use super::columns::Columns;
use crate::{
    domain::Entity,
    service::{Code, Error, Result},
};

const BOM: &[u8] = &[0xef, 0xbb, 0xbf];

/// A row: where it began, and its JSON or what is wrong with it.
pub(super) struct Row {
    pub line: u64,
    pub json: std::result::Result<Vec<u8>, String>,
}

/// What cuts.
pub(super) enum Rows {
    Ndjson(Lines),
    Csv(Box<Csv>),
}

impl Rows {
    pub(super) fn ndjson(first_line: Option<u64>, row_bytes_max: usize) -> Self {
        Self::Ndjson(Lines {
            line: first_line.unwrap_or(1),
            first: true,
            row: Vec::new(),
            too_long: false,
            row_bytes_max,
        })
    }

    pub(super) fn csv(
        entity: std::sync::Arc<Entity>,
        first_line: Option<u64>,
        row_bytes_max: usize,
    ) -> Self {
        Self::Csv(Box::new(Csv {
            reader: reader(),
            entity,
            columns: None,
            first_line,
            line: 1,
            started: None,
            mark: Some(0),
            output: vec![0; 16 << 10],
            written: 0,
            ends: vec![0; 64],
            fields: 0,
            too_long: false,
            row_bytes_max,
        }))
    }

    /// Cuts the next row from the front of `input`; how much of it was used, and
    /// the row where one ended.
    pub(super) fn next(&mut self, input: &[u8]) -> Result<(usize, Option<Row>)> {
        match self {
            Self::Ndjson(lines) => Ok(lines.next(input)),
            Self::Csv(csv) => csv.next(input),
        }
    }

    /// The row that no line end ended.
    pub(super) fn last(&mut self) -> Result<Option<Row>> {
        match self {
            Self::Ndjson(lines) if lines.row.is_empty() && !lines.too_long => Ok(None),
            Self::Ndjson(lines) => Ok(lines.take()),
            Self::Csv(csv) => csv.last(),
        }
    }
}

/// A reader that leaves byte order marks to us: it would skip one only where its first
/// piece of input holds it whole.
fn reader() -> csv_core::Reader {
    let mut reader = csv_core::Reader::new();
    // An empty line is no row.
    let _ = reader.read_record(b"\n", &mut [0], &mut [0]);
    reader
}

fn too_long(row_bytes_max: usize) -> String {
    format!("is longer than {row_bytes_max} bytes (import_line_bytes_max)")
}

/// Lines of NDJSON; empty ones are none.
pub(super) struct Lines {
    line: u64,
    first: bool,
    row: Vec<u8>,
    too_long: bool,
    row_bytes_max: usize,
}

impl Lines {
    fn next(&mut self, input: &[u8]) -> (usize, Option<Row>) {
        let end = memchr::memchr(b'\n', input);
        let piece = &input[..end.unwrap_or(input.len())];
        // A carriage return before the line end is not the row's.
        if self.too_long || self.row.len() + piece.len() > self.row_bytes_max + 1 {
            self.too_long = true;
            self.row = Vec::new();
        } else {
            self.row.extend_from_slice(piece);
        }
        match end {
            None => (input.len(), None),
            Some(end) => {
                let row = self.take();
                self.line += 1;
                (end + 1, row)
            }
        }
    }

    fn take(&mut self) -> Option<Row> {
        let line = self.line;
        let mut row = std::mem::take(&mut self.row);
        if std::mem::take(&mut self.first) && row.starts_with(BOM) {
            row.drain(..BOM.len());
        }
        let long = std::mem::take(&mut self.too_long);
        let text = row.trim_ascii();
        if long || text.len() > self.row_bytes_max {
            let json = Err(too_long(self.row_bytes_max));
            return Some(Row { line, json });
        }
        if text.is_empty() {
            return None;
        }
        let json = Ok(text.to_vec());
        Some(Row { line, json })
    }
}

/// Rows of CSV.
pub(super) struct Csv {
    reader: csv_core::Reader,
    entity: std::sync::Arc<Entity>,
    columns: Option<Columns>,
    first_line: Option<u64>,
    line: u64,
    /// Where the row under way began.
    started: Option<u64>,
    /// Bytes of a byte order mark met so far, while there may be one.
    mark: Option<usize>,
    output: Vec<u8>,
    written: usize,
    ends: Vec<usize>,
    fields: usize,
    too_long: bool,
    row_bytes_max: usize,
}

/// More columns than any entity has; a row with more is a broken one.
const COLUMNS_MAX: usize = 4_096;

impl Csv {
    fn next(&mut self, input: &[u8]) -> Result<(usize, Option<Row>)> {
        let mut used = self.skip_mark(input)?;
        // Line ends between rows are nobody's; skipped here, so that lines are counted right.
        while self.started.is_none() && matches!(input.get(used), Some(b'\r' | b'\n')) {
            self.line += u64::from(input[used] == b'\n');
            used += 1;
        }
        if used == input.len() {
            return Ok((used, None));
        }
        let (more, row) = self.feed(&input[used..])?;
        Ok((used + more, row))
    }

    /// Skips a byte order mark, which may come in pieces; what only began like one is
    /// the first name's.
    fn skip_mark(&mut self, input: &[u8]) -> Result<usize> {
        let Some(met) = self.mark.filter(|_| !input.is_empty()) else {
            return Ok(0);
        };
        let like = BOM[met..].iter().zip(input);
        let used = like.take_while(|(mark, byte)| mark == byte).count();
        let met = met + used;
        let open = met < BOM.len() && used == input.len();
        self.mark = open.then_some(met);
        if !open && met < BOM.len() && met > 0 {
            self.feed(&BOM[..met])?;
        }
        Ok(used)
    }

    fn last(&mut self) -> Result<Option<Row>> {
        if let Some(met) = self.mark.take().filter(|met| *met > 0) {
            self.feed(&BOM[..met])?;
        }
        if self.started.is_none() {
            return self.without_header();
        }
        // An empty input tells the reader that nothing follows.
        let (_, row) = self.feed(&[])?;
        Ok(row)
    }

    fn without_header(&self) -> Result<Option<Row>> {
        match self.columns {
            Some(_) => Ok(None),
            None => Err(Error::new(
                Code::BadRequest,
                "The CSV has no header: its first line must name the fields.",
            )),
        }
    }

    fn feed(&mut self, input: &[u8]) -> Result<(usize, Option<Row>)> {
        let started = *self.started.get_or_insert(self.line);
        let mut used = 0;
        loop {
            let (result, read, wrote, ended) = self.reader.read_record(
                &input[used..],
                &mut self.output[self.written..],
                &mut self.ends[self.fields..],
            );
            let lines = input[used..used + read].iter().filter(|b| **b == b'\n');
            self.line += lines.count() as u64;
            used += read;
            self.written += wrote;
            self.fields += ended;
            match result {
                ReadRecordResult::InputEmpty => return Ok((used, None)),
                ReadRecordResult::OutputFull if self.output.len() < self.row_bytes_max => {
                    let size = (self.output.len() * 2).min(self.row_bytes_max);
                    self.output.resize(size, 0);
                }
                ReadRecordResult::OutputFull => {
                    self.too_long = true;
                    self.written = 0;
                }
                ReadRecordResult::OutputEndsFull if self.ends.len() < COLUMNS_MAX => {
                    self.ends.resize(self.ends.len() * 2, 0);
                }
                ReadRecordResult::OutputEndsFull => {
                    self.too_long = true;
                    self.fields = 0;
                }
                ReadRecordResult::Record => {
                    let line_ended = used > 0 && input[used - 1] == b'\n';
                    return Ok((used, self.record(started, line_ended)?));
                }
                ReadRecordResult::End => {
                    self.started = None;
                    return Ok((used, self.without_header()?));
                }
            }
        }
    }

    fn record(&mut self, line: u64, line_ended: bool) -> Result<Option<Row>> {
        let (written, fields) = (self.written, self.fields);
        (self.started, self.written, self.fields) = (None, 0, 0);
        let long = std::mem::take(&mut self.too_long) || written > self.row_bytes_max;
        let fields = Fields {
            bytes: &self.output[..written],
            ends: &self.ends[..fields],
        };
        let Some(columns) = &self.columns else {
            if long {
                return Err(Error::new(
                    Code::BadRequest,
                    "The CSV's header is too long.",
                ));
            }
            self.columns = Some(Columns::of(&self.entity, &fields)?);
            // Of a CR LF after the header, the LF is still to come.
            if let Some(first) = self.first_line {
                self.line = first.saturating_sub(u64::from(!line_ended));
            }
            return Ok(None);
        };
        let json = match long {
            true => Err(too_long(self.row_bytes_max)),
            false => columns.json(&fields),
        };
        Ok(Some(Row { line, json }))
    }
}

/// One row's fields.
pub(super) struct Fields<'a> {
    bytes: &'a [u8],
    ends: &'a [usize],
}

impl Fields<'_> {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(self.ends)
            .map(|(start, end)| self.bytes.get(start..*end).unwrap_or_default())
    }
}
