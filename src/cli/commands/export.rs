//! `tenantry export`: a tenant's records as they stream from the server. A file
//! has its name only when it is whole.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::cli::Context;
use crate::cli::args::Export;
use crate::cli::client::Target;
use crate::cli::output::{Progress, grouped, note};

const BUFFER_BYTES: usize = 256 << 10;

pub fn run(context: &Context, export: &Export) -> Result<()> {
    let mut sink = Sink::open(export.file.as_deref())?;
    let (records, bytes) = match copy(context, export, &mut sink) {
        Ok(counted) => counted,
        Err(error) => {
            sink.discard();
            return Err(error);
        }
    };
    sink.keep()?;
    if export.file.is_none() {
        return Ok(());
    }
    let result = json!({"records": records, "bytes": bytes});
    context.out.result(&result, || {
        format!("{} records, {} bytes", grouped(records), grouped(bytes))
    })
}

fn copy(context: &Context, export: &Export, sink: &mut Sink) -> Result<(u64, u64)> {
    let session = context.session("export")?;
    let target = Target::new("/v1/tenants")
        .segment(&export.tenant)
        .segment("export")
        .query_opt("entity", export.entity.as_deref());
    let stream = session.stream(&target)?;
    let counted = pump(stream, sink)?;
    session.close()?;
    Ok(counted)
}

/// Copies to the end; counts lines and bytes.
fn pump(mut from: impl Read, sink: &mut impl Write) -> Result<(u64, u64)> {
    let mut progress = Progress::new(None);
    let (mut lines, mut bytes) = (0_u64, 0_u64);
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        // As it is: a reader that has gone must be told from a server that broke off.
        sink.write_all(&buffer[..count])?;
        lines += buffer[..count]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count() as u64;
        bytes += count as u64;
        progress.at(bytes, || format!("exported {} records", grouped(lines)));
    }
    sink.flush()?;
    progress.done();
    Ok((lines, bytes))
}

/// Where an export goes.
enum Sink {
    Stdout(io::Stdout),
    File {
        file: File,
        partial: PathBuf,
        whole: PathBuf,
    },
}

impl Sink {
    fn open(path: Option<&Path>) -> Result<Self> {
        let Some(whole) = path.filter(|path| *path != Path::new("-")) else {
            return Ok(Self::Stdout(io::stdout()));
        };
        let mut partial = whole.as_os_str().to_owned();
        partial.push(".partial");
        let (partial, whole) = (PathBuf::from(partial), whole.to_owned());
        let file = File::create(&partial)
            .with_context(|| format!("cannot write {}", partial.display()))?;
        Ok(Self::File {
            file,
            partial,
            whole,
        })
    }

    fn keep(self) -> Result<()> {
        let Self::File {
            file,
            partial,
            whole,
        } = self
        else {
            return Ok(());
        };
        file.sync_all()?;
        fs::rename(&partial, &whole).with_context(|| {
            // Root acts as the data folder's owner by now, who may have no right here.
            format!(
                "the export is whole but cannot be renamed from {} to {}",
                partial.display(),
                whole.display()
            )
        })
    }

    fn discard(self) {
        if let Self::File { file, partial, .. } = self {
            // Emptied first: where removing is not permitted, nothing short looks whole.
            let _ = file.set_len(0);
            if fs::remove_file(&partial).is_err() {
                note(format_args!("{} is left behind, empty", partial.display()));
            }
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(out) => out.write(bytes),
            Self::File { file, .. } => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.flush(),
            Self::File { file, .. } => file.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn a_file_gets_its_name_when_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.ndjson");
        let mut sink = Sink::open(Some(&path)).unwrap();
        assert_eq!(pump(&b"{}\n{}\n"[..], &mut sink).unwrap(), (2, 6));
        assert!(!path.exists());
        sink.keep().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"{}\n{}\n");
    }

    #[test]
    fn what_breaks_off_leaves_nothing() {
        struct Breaks;
        impl Read for Breaks {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("broke off"))
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let mut sink = Sink::open(Some(&dir.path().join("out"))).unwrap();
        assert!(pump(Read::chain(&b"{}\n"[..], Breaks), &mut sink).is_err());
        sink.discard();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
