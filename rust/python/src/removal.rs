//! Removing directories of any depth.

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
