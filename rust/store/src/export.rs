//! Layers on their way out, compressed.
//!
//! Each frame of the layer becomes one complete gzip member or zstd frame, so a blob is their
//! concatenation, and versions of a layer share most of them: what an earlier export has
//! compressed is copied. The bytes depend on the layer and the codec's settings alone, never on
//! the number of threads, the processor or what is in the cache. Changing a constant here, or a
//! compression library, changes digests. `docs/formats/export.md` says what the bytes are.

mod chunked;
mod compressor;
mod in_order;
mod output;
mod plain;
mod remembered;
mod settings;

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::digest::{BlobDigest, DiffId};
use crate::error::{Error, Result};
use crate::frame_cache::{ContentsPlace, ExportRecord, FrameCache, Piece};
use crate::frames::frames;
use crate::layer_reader::LayerReader;
use crate::store::Store;

use output::BlobOutput;
pub use settings::Codec;
use settings::Settings;

/// How a layer is exported.
#[derive(Clone, Debug)]
pub struct ExportOptions {
    /// The codec.
    pub codec: Codec,
    /// Its level, or `None` for its usual one.
    pub level: Option<i32>,
    /// Threads that compress.
    pub threads: usize,
    /// Whether frames are taken from the cache, and left there.
    pub reuse: bool,
    /// Set to end the work with [`Error::Interrupted`].
    pub cancel: Arc<AtomicBool>,
}

impl ExportOptions {
    /// Two threads, the codec's usual level.
    pub fn new(codec: Codec) -> Self {
        Self {
            codec,
            level: None,
            threads: 2,
            reuse: true,
            cancel: Arc::default(),
        }
    }
}

/// What an export gave, or will give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportedBlob {
    /// SHA-256 of the blob.
    pub digest: BlobDigest,
    /// Its bytes.
    pub size: u64,
    /// What the blob's descriptor in a manifest must say besides.
    pub annotations: BTreeMap<String, String>,
}

impl From<&ExportRecord> for ExportedBlob {
    fn from(record: &ExportRecord) -> Self {
        Self {
            digest: record.digest,
            size: record.size,
            annotations: (record.contents.as_ref())
                .map(chunked::annotations)
                .unwrap_or_default(),
        }
    }
}

impl Store {
    /// Writes a layer's blob; tells what it is. `progress` is told the plain bytes done.
    ///
    /// A blob that was exported before is put together from its frames, as far as they are whole;
    /// the rest is made again. Bytes that are not the blob's are never written.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Corrupt`], [`Error::Format`] for a level out of range,
    /// [`Error::NoContents`] for a layer that has no zstd:chunked form.
    pub fn export(
        &self,
        diff_id: &DiffId,
        options: &ExportOptions,
        output: &mut dyn Write,
        progress: &mut dyn FnMut(u64),
    ) -> Result<ExportedBlob> {
        let settings = Settings::new(options.codec, options.level)?;
        let _lease = self.lease()?;
        let reader = LayerReader::open(self, diff_id)?;
        let reuse = options.reuse && options.codec != Codec::None;
        let cache = reuse.then(|| FrameCache::open(self)).transpose()?;
        let name = settings.name(diff_id);
        let known = cache.as_ref().and_then(|cache| cache.record(&name));
        let mut skip = 0;
        if let (Some(cache), Some(record)) = (&cache, &known) {
            skip = remembered::write(record, cache, options, output)?;
            if skip == record.size {
                // The record's time is that of its last use.
                cache.put_record(&name, record);
                progress(reader.info().size);
                return Ok(ExportedBlob::from(record));
            }
        }
        let mut output = BlobOutput::new(output, skip)?;
        let work = Work {
            reader: &reader,
            settings,
            cache: cache.as_ref(),
            options,
        };
        let (pieces, contents) = work.write(&mut output, progress)?;
        let (digest, size) = output.finish()?;
        let record = ExportRecord {
            digest,
            size,
            contents,
            pieces,
        };
        work.check(diff_id, &name, known.as_ref(), &record)?;
        if let Some(cache) = &cache {
            cache.put_record(&name, &record);
        }
        Ok(ExportedBlob::from(&record))
    }

    /// What the next export of the layer will give, if it is known without making it: an export
    /// before gave it, or the codec is [`Codec::None`].
    ///
    /// # Errors
    /// [`Error::Format`] for a level out of range.
    pub fn exported(
        &self,
        diff_id: &DiffId,
        codec: Codec,
        level: Option<i32>,
    ) -> Result<Option<ExportedBlob>> {
        let settings = Settings::new(codec, level)?;
        if codec == Codec::None {
            return Ok(self.layer(diff_id)?.map(|info| ExportedBlob {
                digest: BlobDigest::from_bytes(*diff_id.as_bytes()),
                size: info.size,
                annotations: BTreeMap::new(),
            }));
        }
        let record = FrameCache::open(self)?.record(&settings.name(diff_id));
        Ok(record.as_ref().map(ExportedBlob::from))
    }
}

/// One export at work.
struct Work<'a> {
    reader: &'a LayerReader,
    settings: Settings,
    cache: Option<&'a FrameCache<'a>>,
    options: &'a ExportOptions,
}

impl Work<'_> {
    fn write(
        &self,
        output: &mut BlobOutput<'_>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(Vec<Piece>, Option<ContentsPlace>)> {
        let frames = frames(self.reader.recipe());
        if self.settings.codec == Codec::ZstdChunked {
            let (pieces, place) = chunked::write(self, &frames, output, progress)?;
            return Ok((pieces, Some(place)));
        }
        Ok((plain::write(self, &frames, output, progress)?, None))
    }

    /// Compares what came out with what is known of it.
    fn check(
        &self,
        diff_id: &DiffId,
        name: &str,
        known: Option<&ExportRecord>,
        made: &ExportRecord,
    ) -> Result<()> {
        if self.settings.codec == Codec::None && made.digest.as_bytes() != diff_id.as_bytes() {
            return Err(Error::corrupt(
                format!("layer {diff_id}"),
                format!("its tar has the digest {}", made.digest),
            ));
        }
        match known {
            Some(known) if known.digest != made.digest => {
                if let Some(cache) = self.cache {
                    cache.forget(name)?;
                }
                Err(Error::corrupt(
                    format!("the blob of layer {diff_id}"),
                    format!("it was {} and is {} now", known.digest, made.digest),
                ))
            }
            _ => Ok(()),
        }
    }
}
