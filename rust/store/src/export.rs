//! Layers on their way out, compressed.
//!
//! Each row of the recipe becomes one complete gzip member or zstd frame, so a blob is a
//! concatenation of frames, and versions of a layer share most of them. The bytes depend on the
//! layer and the codec's settings alone: never on the number of threads or the processor. Changing
//! a constant here, or a compression library, changes digests.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use crate::digest::{BlobDigest, DiffId};
use crate::error::{Error, Result, check_cancelled};
use crate::hashing::HashingWriter;
use crate::layer_reader::LayerReader;
use crate::store::Store;

/// Frames being compressed, or waiting to be written, per thread.
const WINDOW: usize = 3;

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
        let level = options.level.unwrap_or(options.codec.default_level());
        options.codec.check_level(level)?;
        let _lease = self.lease()?;
        let reader = LayerReader::open(self, diff_id)?;
        let mut output = HashingWriter::new(output);
        write_frames(&reader, options, level, &mut output, progress)?;
        let (digest, size) = output.finish();
        if options.codec == Codec::None && digest.as_bytes() != diff_id.as_bytes() {
            return Err(Error::corrupt(
                format!("layer {diff_id}"),
                format!("its tar has the digest {digest}"),
            ));
        }
        Ok((digest, size))
    }
}

struct Job {
    row: usize,
    answer: SyncSender<Result<Vec<u8>>>,
}

fn write_frames(
    reader: &LayerReader,
    options: &ExportOptions,
    level: i32,
    output: &mut impl Write,
    progress: &mut dyn FnMut(u64),
) -> Result<()> {
    let rows = &reader.recipe().rows;
    if rows.is_empty() {
        // No bytes at all: a blob must be a valid stream all the same.
        let frame = Compressor::new(options.codec, level)?.compress(Vec::new())?;
        return write(output, &frame);
    }
    let threads = options.threads.clamp(1, rows.len());
    let window = threads * WINDOW;
    let (jobs, queue) = sync_channel::<Job>(window);
    let queue = Mutex::new(queue);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| compress_rows(reader, options.codec, level, &queue));
        }
        // Dropped at the end of this closure, which lets the threads end.
        let jobs = jobs;
        let mut waiting: VecDeque<Receiver<Result<Vec<u8>>>> = VecDeque::new();
        let (mut next, mut done) = (0, 0);
        for row in rows {
            while next < rows.len() && waiting.len() < window {
                let (answer, receiver) = sync_channel(1);
                let job = Job { row: next, answer };
                jobs.send(job).map_err(|_| Error::Interrupted)?;
                waiting.push_back(receiver);
                next += 1;
            }
            check_cancelled(&options.cancel)?;
            let answer = waiting.pop_front().map(|receiver| receiver.recv());
            let Some(Ok(frame)) = answer else {
                return Err(Error::Interrupted);
            };
            write(output, &frame?)?;
            done += row.length();
            progress(done);
        }
        Ok(())
    })
}

fn write(output: &mut impl Write, frame: &[u8]) -> Result<()> {
    output
        .write_all(frame)
        .map_err(|source| Error::io("cannot write the blob", source))
}

fn compress_rows(reader: &LayerReader, codec: Codec, level: i32, queue: &Mutex<Receiver<Job>>) {
    let mut compressor = Compressor::new(codec, level);
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else {
            return;
        };
        let result = match &mut compressor {
            Ok(compressor) => compress_row(reader, compressor, job.row),
            Err(_) => Err(Error::format("compressor", "cannot be made")),
        };
        // Nobody listens when the export was given up.
        let _ = job.answer.send(result);
    }
}

fn compress_row(reader: &LayerReader, compressor: &mut Compressor, row: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.expand_checked(row, &mut bytes)?;
    compressor.compress(bytes)
}

enum Compressor {
    None,
    Gzip(libdeflater::Compressor),
    Zstd(zstd::bulk::Compressor<'static>),
}

impl Compressor {
    fn new(codec: Codec, level: i32) -> Result<Self> {
        Ok(match codec {
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
