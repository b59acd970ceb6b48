//! Layers on their way out, compressed.
//!
//! Each frame of the layer becomes one complete gzip member or zstd frame, so a blob is their
//! concatenation, and versions of a layer share most of them: what an earlier export has
//! compressed is copied. The bytes depend on the layer and the codec's settings alone, never on
//! the number of threads, the processor or what is in the cache. Changing a constant here, or a
//! compression library, changes digests.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use crate::digest::{BlobDigest, DiffId};
use crate::error::{Error, Result, check_cancelled};
use crate::frame_cache::{ExportRecord, FrameCache};
use crate::frames::{Frame, frames};
use crate::hashing::HashingWriter;
use crate::layer_reader::LayerReader;
use crate::store::Store;

/// Frames being compressed, or waiting to be written, per thread.
const WINDOW: usize = 3;
/// Names the compressor of gzip members in the keys of frames: to be raised with any change of the
/// bytes it makes, which the golden digests of the tests tell.
const GZIP_VERSION: u32 = 1;
const FRAME_CONTEXT: &str = "fastlayer frame v1";

/// How a blob is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// The plain tar; its digest is the DiffID.
    None,
    /// gzip members by libdeflate.
    Gzip,
    /// zstd frames.
    Zstd,
}

impl Codec {
    /// The codec named `"none"`, `"gzip"` or `"zstd"`.
    ///
    /// # Errors
    /// [`Error::Format`].
    pub fn parse(name: &str) -> Result<Self> {
        match name {
            "none" => Ok(Self::None),
            "gzip" => Ok(Self::Gzip),
            "zstd" => Ok(Self::Zstd),
            _ => Err(Error::format(
                name,
                "is no codec; there are none, gzip and zstd",
            )),
        }
    }

    /// The level that is used where none is asked for.
    pub fn default_level(self) -> i32 {
        match self {
            Self::None => 0,
            Self::Gzip => 6,
            Self::Zstd => 3,
        }
    }

