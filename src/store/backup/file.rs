//! The file of a backup.
//!
//! ```text
//! TENANTRY-BACKUP 1            the format
//! {"id": ...}                  what is known when it begins, for who may not open it
//! ...                          the frames, compressed by zstd, then perhaps encrypted by age
//! ```

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, BufWriter, Read, Seek as _, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use age::stream::{StreamReader, StreamWriter};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    BackupError, Identities, Recipients,
    frame::{self, FRAME_BYTES, HEAD_BYTES, Kind, Running, Trailer},
};
use crate::store::engine::{Applied, Tree, applied};

/// What the file of a backup ends in.
pub const EXTENSION: &str = ".backup";
/// What is appended to the name until the file is whole.
pub const PARTIAL: &str = ".partial";
const MAGIC: &str = "TENANTRY-BACKUP ";
const FORMAT: &str = "1";
/// The longest of the two first lines.
const LINE_BYTES_MAX: u64 = 4096;
const LEVEL: i32 = 3;

/// What is known of a backup when it begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Its id.
    pub id: String,
    /// Whether it was asked for or came by a schedule.
    pub kind: String,
    /// The engine of the store.
    pub engine: String,
    /// When it began, in milliseconds since the Unix epoch.
    pub started_ms: i64,
    /// Whether the frames are encrypted.
    pub encrypted: bool,
    /// The version that made it.
    pub version: String,
}

/// Where compressed bytes go.
enum Sink {
    Plain(Counted),
    Locked(StreamWriter<Counted>),
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.write(bytes),
            Self::Locked(age) => age.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.flush(),
            Self::Locked(age) => age.flush(),
        }
    }
}

/// A file that counts what went through.
struct Counted {
    file: BufWriter<File>,
    bytes: Arc<AtomicU64>,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.bytes.fetch_add(count as u64, Relaxed);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A backup that is being written.
pub struct BackupWriter {
    path: PathBuf,
    out: zstd::Encoder<'static, Sink>,
    sum: Running,
    body: Vec<u8>,
    logical_bytes: u64,
    bytes: Arc<AtomicU64>,
}

impl BackupWriter {
    /// Begins the file `path`, which was just made.
    pub fn begin(
        file: File,
        path: &Path,
        facts: &Facts,
        recipients: &Recipients,
    ) -> Result<Self, BackupError> {
        let bytes = Arc::new(AtomicU64::new(0));
        let mut file = Counted {
            file: BufWriter::with_capacity(256 << 10, file),
            bytes: bytes.clone(),
        };
        let json = serde_json::to_string(facts).map_err(|e| failed(path)(e.into()))?;
        let preamble = format!("{MAGIC}{FORMAT}\n{json}\n");
        file.write_all(preamble.as_bytes()).map_err(failed(path))?;
        let sink = match recipients.is_empty() {
            true => Sink::Plain(file),
            false => {
                let all = recipients.0.iter();
                let age = age::Encryptor::with_recipients(all.map(|one| &**one as _))
                    .map_err(|error| BackupError::Keys(error.to_string()))?;
                Sink::Locked(age.wrap_output(file).map_err(failed(path))?)
            }
        };
        let mut sum = Running::default();
        sum.preamble(preamble.as_bytes());
        Ok(Self {
            path: path.to_owned(),
            out: zstd::Encoder::new(sink, LEVEL).map_err(failed(path))?,
            sum,
            body: Vec::with_capacity(FRAME_BYTES),
            logical_bytes: 0,
            bytes,
        })
    }

    /// Adds a write; no value removes the key.
    pub fn put(&mut self, tree: Tree, key: &[u8], value: Option<&[u8]>) -> Result<(), BackupError> {
        applied::pack(&mut self.body, tree, key, value);
        self.logical_bytes += (key.len() + value.map_or(0, <[u8]>::len)) as u64;
        match self.body.len() < FRAME_BYTES {
            true => Ok(()),
            false => self.flush(),
        }
    }

    /// Bytes that are in the file so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// Bytes of the keys and values that were added.
    pub fn logical_bytes(&self) -> u64 {
        self.logical_bytes
    }

    fn flush(&mut self) -> Result<(), BackupError> {
        let body = std::mem::take(&mut self.body);
        self.frame(Kind::Writes, &body)?;
        self.body = body;
        self.body.clear();
        Ok(())
    }

