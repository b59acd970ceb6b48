//! The one error type of this crate: what was tried, on which path, and what the kernel said.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// A failed file system operation.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {}: {detail}{source}", path.display())]
pub struct Error {
    operation: &'static str,
    path: PathBuf,
    detail: String,
    source: io::Error,
}

impl Error {
    /// An error of `operation` (a verb phrase: "open", "make directory") on `path`.
    pub fn new(
        operation: &'static str,
        path: impl Into<PathBuf>,
        source: impl Into<io::Error>,
    ) -> Self {
        Self {
            operation,
            path: path.into(),
            detail: String::new(),
            source: source.into(),
        }
    }

    /// Adds which part of the thing at the path it was, such as the name of an attribute.
    #[must_use]
    pub fn about(mut self, part: &[u8]) -> Self {
        self.detail = format!("{}: ", String::from_utf8_lossy(part));
        self
    }

    /// What was tried, as a verb phrase.
    pub fn operation(&self) -> &'static str {
        self.operation
    }

    /// The path it was tried on; for messages, not for opening again.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the kernel said.
    pub fn io(&self) -> &io::Error {
        &self.source
    }

    /// Takes the error apart: its path and what the kernel said.
    pub fn into_parts(self) -> (&'static str, PathBuf, io::Error) {
        (self.operation, self.path, self.source)
    }

    /// The error number, where there is one.
    pub fn errno(&self) -> Option<Errno> {
        Errno::from_io_error(&self.source)
    }

    /// True when the path, or a directory on the way to it, does not exist.
    pub fn is_not_found(&self) -> bool {
        self.errno() == Some(Errno::NOENT)
    }

    /// True when the name is already taken.
    pub fn is_exists(&self) -> bool {
        self.errno() == Some(Errno::EXIST)
    }
}

/// Turns "no such file" into `None`, so that a look and its error need one call.
pub fn optional<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

pub(crate) fn path_of(name: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(name))
}
