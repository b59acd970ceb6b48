//! Taking in a layer that somebody else made: plain or compressed tars.
//!
//! A tar that the strict parser refuses is kept raw from there on: its bytes are reproduced, but it
//! has no tree. A tar that is cut short, that asks for more than the limits, or that is none at all,
//! is an error instead.

use std::io::Read;

use fastlayer_tar::{ErrorKind, Event, Limits, Reader};

use crate::decompress::Decompressor;
use crate::digest::{BlobDigest, DiffId};
use crate::error::{Error, Result};
use crate::hashing::HashingReader;
use crate::kept_blob::KeepingReader;
use crate::layer_info::LayerInfo;
use crate::layer_writer::{LayerWriter, WriterOptions};
use crate::store::Store;

/// What a layer that comes in must be, and how it is taken in.
#[derive(Clone, Debug, Default)]
pub struct IngestOptions {
    /// How the layer is written.
    pub writer: WriterOptions,
    /// The digest that the bytes as they come in must have.
    pub blob_digest: Option<BlobDigest>,
    /// The digest that the plain tar must have.
    pub diff_id: Option<DiffId>,
    /// Whether a compressed blob whose digest is given is kept as it is, too.
    pub keep_blob: bool,
}

impl Store {
    /// Reads a plain or compressed tar to its end and keeps it as a layer. `progress` is told the
    /// bytes taken from `source` so far.
    ///
    /// Nothing is visible unless every digest that was given is right.
    ///
    /// # Errors
    /// [`Error::DigestMismatch`], [`Error::TarFormat`] when the tar is cut short or is none,
    /// [`Error::Format`] when the compressed stream is damaged, [`Error::Limit`] when the tar is
    /// larger than may be, compressed too well, or asks for too much memory.
    pub fn ingest(
        &self,
        source: impl Read,
        options: IngestOptions,
        progress: &mut dyn FnMut(u64),
    ) -> Result<LayerInfo> {
        let flight = match &options.blob_digest {
            Some(digest) => Some(self.single_flight(digest, &options.writer.cancel)?),
            None => None,
        };
        if let (Some((_, true)), Some(diff_id)) = (&flight, &options.diff_id)
            && let Some(mut info) = self.layer(diff_id)?
        {
            // Whoever we waited for has taken in and checked the same blob.
            info.added_bytes = 0;
            return Ok(info);
        }
        let kept = (options.keep_blob && options.blob_digest.is_some()).then_some(self);
        let source = KeepingReader::new(source, kept);
        let reader = HashingReader::new(source, options.blob_digest.is_some());
        let mut plain = Decompressor::new(reader)?;
        let mut ingest = Ingest::new(LayerWriter::new(self, options.writer)?);
        // As little as is worth a call: what of a large content is in it is copied once more.
        let mut buffer = vec![0; plain.piece()];
        loop {
            if ingest.take(&mut plain, &mut buffer)? == 0 {
                break;
            }
            progress(plain.source().map_or(0, HashingReader::count));
        }
        let (source, found) = match plain.into_source().map(HashingReader::finish) {
            Some((source, found)) => (Some(source), found),
            None => (None, None),
        };
        check("the layer's blob", options.blob_digest, found)?;
        let sealed = ingest.finish()?.seal()?;
        check("the layer's tar", options.diff_id, Some(sealed.diff_id()))?;
        if let Some(kept) = source.and_then(KeepingReader::finish)
            && let Some(digest) = &options.blob_digest
        {
            kept.publish(self, digest)?;
        }
        sealed.publish()
    }
}

fn check<T: PartialEq + ToString>(what: &str, expected: Option<T>, found: Option<T>) -> Result<()> {
    match (expected, found) {
        (Some(expected), Some(found)) if expected != found => Err(Error::DigestMismatch {
            what: what.to_owned(),
            expected: expected.to_string(),
            found: found.to_string(),
        }),
        _ => Ok(()),
    }
}

