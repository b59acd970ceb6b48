//! A tree laid out as plain files, which Python holds between the steps that work in it.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use fastlayer_store::{MountPoint, PlainTree as StorePlainTree, Result};
use pyo3::prelude::*;

use crate::blocking;

/// A plain tree; what it is used for are calls of the store.
#[pyclass(frozen, module = "fastlayer._core")]
#[derive(Debug)]
pub struct PlainTree(Mutex<StorePlainTree>);

impl From<StorePlainTree> for PlainTree {
    fn from(tree: StorePlainTree) -> Self {
        Self(Mutex::new(tree))
    }
}

impl PlainTree {
    /// Does something with the tree; one caller at a time.
    pub fn with<T>(&self, work: impl FnOnce(&mut StorePlainTree) -> Result<T>) -> Result<T> {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[pymethods]
impl PlainTree {
    #[getter]
    fn chain(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        blocking::short(py, || {
            self.with(|tree| Ok(tree.chain().iter().map(ToString::to_string).collect()))
        })
    }

    fn place(&self, py: Python<'_>, points: Vec<(Vec<u8>, bool)>) -> PyResult<()> {
        let points: Vec<MountPoint> = points
            .into_iter()
            .map(|(path, is_directory)| MountPoint { path, is_directory })
            .collect();
        blocking::short(py, || self.with(|tree| tree.place(&points)))
    }

    fn put(&self, py: Python<'_>, path: Vec<u8>, source: PathBuf, aside: PathBuf) -> PyResult<()> {
        blocking::short(py, || self.with(|tree| tree.put(&path, &source, &aside)))
    }

    fn remove_placed(&self, py: Python<'_>) -> PyResult<()> {
        blocking::short(py, || self.with(StorePlainTree::remove_placed))
    }
}