    fn frame(&mut self, kind: Kind, body: &[u8]) -> Result<(), BackupError> {
        let head = self.sum.seal(kind, body);
        let wrote = self.out.write_all(&head);
        wrote
            .and_then(|()| self.out.write_all(body))
            .map_err(failed(&self.path))
    }

    /// Ends the file and syncs it; its length.
    pub fn finish(mut self, trailer: &Trailer) -> Result<u64, BackupError> {
        if !self.body.is_empty() {
            self.flush()?;
        }
        let json = serde_json::to_vec(trailer).map_err(|e| failed(&self.path)(e.into()))?;
        self.frame(Kind::End, &json)?;
        let path = self.path;
        let end = move |out: zstd::Encoder<'static, Sink>| {
            let mut file = match out.finish()? {
                Sink::Plain(file) => file,
                Sink::Locked(age) => age.finish()?,
            };
            file.flush()?;
            file.file.get_ref().sync_all()
        };
        end(self.out).map_err(failed(&path))?;
        Ok(self.bytes.load(Relaxed))
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> BackupError + use<> {
    BackupError::io("written", path)
}

/// A file whose read bytes are counted.
struct Watched {
    file: File,
    bytes: Arc<AtomicU64>,
}

impl Read for Watched {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(into)?;
        self.bytes.fetch_add(count as u64, Relaxed);
        Ok(count)
    }
}

/// Where compressed bytes come from.
enum Source {
    Plain(BufReader<Watched>),
    Locked(StreamReader<BufReader<Watched>>),
}

impl Read for Source {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.read(into),
            Self::Locked(age) => age.read(into),
        }
    }
}

/// A backup that is being read.
pub struct BackupReader {
    facts: Facts,
    path: PathBuf,
    input: zstd::Decoder<'static, BufReader<Source>>,
    sum: Running,
    bytes: Arc<AtomicU64>,
    length: u64,
    frames: u64,
}

/// What is next in a backup.
pub enum Next {
    /// These writes, in order.
    Writes(Vec<Applied>),
    /// The end.
    End(Trailer),
}

/// What the file says of itself without being opened further.
pub fn facts(path: &Path) -> Result<Facts, BackupError> {
    Ok(preamble(path)?.1)
}

/// The file behind its first lines, what they say, and the lines.
fn preamble(path: &Path) -> Result<(File, Facts, Vec<u8>), BackupError> {
    let failed = || BackupError::io("read", path);
    let foreign = || BackupError::Foreign(path.to_owned());
    let mut file = File::open(path).map_err(failed())?;
    if !file.metadata().map_err(failed())?.is_file() {
        return Err(foreign());
    }
    let mut lines = Vec::new();
    let mut reader = BufReader::new((&mut file).take(2 * LINE_BYTES_MAX));
    reader.read_until(b'\n', &mut lines).map_err(failed())?;
    let format = lines.strip_prefix(MAGIC.as_bytes()).ok_or_else(foreign)?;
    let format = String::from_utf8_lossy(format).trim_end().to_owned();
    if format != FORMAT {
        return Err(BackupError::Newer {
            path: path.to_owned(),
            format: format.chars().take(40).collect(),
        });
    }
    let first = lines.len();
    reader.read_until(b'\n', &mut lines).map_err(failed())?;
    let at = lines.len() as u64;
    if lines.last() != Some(&b'\n') {
        let path = path.to_owned();
        return Err(BackupError::CutShort { path, at, frame: 0 });
    }
    let facts = serde_json::from_slice(&lines[first..]).map_err(|_| BackupError::Damaged {
        path: path.to_owned(),
        at,
        frame: 0,
        what: "its second line is not what was written".into(),
    })?;
    file.seek(io::SeekFrom::Start(at)).map_err(failed())?;
    Ok((file, facts, lines))
}

impl BackupReader {
    /// Opens a backup; an encrypted one with the identities.
    pub fn open(path: &Path, identities: Option<&Identities>) -> Result<Self, BackupError> {
        let (file, facts, lines) = preamble(path)?;
        let meta = file.metadata().map_err(BackupError::io("read", path))?;
        let bytes = Arc::new(AtomicU64::new(lines.len() as u64));
        let file = BufReader::new(Watched {
            file,
            bytes: bytes.clone(),
        });
        let source = match facts.encrypted {
            false => Source::Plain(file),
            true => Source::Locked(unlock(path, file, identities)?),
        };
        let input = zstd::Decoder::new(source).map_err(BackupError::io("read", path))?;
        let mut sum = Running::default();
        sum.preamble(&lines);
        Ok(Self {
            facts,
            path: path.to_owned(),
            input,
            sum,
            bytes,
            length: meta.len(),
            frames: 0,
        })
    }

