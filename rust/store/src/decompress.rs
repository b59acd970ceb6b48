//! The compressed forms in which a layer can come in, told by their first bytes.
//!
//! gzip with any number of members, zstd with any number of frames (skippable ones too), xz, bzip2
//! and plain. Zeros after the last member or frame are padding and ignored; anything else there is
//! an error. What comes out is bounded against what went in.

use std::io::{self, BufRead, BufReader, Chain, Cursor, Read, Write};

use crate::error::{Error, Result};
use crate::hashing::HashingReader;
use crate::read::{read_full, read_some};

/// Bytes read from the source at a time.
const BUFFER: usize = 256 << 10;
/// The same where nothing is decompressed: as little as is worth a read.
const PLAIN_BUFFER: usize = 16 << 10;
/// Bytes that tell the forms apart.
pub(crate) const HEAD: usize = 6;
/// Largest window that a zstd frame may ask for, as a power of two: as `zstd` itself takes.
const ZSTD_WINDOW_LOG: u32 = 27;
/// Memory that an xz stream may ask for: `xz -9` needs 65 MiB.
const XZ_MEMORY: u64 = 256 << 20;
/// Most plain bytes of one layer.
pub const PLAIN_LIMIT: u64 = 1 << 40;
/// Plain bytes that may come out of anything.
pub const BOMB_FLOOR: u64 = 4 << 30;
/// Beyond them, most plain bytes for one compressed: more than deflate can do (1,032).
pub const BOMB_RATIO: u64 = 1100;

/// A way to compress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not compressed.
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// The xz container.
    Xz,
    /// bzip2.
    Bzip2,
}

impl Compression {
    /// What begins with `head`.
    pub fn detect(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // A skippable frame may come first.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Self::Bzip2,
            _ => Self::None,
        }
    }

    fn piece(self) -> usize {
        match self {
            Self::None => PLAIN_BUFFER,
            _ => BUFFER,
        }
    }
}

/// Copies the plain bytes of `source` to `output`; gives their number.
///
/// # Errors
/// [`Error::Format`] when the compressed stream is damaged, [`Error::Limit`].
pub fn decompress(source: impl Read, output: &mut impl Write) -> Result<u64> {
    let mut plain = Decompressor::new(HashingReader::new(source, false))?;
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = plain.read(&mut buffer, HashingReader::count)?;
        if count == 0 {
            return Ok(plain.plain);
        }
        output
            .write_all(&buffer[..count])
            .map_err(|source| Error::io("cannot write the plain stream", source))?;
    }
}

/// The plain bytes of a source of unknown form.
pub(crate) struct Decompressor<R: Read> {
    /// `None` after an error.
    stream: Option<Stream<R>>,
    compression: Compression,
    plain: u64,
}

type Source<R> = BufReader<Chain<Cursor<Vec<u8>>, R>>;

enum Stream<R: Read> {
    Plain(Source<R>),
    Gzip(Box<flate2::bufread::GzDecoder<Source<R>>>),
    Zstd(zstd::stream::read::Decoder<'static, Source<R>>),
    Xz(liblzma::bufread::XzDecoder<Source<R>>),
    Bzip2(Box<bzip2::bufread::BzDecoder<Source<R>>>),
    Ended(Source<R>),
}

impl<R: Read> Decompressor<R> {
    pub(crate) fn new(mut source: R) -> Result<Self> {
        let mut head = vec![0; HEAD];
        let count = read_full(&mut source, &mut head)
            .map_err(|source| Error::io("cannot read the layer", source))?;
        head.truncate(count);
        let compression = Compression::detect(&head);
        let capacity = compression.piece();
        let source = BufReader::with_capacity(capacity, Cursor::new(head).chain(source));
        let stream =
            Stream::begin(compression, source).map_err(|error| failed(compression, error))?;
        Ok(Self {
            stream: Some(stream),
            compression,
            plain: 0,
        })
    }

