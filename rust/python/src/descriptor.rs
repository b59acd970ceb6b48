//! File descriptors from Python: always duplicated, so that the caller may close its own.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;

use pyo3::prelude::*;

use crate::blocking::Job;
use crate::errors;

/// A duplicate of a descriptor that Python lends.
pub fn duplicate(py: Python<'_>, number: i32) -> PyResult<OwnedFd> {
    fastlayer_fs::descriptor::duplicate(number)
        .map_err(|error| errors::convert(py, fastlayer_store::Error::from(error)))
}

/// The same, as a file to read or write.
pub fn file(py: Python<'_>, number: i32) -> PyResult<File> {
    duplicate(py, number).map(File::from)
}

/// What is read: a descriptor to its end, or a stretch of a file.
#[derive(FromPyObject)]
pub enum Source {
    /// From its position on.
    Whole(i32),
    /// The descriptor, the offset and the size.
    Stretch(i32, u64, u64),
}

impl Source {
    /// A reader of it.
    pub fn open(self, py: Python<'_>) -> PyResult<Box<dyn Read + Send>> {
        Ok(match self {
            Self::Whole(fd) => Box::new(file(py, fd)?),
            Self::Stretch(fd, offset, size) => Box::new(Stretch::new(file(py, fd)?, offset, size)),
        })
    }
}

/// Bytes of a file from an offset on. The descriptor's own position is neither used nor moved: a
/// duplicate shares it with its original.
struct Stretch {
    file: File,
    position: u64,
    end: u64,
}

impl Stretch {
    /// `size` bytes of `file`, or what it has of them.
    fn new(file: File, offset: u64, size: u64) -> Self {
        Self {
            file,
            position: offset,
            end: offset.saturating_add(size),
        }
    }
}

impl Read for Stretch {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let count = self.file.read_at(&mut buffer[..wanted], self.position)?;
        self.position += count as u64;
        Ok(count)
    }
}

/// A file to write whose writes are the progress of a job, and fail once it shall stop.
pub struct Output<'job, W> {
    file: W,
    job: &'job Job,
}

impl<'job, W: Write> Output<'job, W> {
    /// Wraps `file`.
    pub fn new(file: W, job: &'job Job) -> Self {
        Self { file, job }
    }
}

impl<W: Write> Write for Output<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.job.cancel.load(Ordering::Relaxed) {
            // Not `Interrupted`, which `write_all` would try again.
            return Err(io::Error::other("stopped"));
        }
        let count = self.file.write(bytes)?;
        self.job.progress.add(count as u64);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
