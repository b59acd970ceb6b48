//! Making what was written durable.

use std::os::fd::AsFd;

use rustix::fs::{fdatasync, fsync};

use crate::directory::Directory;
use crate::error::{Error, Result};

/// Writes all of the file system that `directory` is on to disk.
pub fn syncfs(directory: &Directory) -> Result<()> {
    rustix::fs::syncfs(directory).map_err(|errno| Error::new("sync", directory.path(), errno))
}

/// Makes the names in `directory` durable.
pub fn fsync_dir(directory: &Directory) -> Result<()> {
    fsync(directory).map_err(|errno| Error::new("sync", directory.path(), errno))
}

/// Makes content and size of an open file durable; `path` is for the message.
pub fn fdatasync_file(file: impl AsFd, path: &std::path::Path) -> Result<()> {
    fdatasync(file).map_err(|errno| Error::new("sync", path, errno))
}
