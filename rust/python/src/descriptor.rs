//! File descriptors from Python: always duplicated, so that the caller may close its own.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
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