    /// Bytes that are worth a call of [`Self::read`]; plain ones are then not copied on their way.
    pub(crate) fn piece(&self) -> usize {
        self.compression.piece()
    }

    /// Whether nothing is decompressed.
    pub(crate) fn is_plain(&self) -> bool {
        self.compression == Compression::None
    }

    /// The source, unless reading it has failed.
    pub(crate) fn source(&self) -> Option<&R> {
        self.stream.as_ref().map(Stream::source)
    }

    /// The source itself.
    pub(crate) fn into_source(self) -> Option<R> {
        let source = self.stream?.into_source();
        Some(source.into_inner().into_inner().1)
    }

    /// The next plain bytes; 0 at the end. `taken` tells the compressed bytes so far.
    pub(crate) fn read(&mut self, buffer: &mut [u8], taken: impl Fn(&R) -> u64) -> Result<usize> {
        let count = self
            .read_members(buffer)
            .map_err(|error| failed(self.compression, error))?;
        self.plain += count as u64;
        if self.plain > PLAIN_LIMIT {
            return Err(Error::limit("size of a layer's tar", PLAIN_LIMIT));
        }
        if self.compression != Compression::None && self.plain > BOMB_FLOOR {
            let compressed = self
                .stream
                .as_ref()
                .map_or(0, |stream| taken(stream.source()));
            if self.plain / BOMB_RATIO > compressed {
                return Err(Error::limit("compression ratio of a layer", BOMB_RATIO));
            }
        }
        Ok(count)
    }

    fn read_members(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(stream) = &mut self.stream else {
                return Ok(0);
            };
            let count = match stream {
                Stream::Plain(source) => return read_some(source, buffer),
                Stream::Ended(_) => return Ok(0),
                Stream::Gzip(decoder) => read_some(decoder, buffer)?,
                Stream::Zstd(decoder) => read_some(decoder, buffer)?,
                Stream::Xz(decoder) => read_some(decoder, buffer)?,
                Stream::Bzip2(decoder) => read_some(decoder, buffer)?,
            };
            if count > 0 {
                return Ok(count);
            }
            if let Some(ended) = self.stream.take() {
                self.stream = Some(next_member(self.compression, ended.into_source())?);
            }
        }
    }
}

impl<R: Read> Stream<R> {
    fn begin(compression: Compression, source: Source<R>) -> io::Result<Self> {
        Ok(match compression {
            Compression::None => Self::Plain(source),
            Compression::Gzip => Self::Gzip(Box::new(flate2::bufread::GzDecoder::new(source))),
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(source)?.single_frame();
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                Self::Zstd(decoder)
            }
            Compression::Xz => {
                let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, 0)?;
                Self::Xz(liblzma::bufread::XzDecoder::new_stream(source, stream))
            }
            Compression::Bzip2 => Self::Bzip2(Box::new(bzip2::bufread::BzDecoder::new(source))),
        })
    }

    fn source(&self) -> &R {
        let source = match self {
            Self::Plain(source) | Self::Ended(source) => source,
            Self::Gzip(decoder) => decoder.get_ref(),
            Self::Zstd(decoder) => decoder.get_ref(),
            Self::Xz(decoder) => decoder.get_ref(),
            Self::Bzip2(decoder) => decoder.get_ref(),
        };
        source.get_ref().get_ref().1
    }

    fn into_source(self) -> Source<R> {
        match self {
            Self::Plain(source) | Self::Ended(source) => source,
            Self::Gzip(decoder) => decoder.into_inner(),
            Self::Zstd(decoder) => decoder.finish(),
            Self::Xz(decoder) => decoder.into_inner(),
            Self::Bzip2(decoder) => decoder.into_inner(),
        }
    }
}