    /// What the file says of itself.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Bytes read, and bytes there are.
    pub fn position(&self) -> (u64, u64) {
        (self.bytes.load(Relaxed).min(self.length), self.length)
    }

    /// What comes next. Behind the end comes nothing more.
    pub fn frame(&mut self) -> Result<Next, BackupError> {
        self.frames += 1;
        let mut head = [0; HEAD_BYTES];
        self.fill(&mut head)?;
        let length = frame::body_bytes(&head).map_err(|what| self.damaged(what))?;
        let mut body = vec![0; length];
        self.fill(&mut body)?;
        let kind = self.sum.check(&head, &body);
        match kind.map_err(|what| self.damaged(what))? {
            Kind::Writes => {
                let writes = applied::unpack(Bytes::from(body));
                Ok(Next::Writes(writes.map_err(|what| self.damaged(what))?))
            }
            Kind::End => {
                let trailer = serde_json::from_slice(&body);
                let trailer = trailer.map_err(|e| self.damaged(&e.to_string()))?;
                match self.input.read(&mut [0]) {
                    Ok(0) => Ok(Next::End(trailer)),
                    Ok(_) => Err(self.damaged("something follows its end")),
                    Err(error) => Err(self.broken(&error)),
                }
            }
        }
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), BackupError> {
        let read = self.input.read_exact(buffer);
        read.map_err(|error| self.broken(&error))
    }

    /// zstd and age tell of a file that ends early in their own ways.
    fn broken(&self, error: &io::Error) -> BackupError {
        let (at, length) = self.position();
        if error.kind() == io::ErrorKind::UnexpectedEof && at == length {
            let (path, frame) = (self.path.clone(), self.frames);
            return BackupError::CutShort { path, at, frame };
        }
        match error.raw_os_error() {
            Some(code) => {
                let again = io::Error::from_raw_os_error(code);
                BackupError::io("read", &self.path)(again)
            }
            None => self.damaged(&error.to_string()),
        }
    }

    fn damaged(&self, what: &str) -> BackupError {
        BackupError::Damaged {
            path: self.path.clone(),
            at: self.position().0,
            frame: self.frames,
            what: what.into(),
        }
    }
}

/// The inside of an encrypted file.
fn unlock(
    path: &Path,
    file: BufReader<Watched>,
    identities: Option<&Identities>,
) -> Result<StreamReader<BufReader<Watched>>, BackupError> {
    let locked = |what: &str| BackupError::Locked {
        path: path.to_owned(),
        what: what.into(),
    };
    let Some(identities) = identities else {
        let what = "it takes an identity file of age to open it: --identity FILE, or [backup] identity in config.toml";
        return Err(locked(what));
    };
    let opened = age::Decryptor::new_buffered(file).and_then(|age| {
        let all = identities.0.iter();
        age.decrypt(all.map(|one| &**one as &dyn age::Identity))
    });
    opened.map_err(|error| match error {
        age::DecryptError::NoMatchingKeys => {
            locked("none of the identities that were given opens it")
        }
        age::DecryptError::Io(error) if error.raw_os_error().is_some() => {
            BackupError::io("read", path)(error)
        }
        other => BackupError::Damaged {
            path: path.to_owned(),
            at: 0,
            frame: 0,
            what: format!("the head of its encryption: {other}"),
        },
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// `/dev/full` answers every write as a full disk does.
    #[test]
    fn a_full_disk_is_told_with_what_to_do() {
        let path = Path::new("/dev/full");
        let file = File::options().write(true).open(path).unwrap();
        let facts = Facts {
            id: "1".into(),
            kind: "manual".into(),
            engine: "sled".into(),
            started_ms: 0,
            encrypted: false,
            version: "0".into(),
        };
        let mut writer = BackupWriter::begin(file, path, &facts, &Recipients::default()).unwrap();
        let mut noise = 1_u64;
        let error = loop {
            let value: Vec<u8> = std::iter::repeat_with(|| {
                noise = noise
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (noise >> 56) as u8
            })
            .take(64 << 10)
            .collect();
            if let Err(error) = writer.put(Tree::Hot, b"a#b#c", Some(&value)) {
                break error.to_string();
            }
        };
        assert_eq!(
            error,
            "/dev/full cannot be written: No space left on device (os error 28). Make room there, or let [backup] folder name another disk."
        );
    }
}
