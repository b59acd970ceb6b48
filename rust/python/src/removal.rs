//! Removing directories of any depth, and what that gives back.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use fastlayer_fs::Directory;
use pyo3::prelude::*;

use crate::blocking;

/// Removes a file, or a directory with everything in it; nothing there is no error.
#[pyfunction]
pub fn remove_tree(py: Python<'_>, path: PathBuf) -> PyResult<()> {
    blocking::run(py, None, |_| {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(());
        };
        match Directory::open(parent) {
            Err(error) if error.is_not_found() => Ok(()),
            parent => Ok(fastlayer_fs::remove_tree(&parent?, name.as_bytes())?),
        }
    })
}

/// Bytes of disk that removing a file, or a directory with everything in it, gives back.
#[pyfunction]
pub fn disk_usage(py: Python<'_>, path: PathBuf) -> PyResult<u64> {
    blocking::run(py, None, |_| fastlayer_store::disk_usage(&path))
}
