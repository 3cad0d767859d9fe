//! Unpacks what comes in, piece by piece: plain, gzip or zstd, as the header
//! says or as the first bytes show.

use std::io::{self, Write as _};

use flate2::write::MultiGzDecoder;
use zstd::stream::{raw, zio};

use crate::service::{Code, Error, Result};

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// A decoder that is pushed to.
pub(super) enum Decoder {
    /// Too few bytes yet to tell.
    Unknown(Vec<u8>),
    Plain,
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    Zstd(Box<zio::Writer<Vec<u8>, raw::Decoder<'static>>>),
}

impl Decoder {
    /// The decoder for a `Content-Encoding`; without one the first bytes decide.
    pub(super) fn of(encoding: Option<&str>) -> Result<Self> {
        let encoding = encoding.unwrap_or("identity").trim().to_ascii_lowercase();
        match encoding.as_str() {
            "" | "identity" => Ok(Self::Unknown(Vec::new())),
            "gzip" | "x-gzip" => Ok(Self::gzip()),
            "zstd" => Self::zstd(),
            other => Err(Error::new(
                Code::UnsupportedMediaType,
                format!(
                    "An import is not taken in the encoding {other:?}; send it plain, gzip or zstd."
                ),
            )),
        }
    }

    fn gzip() -> Self {
        Self::Gzip(Box::new(MultiGzDecoder::new(Vec::new())))
    }

    fn zstd() -> Result<Self> {
        let decoder = raw::Decoder::new().map_err(Error::internal)?;
        Ok(Self::Zstd(Box::new(zio::Writer::new(Vec::new(), decoder))))
    }

    fn decide(head: &[u8]) -> Result<Self> {
        if head.starts_with(GZIP) {
            Ok(Self::gzip())
        } else if head.starts_with(ZSTD) {
            Self::zstd()
        } else {
            Ok(Self::Plain)
        }
    }

    /// Takes some of `input` and appends what it unpacks to; answers how much was
    /// taken. What comes out of one call is bounded, however well it was packed.
    pub(super) fn push(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize> {
        match self {
            Self::Unknown(head) => {
                let used = (ZSTD.len() - head.len()).min(input.len());
                head.extend_from_slice(&input[..used]);
                if head.len() == ZSTD.len() {
                    self.settle(out)?;
                }
                Ok(used)
            }
            Self::Plain => {
                out.extend_from_slice(input);
                Ok(input.len())
            }
            Self::Gzip(decoder) => {
                let used = decoder.write(input).map_err(damaged)?;
                out.append(decoder.get_mut());
                Ok(used)
            }
            Self::Zstd(decoder) => {
                let used = decoder.write(input).map_err(damaged)?;
                out.append(decoder.writer_mut());
                Ok(used)
            }
        }
    }

    /// Chooses by the first bytes and gives them to what was chosen.
    fn settle(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let Self::Unknown(head) = self else {
            return Ok(());
        };
        let head = std::mem::take(head);
        *self = Self::decide(&head)?;
        let mut at = 0;
        while at < head.len() {
            at += self.push(&head[at..], out)?;
        }
        Ok(())
    }

    /// Appends what is left; an error where the packed data is cut short.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> Result<()> {
        self.settle(out)?;
        match self {
            Self::Gzip(decoder) => {
                decoder.try_finish().map_err(damaged)?;
                out.append(decoder.get_mut());
            }
            Self::Zstd(decoder) => {
                decoder.finish().map_err(damaged)?;
                out.append(decoder.writer_mut());
            }
            Self::Unknown(_) | Self::Plain => {}
        }
        Ok(())
    }
}

fn damaged(error: io::Error) -> Error {
    Error::new(
        Code::BadRequest,
        format!("The body cannot be unpacked ({error}); it is damaged or cut short."),
    )
}
