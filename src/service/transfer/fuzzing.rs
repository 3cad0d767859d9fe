//! Rows of an import, for `crate::fuzzing`: cut the same however the body arrives,
//! and never more in memory than a row.

use std::sync::{Arc, LazyLock};

use super::{
    Format,
    decode::Decoder,
    row,
    rows::{Row, Rows},
};
use crate::{
    domain::{
        Entity, RecordId,
        app_file::{AppFile, EXAMPLE_APP},
        record::parse_strict,
    },
    service::Result,
};

/// Short, so that the limit is met often.
const ROW_BYTES_MAX: usize = 200;
/// What one call of a decoder may give at most, however well it was packed.
const PIECE_BYTES_MAX: usize = 256 << 10;

type Cut = Vec<(u64, Result<Vec<u8>, String>)>;

static TICKET: LazyLock<Arc<Entity>> = LazyLock::new(|| {
    let app = AppFile::parse(EXAMPLE_APP).unwrap_or_else(|_| AppFile::empty());
    match app.entity("ticket") {
        Some(ticket) => ticket.clone(),
        None => panic!("the example has no tickets"),
    }
});

/// Reads `data` as an import: its first byte says in which format, and in pieces of
/// which size it arrives.
pub fn import_rows(data: &[u8]) {
    let Some((choice, body)) = data.split_first() else {
        return;
    };
    let format = match choice & 1 {
        0 => Format::Ndjson,
        _ => Format::Csv,
    };
    let whole = unpack(body, usize::MAX);
    let size = usize::from(choice >> 1) + 1;
    assert_eq!(
        whole,
        unpack(body, size),
        "unpacked otherwise in pieces of {size}"
    );
    let Some(plain) = whole else { return };
    let rows = cut(&plain, format, usize::MAX);
    assert_eq!(
        rows,
        cut(&plain, format, size),
        "cut otherwise in pieces of {size}"
    );
    for (_, json) in rows.iter().flatten() {
        if let Ok(json) = json {
            read(json, format);
        }
    }
}

/// The unpacked body; `None` where it is damaged.
fn unpack(body: &[u8], size: usize) -> Option<Vec<u8>> {
    let mut decoder = Decoder::of(None).ok()?;
    let mut plain = Vec::new();
    for mut piece in body.chunks(size) {
        while !piece.is_empty() {
            let before = plain.len();
            let used = decoder.push(piece, &mut plain).ok()?;
            assert!(plain.len() - before <= PIECE_BYTES_MAX + piece.len());
            if used == 0 && plain.len() == before {
                return None;
            }
            // A bomb is as good as any other body; it only takes longer.
            if plain.len() > PIECE_BYTES_MAX {
                return None;
            }
            piece = &piece[used..];
        }
    }
    decoder.finish(&mut plain).ok()?;
    Some(plain)
}

/// The rows; `None` where there can be none.
fn cut(plain: &[u8], format: Format, size: usize) -> Option<Cut> {
    let mut rows = match format {
        Format::Ndjson => Rows::ndjson(None, ROW_BYTES_MAX),
        Format::Csv => Rows::csv(TICKET.clone(), None, ROW_BYTES_MAX),
    };
    let mut found = Vec::new();
    let mut keep = |row: Option<Row>| found.extend(row.map(|row| (row.line, row.json)));
    for mut piece in plain.chunks(size) {
        while !piece.is_empty() {
            let (used, row) = rows.next(piece).ok()?;
            keep(row);
            piece = &piece[used..];
        }
    }
    keep(rows.last().ok()?);
    Some(found)
}

fn read(json: &[u8], format: Format) {
    let parsed = match format {
        Format::Ndjson => row::parse(json, Some("id"), Some("customer")),
        Format::Csv => {
            // A column may stand in one only once, so nothing but its form can be wrong.
            if let Err(problem) = parse_strict(json) {
                panic!("a row of CSV became {}: {problem}", json.escape_ascii());
            }
            row::parse_data(json, Some("id"), Some("customer"))
        }
    };
    match parsed {
        Ok(parsed) => {
            let id = parsed.id.as_deref().map(RecordId::parse);
            assert!(parsed.data.len() <= json.len(), "{id:?} grew");
        }
        Err(reason) => assert!(!reason.is_empty()),
    }
}
