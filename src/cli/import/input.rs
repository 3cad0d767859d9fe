//! Opens what `import` reads: a file or standard input, plain, gzip or zstd, and
//! finds out which.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;
use std::rc::Rc;

use anyhow::{Context as _, Result, bail};

use crate::cli::WrongUse;
use crate::cli::args::Format;

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const BOM: &[u8] = &[0xef, 0xbb, 0xbf];
const BUFFER_BYTES: usize = 256 << 10;

/// What `import` reads, unpacked.
pub struct Input {
    /// The plain bytes, without a byte order mark.
    pub reader: Box<dyn BufRead>,
    /// What they are.
    pub format: Format,
    /// The file's size as it lies on disk, where it is a file.
    pub bytes: Option<u64>,
    /// How much of that was read.
    pub position: Position,
}

/// A count that the reader moves on.
#[derive(Debug, Clone, Default)]
pub struct Position(Rc<Cell<u64>>);

impl Position {
    /// Bytes read so far.
    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

impl Input {
    /// Opens `path`, or standard input for `-`.
    pub fn open(path: &Path, format: Option<Format>) -> Result<Self> {
        let (name, reader, bytes): (_, Box<dyn Read>, _) = if path == Path::new("-") {
            (String::new(), Box::new(io::stdin()), None)
        } else {
            let file =
                File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
            let meta = file.metadata()?;
            if meta.is_dir() {
                bail!("{} is a folder", path.display());
            }
            let name = path
                .file_name()
                .map(|name| name.to_string_lossy().to_lowercase());
            let bytes = meta.is_file().then_some(meta.len());
            (name.unwrap_or_default(), Box::new(file), bytes)
        };
        Self::of(&name, reader, bytes, format)
    }

    fn of(
        name: &str,
        reader: Box<dyn Read>,
        bytes: Option<u64>,
        format: Option<Format>,
    ) -> Result<Self> {
        let position = Position::default();
        let counted = Counted {
            reader,
            position: position.clone(),
        };
        let mut reader = unpack(name, counted)?;
        let head = head_of(&mut reader, BOM.len())?;
        let sign = head
            .iter()
            .copied()
            .find(|byte| !byte.is_ascii_whitespace());
        let rest = if head == BOM { Vec::new() } else { head };
        let reader = Cursor::new(rest).chain(reader);
        let stem = name.trim_end_matches(".gz").trim_end_matches(".zst");
        let format = match format.or_else(|| by_name(stem)) {
            Some(format) => format,
            None if sign == Some(b'{') => Format::Ndjson,
            None => {
                let text =
                    "cannot tell the format by the name; say --format ndjson or --format csv";
                return Err(WrongUse(text.to_owned()).into());
            }
        };
        let reader = Box::new(BufReader::with_capacity(BUFFER_BYTES, reader));
        Ok(Self {
            reader,
            format,
            bytes,
            position,
        })
    }
}

fn by_name(stem: &str) -> Option<Format> {
    match stem.rsplit_once('.')?.1 {
        "csv" => Some(Format::Csv),
        "ndjson" | "jsonl" | "json" => Some(Format::Ndjson),
        _ => None,
    }
}

/// The content decides; a name that promises what the content is not is a mistake
/// worth telling.
fn unpack(name: &str, mut reader: Counted) -> Result<Box<dyn Read>> {
    let head = head_of(&mut reader, ZSTD.len())?;
    let (gzip, zstd) = (head.starts_with(GZIP), head.starts_with(ZSTD));
    for (ending, kind, is) in [(".gz", "gzip", gzip), (".zst", "zstd", zstd)] {
        if name.ends_with(ending) && !is {
            bail!("the file's name ends in {ending}, but its content is not {kind}");
        }
    }
    let whole = BufReader::with_capacity(BUFFER_BYTES, Cursor::new(head).chain(reader));
    Ok(if gzip {
        // Several members one after the other, as `cat a.gz b.gz` makes them, are one file.
        Box::new(flate2::bufread::MultiGzDecoder::new(whole))
    } else if zstd {
        Box::new(zstd::stream::read::Decoder::with_buffer(whole)?)
    } else {
        Box::new(whole)
    })
}

/// Up to `count` bytes; fewer only at the end, also where a pipe gives them singly.
fn head_of(reader: &mut impl Read, count: usize) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    reader.take(count as u64).read_to_end(&mut head)?;
    Ok(head)
}

struct Counted {
    reader: Box<dyn Read>,
    position: Position,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(into)?;
        self.position.0.set(self.position.get() + count as u64);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::io::Write as _;

    use super::*;

    fn read(name: &str, bytes: Vec<u8>, format: Option<Format>) -> Result<(String, Format)> {
        let mut input = Input::of(name, Box::new(Cursor::new(bytes)), None, format)?;
        let mut text = String::new();
        input.reader.read_to_string(&mut text)?;
        Ok((text, input.format))
    }

    fn gzip(text: &str) -> Vec<u8> {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(text.as_bytes()).unwrap();
        packed.finish().unwrap()
    }

    #[test]
    fn packed_files_are_unpacked_by_content() {
        let two = [gzip("a,b\n"), gzip("1,2\n")].concat();
        let both = ("a,b\n1,2\n".to_owned(), Format::Csv);
        assert_eq!(read("x.csv.gz", two.clone(), None).unwrap(), both);
        assert_eq!(read("", two, Some(Format::Csv)).unwrap(), both);
        let packed = zstd::encode_all(&b"{}\n"[..], 1).unwrap();
        let line = ("{}\n".to_owned(), Format::Ndjson);
        assert_eq!(read("x.ndjson.zst", packed, None).unwrap(), line);
    }

    #[test]
    fn a_name_that_promises_something_else_is_told() {
        let error = read("x.csv.gz", b"a,b\n".to_vec(), None).unwrap_err();
        assert!(error.to_string().contains("not gzip"), "{error}");
    }

    #[test]
    fn a_packed_file_cut_short_is_an_error() {
        let mut packed = gzip(&"1,2\n".repeat(1_000));
        packed.truncate(packed.len() - 9);
        assert!(read("x.csv.gz", packed, None).is_err());
    }

    #[test]
    fn a_byte_order_mark_is_left_out_and_the_format_guessed_only_from_a_brace() {
        let marked = [BOM, b"a,b\n"].concat();
        assert_eq!(read("x.csv", marked, None).unwrap().0, "a,b\n");
        assert_eq!(read("", b" {}\n".to_vec(), None).unwrap().0, " {}\n");
        let error = read("", b"a,b\n".to_vec(), None).unwrap_err();
        assert!(error.is::<WrongUse>());
    }
}