    fn check_level(self, level: i32) -> Result<()> {
        let range = match self {
            Self::None => 0..=0,
            Self::Gzip => 1..=12,
            Self::Zstd => 1..=22,
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

impl Store {
    /// Writes a layer's blob; gives its digest and size. `progress` is told the plain bytes done.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Corrupt`], [`Error::Format`] for a level out of range.
    pub fn export(
        &self,
        diff_id: &DiffId,
        options: &ExportOptions,
        output: &mut dyn Write,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(BlobDigest, u64)> {
        let settings = Settings::new(options.codec, options.level)?;
        let _lease = self.lease()?;
        let reader = LayerReader::open(self, diff_id)?;
        let frames = frames(reader.recipe());
        let reuse = options.reuse && options.codec != Codec::None;
        let cache = reuse.then(|| FrameCache::open(self)).transpose()?;
        let work = Work {
            reader: &reader,
            settings,
            frames: &frames,
            cache: cache.as_ref(),
        };
        let mut output = HashingWriter::new(output);
        work.write(options, &mut output, progress)?;
        let (digest, size) = output.finish();
        if let Some(cache) = &cache {
            let keys = frames.iter().map(|frame| settings.key(&frame.identity));
            let record = ExportRecord {
                digest,
                size,
                frames: keys.collect(),
            };
            cache.put_record(&settings.name(diff_id), &record);
        }
        if options.codec == Codec::None && digest.as_bytes() != diff_id.as_bytes() {
            return Err(Error::corrupt(
                format!("layer {diff_id}"),
                format!("its tar has the digest {digest}"),
            ));
        }
        Ok((digest, size))
    }
}

impl Store {
    /// Digest and size of the blob that an export of the layer gave, if one is remembered: the
    /// next one will give the same.
    ///
    /// # Errors
    /// [`Error::Format`] for a level out of range.
    pub fn exported(
        &self,
        diff_id: &DiffId,
        codec: Codec,
        level: Option<i32>,
    ) -> Result<Option<(BlobDigest, u64)>> {
        let settings = Settings::new(codec, level)?;
        let record = FrameCache::open(self)?.record(&settings.name(diff_id));
        Ok(record.map(|record| (record.digest, record.size)))
    }
}

/// All that the bytes of a compressed frame depend on besides its content.
#[derive(Clone, Copy, Debug)]
struct Settings {
    codec: Codec,
    level: i32,
    version: u32,
}

impl Settings {
    fn new(codec: Codec, level: Option<i32>) -> Result<Self> {
        let level = level.unwrap_or(codec.default_level());
        codec.check_level(level)?;
        let version = match codec {
            Codec::None => 0,
            Codec::Gzip => GZIP_VERSION,
            Codec::Zstd => zstd::zstd_safe::version_number(),
        };
        Ok(Self {
            codec,
            level,
            version,
        })
    }

    fn text(self) -> String {
        let codec = match self.codec {
            Codec::None => "none",
            Codec::Gzip => "gzip",
            Codec::Zstd => "zstd",
        };
        format!("{codec}-{}-{}", self.level, self.version)
    }

    /// The name of a layer's export in the cache.
    fn name(self, diff_id: &DiffId) -> String {
        format!("{}.{}", diff_id.hex(), self.text())
    }

    /// The key of a frame in the cache.
    fn key(self, identity: &[u8; 32]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key(FRAME_CONTEXT);
        hasher.update(self.text().as_bytes());
        hasher.update(&[0]);
        hasher.update(identity);
        *hasher.finalize().as_bytes()
    }
}

struct Job {
    frame: usize,
    answer: SyncSender<Result<Vec<u8>>>,
}

/// One export at work.
struct Work<'a> {
    reader: &'a LayerReader,
    settings: Settings,
    frames: &'a [Frame],
    cache: Option<&'a FrameCache<'a>>,
}

impl Work<'_> {
    fn write(
        &self,
        options: &ExportOptions,
        output: &mut impl Write,
        progress: &mut dyn FnMut(u64),
    ) -> Result<()> {
        let threads = options.threads.clamp(1, self.frames.len());
        let window = threads * WINDOW;
        let (jobs, queue) = sync_channel::<Job>(window);
        let queue = Mutex::new(queue);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| self.make_frames(&queue));
            }
            // Dropped at the end of this closure, which lets the threads end.
            let jobs = jobs;
            let mut waiting: VecDeque<Receiver<Result<Vec<u8>>>> = VecDeque::new();
            let (mut next, mut done) = (0, 0);
            for frame in self.frames {
                while next < self.frames.len() && waiting.len() < window {
                    let (answer, receiver) = sync_channel(1);
                    let job = Job {
                        frame: next,
                        answer,
                    };
                    jobs.send(job).map_err(|_| Error::Interrupted)?;
                    waiting.push_back(receiver);
                    next += 1;
                }
                check_cancelled(&options.cancel)?;
                let answer = waiting.pop_front().map(|receiver| receiver.recv());
                let Some(Ok(bytes)) = answer else {
                    return Err(Error::Interrupted);
                };
                output
                    .write_all(&bytes?)
                    .map_err(|source| Error::io("cannot write the blob", source))?;
                done += frame.length;
                progress(done);
            }
            Ok(())
        })
    }

    fn make_frames(&self, queue: &Mutex<Receiver<Job>>) {
        let mut compressor = None;
        loop {
            let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(job) = job else {
                return;
            };
            // Nobody listens when the export was given up.
            let _ = job.answer.send(self.frame(job.frame, &mut compressor));
        }
    }

    /// The compressed bytes of a frame: those of an earlier export, or made now.
    fn frame(&self, number: usize, compressor: &mut Option<Compressor>) -> Result<Vec<u8>> {
        let frame = &self.frames[number];
        let key = self.settings.key(&frame.identity);
        if let Some(bytes) = self.cache.and_then(|cache| cache.read(&key)) {
            return Ok(bytes);
        }
        let mut bytes = Vec::with_capacity(usize::try_from(frame.length).unwrap_or(0));
        for row in frame.rows.clone() {
            self.reader.expand_checked(row, &mut bytes)?;
        }
        let compressor = match compressor {
            Some(compressor) => compressor,
            None => compressor.insert(Compressor::new(self.settings)?),
        };
        let bytes = compressor.compress(bytes)?;
        if let Some(cache) = self.cache {
            cache.write(&key, &bytes);
        }
        Ok(bytes)
    }
}

enum Compressor {
    None,
    Gzip(libdeflater::Compressor),
    Zstd(zstd::bulk::Compressor<'static>),
}

impl Compressor {
    fn new(settings: Settings) -> Result<Self> {
        let level = settings.level;
        Ok(match settings.codec {
            Codec::None => Self::None,
            Codec::Gzip => {
                let level = libdeflater::CompressionLvl::new(level)
                    .map_err(|_| Error::format("gzip level", "is out of range"))?;
                Self::Gzip(libdeflater::Compressor::new(level))
            }
            Codec::Zstd => Self::Zstd(zstd::bulk::Compressor::new(level).map_err(failed)?),
        })
    }

    /// One complete member or frame.
    fn compress(&mut self, bytes: Vec<u8>) -> Result<Vec<u8>> {
        match self {
            Self::None => Ok(bytes),
            Self::Gzip(compressor) => {
                let mut frame = vec![0; compressor.gzip_compress_bound(bytes.len())];
                let length = compressor
                    .gzip_compress(&bytes, &mut frame)
                    .map_err(|_| Error::format("gzip", "a member does not fit its bound"))?;
                frame.truncate(length);
                Ok(frame)
            }
            Self::Zstd(compressor) => compressor.compress(&bytes).map_err(failed),
        }
    }
}

fn failed(source: std::io::Error) -> Error {
    Error::io("cannot compress", source)
}