/// Feeds the plain bytes through the parser to the writer.
struct Ingest {
    writer: LayerWriter,
    parser: Option<Reader>,
    /// Bytes that the parser has, but has not told of yet.
    held: Vec<u8>,
}

/// Why feeding stopped.
enum Stop {
    Tar(fastlayer_tar::Error),
    Other(Error),
}

impl From<fastlayer_tar::Error> for Stop {
    fn from(error: fastlayer_tar::Error) -> Self {
        Self::Tar(error)
    }
}

impl Ingest {
    fn new(writer: LayerWriter) -> Self {
        Self {
            writer,
            parser: Some(Reader::new(Limits::default())),
            held: Vec::new(),
        }
    }

    /// Takes the next bytes of `plain`; gives their number, 0 at the end. A content is read to where
    /// it is worked on while more of it is expected than `buffer` holds; all else goes through it,
    /// as what is decompressed does: inflating to one small place over and over is faster.
    fn take<R: Read>(
        &mut self,
        plain: &mut Decompressor<HashingReader<R>>,
        buffer: &mut [u8],
    ) -> Result<usize> {
        if let Some(parser) = &mut self.parser
            && plain.is_plain()
            && parser.expected_content() >= buffer.len() as u64
        {
            let space = self.writer.content_space(parser.expected_content())?;
            let count = plain.read(space, HashingReader::count)?;
            self.writer.content_filled(count)?;
            parser.skip_content(count as u64);
            return Ok(count);
        }
        let count = plain.read(buffer, HashingReader::count)?;
        self.feed(&buffer[..count])?;
        Ok(count)
    }

    fn feed(&mut self, bytes: &[u8]) -> Result<()> {
        let Some(parser) = &mut self.parser else {
            return self.writer.trailer(bytes);
        };
        let mut told = 0;
        let writer = &mut self.writer;
        let result = parser.feed(bytes, &mut |event: Event<'_>| {
            told += event.bytes().len();
            pass(writer, event)
        });
        // What was told began with what was held.
        let from_held = told.min(self.held.len());
        self.held.drain(..from_held);
        self.held.extend_from_slice(&bytes[told - from_held..]);
        match result {
            Ok(()) => Ok(()),
            Err(Stop::Other(error)) => Err(error),
            Err(Stop::Tar(error)) => self.give_up(error),
        }
    }

    fn finish(mut self) -> Result<LayerWriter> {
        if let Some(parser) = &mut self.parser {
            let writer = &mut self.writer;
            match parser.finish(&mut |event: Event<'_>| pass(writer, event)) {
                Ok(()) => {}
                Err(Stop::Other(error)) => return Err(error),
                Err(Stop::Tar(error)) => self.give_up(error)?,
            }
        }
        Ok(self.writer)
    }

    /// The parser refuses the tar: keep the rest as bytes, if it is a tar at all.
    fn give_up(&mut self, error: fastlayer_tar::Error) -> Result<()> {
        let cut = matches!(error.kind, ErrorKind::Truncated { .. });
        let nothing = error.offset == 0
            && matches!(error.kind, ErrorKind::Checksum | ErrorKind::Number { .. });
        if let ErrorKind::Limit { part, limit } = error.kind {
            return Err(Error::limit(
                format!("at byte {}, {part}", error.offset),
                limit,
            ));
        }
        if cut || nothing {
            return Err(error.into());
        }
        self.parser = None;
        self.writer.mark_raw(error.to_string());
        let held = std::mem::take(&mut self.held);
        self.writer.trailer(&held)
    }
}

fn pass(writer: &mut LayerWriter, event: Event<'_>) -> Result<(), Stop> {
    let result = match event {
        Event::Entry { entry, header } => writer.entry(entry, header),
        Event::Content(bytes) => writer.content(bytes),
        Event::Padding(bytes) => writer.padding(bytes),
        Event::Trailer(bytes) => writer.trailer(bytes),
    };
    result.map_err(Stop::Other)
}
