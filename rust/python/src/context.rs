//! Build contexts.

use std::path::PathBuf;
use std::sync::Arc;

use fastlayer_context::{Context as BuildContext, Error as ContextError, IgnoreMatcher};
use fastlayer_store::Error;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::blocking;

/// A build context on disk, seen through its ignore rules.
#[pyclass(frozen, module = "fastlayer._core")]
#[derive(Debug)]
pub struct Context {
    root: PathBuf,
    /// The context itself, shared with the copy operations that read it.
    pub inner: Arc<BuildContext>,
}

/// A context's error as one of the store's, which all calls give.
pub fn store_error(error: ContextError) -> Error {
    match error {
        ContextError::FileSystem(error) => Error::from(error),
        other => Error::Format {
            what: "build context".to_owned(),
            detail: other.to_string(),
        },
    }
}

#[pymethods]
impl Context {
    #[new]
    #[pyo3(signature = (root, patterns = Vec::new(), cache = None))]
    fn new(
        py: Python<'_>,
        root: PathBuf,
        patterns: Vec<String>,
        cache: Option<PathBuf>,
    ) -> PyResult<Self> {
        blocking::short(py, || {
            let matcher = IgnoreMatcher::new(patterns).map_err(store_error)?;
            let inner = BuildContext::open_root(&root, matcher, cache.as_deref());
            let inner = Arc::new(inner.map_err(store_error)?);
            Ok(Self { root, inner })
        })
    }

    #[getter]
    fn root(&self) -> String {
        self.root.to_string_lossy().into_owned()
    }

    fn read<'py>(&self, py: Python<'py>, path: Vec<u8>) -> PyResult<Bound<'py, PyBytes>> {
        let content = blocking::short(py, || self.inner.read(&path).map_err(store_error))?;
        Ok(PyBytes::new(py, &content))
    }

    fn is_ignored(&self, path: Vec<u8>) -> bool {
        self.inner.matcher().is_ignored(&path)
    }

    fn save(&self, py: Python<'_>) -> PyResult<()> {
        blocking::short(py, || self.inner.save().map_err(store_error))
    }
}
