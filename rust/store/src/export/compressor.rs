//! One complete gzip member or zstd frame of bytes in memory.

use crate::error::{Error, Result};

use super::settings::{Codec, Settings};

/// Compresses piece after piece, each by itself.
pub(super) enum Compressor {
    None,
    Gzip(libdeflater::Compressor),
    Zstd(zstd::bulk::Compressor<'static>),
}

impl Compressor {
    pub(super) fn new(settings: Settings) -> Result<Self> {
        let level = settings.level;
        Ok(match settings.codec {
            Codec::None => Self::None,
            Codec::Gzip => {
                let level = libdeflater::CompressionLvl::new(level)
                    .map_err(|_| Error::format("gzip level", "is out of range"))?;
                Self::Gzip(libdeflater::Compressor::new(level))
            }
            Codec::Zstd | Codec::ZstdChunked => {
                Self::Zstd(zstd::bulk::Compressor::new(level).map_err(failed)?)
            }
        })
    }

    /// The member or frame of `bytes`.
    pub(super) fn compress(&mut self, bytes: Vec<u8>) -> Result<Vec<u8>> {
        match self {
            Self::None => Ok(bytes),
            Self::Gzip(_) | Self::Zstd(_) => {
                let mut output = Vec::new();
                self.append(&bytes, &mut output)?;
                Ok(output)
            }
        }
    }

    /// Appends the member or frame of `bytes` to `output`; gives its length.
    pub(super) fn append(&mut self, bytes: &[u8], output: &mut Vec<u8>) -> Result<usize> {
        let start = output.len();
        let length = match self {
            Self::None => {
                output.extend_from_slice(bytes);
                bytes.len()
            }
            Self::Gzip(compressor) => {
                output.resize(start + compressor.gzip_compress_bound(bytes.len()), 0);
                compressor
                    .gzip_compress(bytes, &mut output[start..])
                    .map_err(|_| Error::format("gzip", "a member does not fit its bound"))?
            }
            Self::Zstd(compressor) => {
                output.resize(start + zstd::zstd_safe::compress_bound(bytes.len()), 0);
                compressor
                    .compress_to_buffer(bytes, &mut output[start..])
                    .map_err(failed)?
            }
        };
        output.truncate(start + length);
        Ok(length)
    }
}

pub(super) fn failed(source: std::io::Error) -> Error {
    Error::io("cannot compress", source)
}
