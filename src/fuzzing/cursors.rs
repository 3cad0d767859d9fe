//! Cursors: nothing is taken but what was signed here, as it was signed.

use crate::domain::cursor::{Cursor, CursorError, Secret};

const SECRET: Secret = [7; 32];

/// Reads `data` as a cursor's text; then signs it and changes it on its way.
pub fn cursors(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(cursor) = Cursor::from_text(text, &SECRET)
    {
        assert_eq!(cursor.to_text(&SECRET), text, "one cursor in two spellings");
    }
    let Some((fingerprint, after)) = data.split_first_chunk::<16>() else {
        return;
    };
    let cursor = Cursor {
        after: after.to_vec(),
        fingerprint: *fingerprint,
    };
    let text = cursor.to_text(&SECRET);
    match Cursor::from_text(&text, &SECRET) {
        Ok(read) => assert_eq!(read, cursor),
        // A key has 1 KiB, so no list makes one that is too long to be taken back.
        Err(error) => assert!(after.len() > 2048, "{error}"),
    }
    refuse_changed(&text, data);
}

/// Any other letter in any place is refused.
fn refuse_changed(text: &str, data: &[u8]) {
    let mut bytes = text.as_bytes().to_vec();
    let place = data.iter().map(|b| usize::from(*b)).sum::<usize>() % bytes.len();
    let letter = data[0];
    if bytes[place] == letter {
        return;
    }
    bytes[place] = letter;
    if let Ok(changed) = std::str::from_utf8(&bytes) {
        assert_eq!(
            Cursor::from_text(changed, &SECRET),
            Err(CursorError::Invalid),
            "{changed} was taken"
        );
    }
}
