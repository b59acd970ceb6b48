//! Making what was written durable.

use rustix::fs::fsync;

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