/// What follows a complete member.
fn next_member<R: Read>(compression: Compression, mut source: Source<R>) -> io::Result<Stream<R>> {
    let mut padded = false;
    loop {
        let bytes = source.fill_buf()?;
        if bytes.is_empty() {
            return Ok(Stream::Ended(source));
        }
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let all = zeros == bytes.len();
        padded |= zeros > 0;
        source.consume(zeros);
        if all {
            continue;
        }
        // Between xz streams padding is allowed, and nowhere else.
        if padded && compression != Compression::Xz {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "there is something else after its end",
            ));
        }
        return Stream::begin(compression, source);
    }
}

fn failed(compression: Compression, error: io::Error) -> Error {
    let name = match compression {
        Compression::None => return Error::io("cannot read the layer", error),
        Compression::Gzip => "gzip stream",
        Compression::Zstd => "zstd stream",
        Compression::Xz => "xz stream",
        Compression::Bzip2 => "bzip2 stream",
    };
    // A failed read of the source has an error number; what the decoders find wrong has none.
    if error.raw_os_error().is_some() {
        return Error::io("cannot read the layer", error);
    }
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return Error::format(name, "is cut short");
    }
    if asks_for_much_memory(&error) {
        return match compression {
            Compression::Xz => Error::limit("the memory that an xz stream asks for", XZ_MEMORY),
            _ => Error::limit("the window of a zstd frame", 1 << ZSTD_WINDOW_LOG),
        };
    }
    Error::format(name, error)
}

/// Whether a decoder gave up because of the memory it may have. zstd's tells it by its text alone.
fn asks_for_much_memory(error: &io::Error) -> bool {
    let inner = error.get_ref();
    let of_xz = inner.and_then(|inner| inner.downcast_ref::<liblzma::stream::Error>());
    of_xz == Some(&liblzma::stream::Error::MemLimit)
        || error.to_string() == "Frame requires too much memory for decoding"
}

#[cfg(test)]
mod tests {
    use super::*;

    type Encode = fn(&[u8]) -> io::Result<Vec<u8>>;

    fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes)?;
        encoder.finish()
    }

    fn xz(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
        encoder.write_all(bytes)?;
        encoder.finish()
    }

    fn bzip2(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        encoder.write_all(bytes)?;
        encoder.finish()
    }

    const CODECS: [Encode; 4] = [gzip, |bytes| zstd::encode_all(bytes, 1), xz, bzip2];
    /// Plain bytes of each stream.
    const LENGTH: u64 = 1 << 20;

    /// Reads a stream to its end as if `before` plain bytes had come out of it already.
    fn read_on(stream: &[u8], before: u64) -> Result<u64> {
        let mut plain = Decompressor::new(HashingReader::new(stream, false))?;
        plain.plain = before;
        let mut buffer = vec![0; BUFFER];
        while plain.read(&mut buffer, HashingReader::count)? > 0 {}
        Ok(plain.plain)
    }

    #[test]
    fn a20_a_bomb_of_any_form_ends_at_the_ratio() {
        for encode in CODECS {
            let stream = encode(&[0; LENGTH as usize]).unwrap();
            let allowed = read_on(&stream, BOMB_FLOOR - LENGTH).unwrap();
            assert_eq!(allowed, BOMB_FLOOR);
            let error = read_on(&stream, BOMB_FLOOR - LENGTH + 1).unwrap_err();
            assert!(
                matches!(error, Error::Limit { limit, .. } if limit == BOMB_RATIO),
                "{error}"
            );
        }
    }

    #[test]
    fn a20_a_tar_of_any_length_ends_at_the_limit() {
        let tar = [7; LENGTH as usize];
        assert_eq!(read_on(&tar, PLAIN_LIMIT - LENGTH).unwrap(), PLAIN_LIMIT);
        let error = read_on(&tar, PLAIN_LIMIT - LENGTH + 1).unwrap_err();
        assert!(
            matches!(error, Error::Limit { limit, .. } if limit == PLAIN_LIMIT),
            "{error}"
        );
    }
}
