//! What a blob's bytes depend on besides the layer: codec, level, and who compresses.

use crate::digest::DiffId;
use crate::error::{Error, Result};

/// Names the compressor of gzip members in the keys of frames: to be raised with any change of the
/// bytes it makes, which the golden digests of the tests tell.
const GZIP_VERSION: u32 = 1;
/// The same for all of a zstd:chunked blob that zstd does not make.
const CHUNKED_VERSION: u32 = 1;
const FRAME_CONTEXT: &str = "fastlayer frame v2";

/// How a blob is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// The plain tar; its digest is the DiffID.
    None,
    /// gzip members by libdeflate.
    Gzip,
    /// zstd frames.
    Zstd,
    /// zstd frames of single files with a table of contents, for partial pulls.
    ZstdChunked,
}

impl Codec {
    /// The codec named `"none"`, `"gzip"`, `"zstd"` or `"zstd:chunked"`.
    ///
    /// # Errors
    /// [`Error::Format`].
    pub fn parse(name: &str) -> Result<Self> {
        match name {
            "none" => Ok(Self::None),
            "gzip" => Ok(Self::Gzip),
            "zstd" => Ok(Self::Zstd),
            "zstd:chunked" => Ok(Self::ZstdChunked),
            _ => Err(Error::format(
                name,
                "is no codec; there are none, gzip, zstd and zstd:chunked",
            )),
        }
    }

    /// The level that is used where none is asked for.
    pub fn default_level(self) -> i32 {
        match self {
            Self::None => 0,
            Self::Gzip => 6,
            Self::Zstd | Self::ZstdChunked => 3,
        }
    }

    fn check_level(self, level: i32) -> Result<()> {
        let range = match self {
            Self::None => 0..=0,
            Self::Gzip => 1..=12,
            Self::Zstd | Self::ZstdChunked => 1..=22,
        };
        if range.contains(&level) {
            return Ok(());
        }
        Err(Error::format(
            format!("compression level {level}"),
            format!("must be from {} to {}", range.start(), range.end()),
        ))
    }
}

/// All that the bytes of a compressed frame depend on besides its content.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) codec: Codec,
    pub(super) level: i32,
}

impl Settings {
    pub(super) fn new(codec: Codec, level: Option<i32>) -> Result<Self> {
        let level = level.unwrap_or(codec.default_level());
        codec.check_level(level)?;
        Ok(Self { codec, level })
    }

    fn text(self) -> String {
        let level = self.level;
        let zstd = zstd::zstd_safe::version_number();
        match self.codec {
            Codec::None => "none".to_owned(),
            Codec::Gzip => format!("gzip-{level}-{GZIP_VERSION}"),
            Codec::Zstd => format!("zstd-{level}-{zstd}"),
            Codec::ZstdChunked => format!("chunked-{level}-{zstd}-{CHUNKED_VERSION}"),
        }
    }

    /// The name of a layer's export in the cache.
    pub(super) fn name(self, diff_id: &DiffId) -> String {
        format!("{}.{}", diff_id.hex(), self.text())
    }

    /// The key of a frame in the cache.
    pub(super) fn key(self, identity: &[u8; 32]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key(FRAME_CONTEXT);
        hasher.update(self.text().as_bytes());
        hasher.update(&[0]);
        hasher.update(identity);
        *hasher.finalize().as_bytes()
    }
}
